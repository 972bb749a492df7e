//! What names a request in an answer and in the log.

use crate::limit;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a request: 1 to [`limit::REQUEST_ID_CHARACTERS`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A name of our own: sixteen hexadecimal digits that tell this process from others, and a count within it.
    #[must_use]
    pub fn next() -> Self {
        static PROCESS: LazyLock<u64> =
            LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Self(format!(
            "{:016x}-{}",
            *PROCESS,
            COUNT.fetch_add(1, Ordering::Relaxed)
        ))
    }

    /// The name that the client gave, from the values of all `X-Request-Id` headers of a request; a name of our own if
    /// there is not exactly one valid value.
    #[must_use]
    pub fn accept<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_valid(value) => {
                Self(value.iter().copied().map(char::from).collect())
            }
            _ => Self::next(),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_valid(value: &[u8]) -> bool {
    (1..=limit::REQUEST_ID_CHARACTERS).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_name_is_kept_and_any_other_replaced() {
        let accept =
            |values: &[&str]| RequestId::accept(values.iter().map(|value| value.as_bytes()));
        let longest = "x".repeat(limit::REQUEST_ID_CHARACTERS);
        for good in ["a", "3f0c-1", &longest] {
            assert_eq!(accept(&[good]).as_str(), good);
        }
        for bad in [
            &[][..],
            &[""],
            &["a b"],
            &["ä"],
            &[&format!("{longest}x")],
            &["a", "b"],
        ] {
            let id = accept(bad);
            assert!(id.as_str().len() >= 18, "{bad:?}: {id}");
            assert_ne!(id, accept(bad), "each has its own");
        }
    }
}
