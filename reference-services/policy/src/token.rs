//! Bearer tokens (RFC 6750): JWT (RFC 7519), signed with HS256.

use crate::hs256;
use contract::{Failure, limit};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Who asks. Cheap to clone, to be carried along with a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name in the token: `user-7`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token says. Times are in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    exp: u64,
    /// Words with spaces between them (RFC 8693, section 4.2).
    scope: String,
}

/// Issues tokens and knows them again.
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    header: Header,
    validation: Validation,
}

impl Tokens {
    /// Tokens signed with `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // `verify` compares with the time it is given; the library would read a clock, and allow a minute's grace.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self {
            sign: EncodingKey::from_secret(secret),
            verify: DecodingKey::from_secret(secret),
            header: Header::new(Algorithm::HS256),
            validation,
        }
    }

    /// A token for `subject` and `scope`, good for [`limit::TOKEN_SECONDS`] from `now`.
    ///
    /// # Errors
    /// [`Failure::Internal`] if it could not be written.
    pub fn issue(
        &self,
        subject: &Subject,
        scope: &str,
        now: SystemTime,
    ) -> Result<String, Failure> {
        let iat = seconds(now);
        let claims = Claims {
            sub: subject.as_str().to_owned(),
            iat,
            exp: iat + limit::TOKEN_SECONDS,
            scope: scope.to_owned(),
        };
        encode(&self.header, &claims, &self.sign).map_err(|_| Failure::Internal)
    }

    /// Whose token it is, if it is ours, has not expired at `now` and covers `scope`.
    ///
    /// # Errors
    /// [`Failure::InvalidToken`] (401); [`Failure::InsufficientScope`] (403).
    pub fn verify(&self, token: &str, scope: &str, now: SystemTime) -> Result<Subject, Failure> {
        let claims = decode::<Claims>(token, &self.verify, &self.validation)
            .map_err(|_| Failure::InvalidToken)?
            .claims;
        // A token is good before `exp`, and no longer at it (RFC 7519, section 4.1.4).
        if seconds(now) >= claims.exp || claims.sub.is_empty() {
            return Err(Failure::InvalidToken);
        }
        if !claims.scope.split(' ').any(|word| word == scope) {
            return Err(Failure::InsufficientScope);
        }
        Ok(Subject::new(&claims.sub))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// The token of `Authorization: Bearer …`, from the values of all such headers. The scheme may be written in any case.
///
/// # Errors
/// [`Failure::MissingToken`] if there is no such header or its scheme is another one; [`Failure::InvalidToken`] if
/// there are two, or what follows cannot be a token.
pub fn bearer<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<&'a str, Failure> {
    let mut values = values.into_iter();
    let value = values.next().ok_or(Failure::MissingToken)?;
    if values.next().is_some() {
        return Err(Failure::InvalidToken);
    }
    let value = std::str::from_utf8(value).map_err(|_| Failure::InvalidToken)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Failure::MissingToken);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() {
        return Err(Failure::InvalidToken);
    }
    Ok(token)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let tokens = Tokens::new(SECRET);
        let subject = Subject::new("user-7");
        let token = tokens.issue(&subject, "items", at(1_000)).unwrap();
        let last = 1_000 + limit::TOKEN_SECONDS - 1;
        for (second, expected) in [
            (1_000, Ok(subject.clone())),
            (last, Ok(subject)),
            (last + 1, Err(Failure::InvalidToken)),
        ] {
            assert_eq!(
                tokens.verify(&token, "items", at(second)),
                expected,
                "{second}"
            );
        }
    }

    #[test]
    fn a_token_covers_the_words_of_its_scope() {
        let tokens = Tokens::new(SECRET);
        let subject = Subject::new("user-7");
        for (scope, covers) in [
            ("items", true),
            ("audit items", true),
            ("item", false),
            ("items2", false),
            ("", false),
        ] {
            let token = tokens.issue(&subject, scope, at(0)).unwrap();
            let expected = if covers {
                Ok(subject.clone())
            } else {
                Err(Failure::InsufficientScope)
            };
            assert_eq!(tokens.verify(&token, "items", at(0)), expected, "{scope:?}");
        }
    }

    #[test]
    fn a_token_of_anybody_else_is_refused() {
        let tokens = Tokens::new(SECRET);
        let subject = Subject::new("user-7");
        let good = tokens.issue(&subject, "items", at(0)).unwrap();
        let other = Tokens::new(b"another secret, just as long as the first");
        let forged = other.issue(&subject, "items", at(0)).unwrap();
        let parts: Vec<&str> = good.split('.').collect();
        // {"alg":"none"}, which old libraries believed.
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
        let cut = &good[..good.len() - 1];
        for bad in [
            "",
            "x",
            "a.b.c",
            &forged,
            &unsigned,
            cut,
            &format!("{good}.x"),
        ] {
            assert_eq!(
                tokens.verify(bad, "items", at(0)),
                Err(Failure::InvalidToken),
                "{bad}"
            );
        }
    }

    /// The example of RFC 7515, appendix A.1, whose key and signature are known.
    #[test]
    fn the_signature_is_that_of_the_rfc() {
        use jsonwebtoken::crypto::sign;
        hs256::install();
        let key = EncodingKey::from_base64_secret(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==",
        )
        .unwrap();
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    fn check_bearer(values: &[&str], expected: &Result<&str, Failure>) {
        let parsed = bearer(values.iter().map(|value| value.as_bytes()));
        assert_eq!(&parsed, expected, "{values:?}");
    }

    #[test]
    fn the_token_follows_the_scheme() {
        check_bearer(&["Bearer abc"], &Ok("abc"));
        check_bearer(&["bearer  abc"], &Ok("abc"));
        check_bearer(&[], &Err(Failure::MissingToken));
        check_bearer(&["Basic dTpw"], &Err(Failure::MissingToken));
        check_bearer(&[""], &Err(Failure::MissingToken));
        check_bearer(&["Bearer"], &Err(Failure::InvalidToken));
        check_bearer(&["Bearer "], &Err(Failure::InvalidToken));
        check_bearer(&["Bearer a", "Bearer a"], &Err(Failure::InvalidToken));
    }
}
