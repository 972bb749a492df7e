//! Tokens as the suite makes and reads them: JWT, HS256, written out here once more.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the services under test sign with.
pub(crate) const SECRET: &str = "the suite's own secret, known to it and to its services";

/// What a token says; times are in seconds since 1970.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) scope: String,
}

/// A token with these claims, signed with this secret.
pub(crate) fn signed(claims: &Claims, secret: &str) -> String {
    let claims = json!({
        "sub": claims.sub, "iat": claims.iat, "exp": claims.exp, "scope": claims.scope,
    });
    let message = format!(
        "{}.{}",
        encoded(r#"{"typ":"JWT","alg":"HS256"}"#),
        encoded(&claims.to_string())
    );
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    hmac.update(message.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac.finalize().into_bytes());
    format!("{message}.{signature}")
}

/// A token with these claims that nobody signed.
pub(crate) fn unsigned(claims: &str) -> String {
    format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims))
}

/// What a token says, whoever signed it.
pub(crate) fn claims(token: &str) -> Claims {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    let number = |name: &str| claims[name].as_u64().unwrap();
    Claims {
        sub: text("sub"),
        iat: number("iat"),
        exp: number("exp"),
        scope: text("scope"),
    }
}

/// Good for an hour from now.
pub(crate) fn good(subject: &str) -> Claims {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let iat = now.as_secs();
    Claims {
        sub: subject.to_owned(),
        iat,
        exp: iat + 3_600,
        scope: "items".to_owned(),
    }
}

/// The value of `authorization` for a subject and a scope, good for an hour.
pub(crate) fn bearer(subject: &str, scope: &str) -> String {
    let claims = Claims {
        scope: scope.to_owned(),
        ..good(subject)
    };
    format!("Bearer {}", signed(&claims, SECRET))
}

fn encoded(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}
