//! Tokens, made here rather than asked for: the suite knows the secret of the services it starts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a service is given as `TOKEN_SECRET`.
pub(crate) const SECRET: &str = "a secret that only the suite knows, long enough";

/// The value of `authorization` for a subject, good for a minute.
pub(crate) fn bearer(subject: &str, scope: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let claims = format!(
        r#"{{"sub":"{subject}","iat":{now},"exp":{},"scope":"{scope}"}}"#,
        now + 60
    );
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("Bearer {signed}.{signature}")
}
