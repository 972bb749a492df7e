//! Users and their passwords: `user-N` has `secret-N`.
//!
//! Passwords are not hashed. A hash that resists guessing takes tens of milliseconds on purpose, and would be all that
//! a measurement of sessions measures.

use crate::Subject;
use contract::{Failure, limit};
use subtle::ConstantTimeEq;

/// The subject of `user`, if `password` is that user's. Compared in constant time: only lengths show.
///
/// # Errors
/// [`Failure::InvalidCredentials`] (401), whether it is the user or the password that is wrong.
pub fn check(user: &str, password: &str) -> Result<Subject, Failure> {
    let number = user.strip_prefix("user-").and_then(number);
    // Nobody is user 0; an unknown user takes the same steps as a known one.
    let expected = format!("secret-{}", number.unwrap_or_default());
    let same = bool::from(expected.as_bytes().ct_eq(password.as_bytes()));
    if number.is_some() && same {
        Ok(Subject::new(user))
    } else {
        Err(Failure::InvalidCredentials)
    }
}

/// A number from 1 to [`limit::USERS`], written in one way only, so that nobody has two names.
fn number(text: &str) -> Option<u32> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse()
        .ok()
        .filter(|number| (1..=limit::USERS).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one_name_and_one_password() {
        for (user, password, good) in [
            ("user-1", "secret-1", true),
            ("user-10000", "secret-10000", true),
            ("user-1", "secret-2", false),
            ("user-1", "secret-01", false),
            ("user-1", "", false),
            ("user-0", "secret-0", false),
            ("user-10001", "secret-10001", false),
            ("user-01", "secret-1", false),
            ("user-+1", "secret-1", false),
            ("user-", "secret-0", false),
            ("nobody", "secret-0", false),
        ] {
            let outcome = check(user, password);
            assert_eq!(outcome.is_ok(), good, "{user} {password}: {outcome:?}");
            if let Ok(subject) = outcome {
                assert_eq!(subject.as_str(), user);
            }
        }
    }
}
