//! Sessions: who logs in, and the token they get.

use crate::limit;
#[cfg(feature = "openapi")]
use crate::openapi::bound;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A login: `{"user":"user-1","password":"secret-1"}`. Unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NewSessionWire")]
pub struct NewSession {
    /// 1 to [`limit::CREDENTIAL_CHARACTERS`] characters.
    pub user: String,
    /// 1 to [`limit::CREDENTIAL_CHARACTERS`] characters.
    pub password: String,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NewSession))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSessionWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::user))]
    user: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::password))]
    password: String,
}

impl TryFrom<NewSessionWire> for NewSession {
    type Error = String;

    fn try_from(wire: NewSessionWire) -> Result<Self, String> {
        for (name, text) in [("user", &wire.user), ("password", &wire.password)] {
            if !(1..=limit::CREDENTIAL_CHARACTERS).contains(&text.chars().count()) {
                return Err(format!(
                    "{name} must have 1 to {} characters",
                    limit::CREDENTIAL_CHARACTERS
                ));
            }
        }
        Ok(Self {
            user: wire.user,
            password: wire.password,
        })
    }
}

/// Without the password, which a log must not hold.
impl fmt::Debug for NewSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewSession")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// An open session: `{"token":"…","token_type":"Bearer","expires_in":3600}` (the names are those of RFC 6749, section 5.1,
/// but for the token).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::token))]
    token: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::token_type))]
    token_type: &'static str,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::token_seconds))]
    expires_in: u64,
}

impl Session {
    /// The session of whoever bears `token`, for [`limit::TOKEN_SECONDS`].
    #[must_use]
    pub fn bearer(token: String) -> Self {
        Self {
            token,
            token_type: "Bearer",
            expires_in: limit::TOKEN_SECONDS,
        }
    }
}

/// Without the token, which a log must not hold.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<(), &str>) {
        match (serde_json::from_str::<NewSession>(json), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_login_is_valid_or_says_what_is_wrong() {
        let long = "u".repeat(limit::CREDENTIAL_CHARACTERS);
        check(r#"{"user":"user-1","password":"secret-1"}"#, Ok(()));
        check(&format!(r#"{{"user":"{long}","password":"x"}}"#), Ok(()));
        check(
            &format!(r#"{{"user":"{long}u","password":"x"}}"#),
            Err("user must have 1 to 64"),
        );
        check(
            r#"{"user":"u","password":""}"#,
            Err("password must have 1 to 64"),
        );
        check(r#"{"user":"u"}"#, Err("missing field `password`"));
        check(
            r#"{"user":"u","password":"p","otp":"1"}"#,
            Err("unknown field `otp`"),
        );
        check(r#"{"user":1,"password":"p"}"#, Err("invalid type"));
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let login: NewSession =
            serde_json::from_str(r#"{"user":"u","password":"hidden"}"#).unwrap();
        let session = Session::bearer("hidden".to_owned());
        assert!(!format!("{login:?}{session:?}").contains("hidden"));
    }
}
