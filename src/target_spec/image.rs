//! A service as a container image, and what a container may use.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::CommandLine;
use crate::units::parse_size;

/// A container that tailmark starts and removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What container engines call it: `svc:1.4`, `ghcr.io/acme/svc@sha256:…`.
    pub reference: String,
    /// The words after its entry point, in place of its own; `{port}` may stand in them.
    pub args: Option<CommandLine>,
    /// The port that it listens on whatever it is told: then it gets a network namespace of its own, and is reached at its
    /// address there. Where there is none it shares this machine's network, and is told a free port.
    pub port: Option<u16>,
    /// What it may use.
    pub limits: Limits,
}

impl Image {
    /// The image called `reference`, on this machine's network, without limits.
    ///
    /// # Errors
    /// It cannot be a reference.
    pub fn parse(reference: &str) -> Result<Self, ImageError> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
        // A reference is shorter, and begins with a letter or a digit, says the Distribution's grammar.
        let is_reference = reference.len() <= 512
            && reference.starts_with(|c: char| c.is_ascii_alphanumeric())
            && reference.bytes().all(safe);
        if !is_reference {
            return Err(ImageError(reference.to_owned()));
        }
        Ok(Self {
            reference: reference.to_owned(),
            args: None,
            port: None,
            limits: Limits::default(),
        })
    }

    /// A name for it that is safe in folders: `svc-1.4`.
    pub(super) fn plain_name(&self) -> String {
        let last = self.reference.rsplit('/').next().unwrap_or_default();
        let name = last.split('@').next().unwrap_or_default();
        format!("{:.64}", name.replace(':', "-"))
    }
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` does not name an image")]
pub struct ImageError(String);

impl ImageError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "write NAME:TAG as `docker images` lists it, such as svc:1.4"
    }
}

/// What a container may use; all that is there where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time per time.
    pub cpus: Option<Cpus>,
    /// Memory, and no swap beyond it.
    pub memory: Option<MemoryLimit>,
}

impl Limits {
    /// Whether there is one.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// These, and `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            cpus: self.cpus.or(others.cpus),
            memory: self.memory.or(others.memory),
        }
    }
}

impl fmt::Display for Limits {
    /// `0.5 CPUs and 32 MiB of memory`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cpus, self.memory) {
            (Some(cpus), Some(memory)) => write!(f, "{cpus} CPUs and {memory} of memory"),
            (Some(cpus), None) => write!(f, "{cpus} CPUs"),
            (None, Some(memory)) => write!(f, "{memory} of memory"),
            (None, None) => f.write_str("no limits"),
        }
    }
}

/// How many CPUs a container may keep busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    nano: u64,
}

impl Cpus {
    /// What an engine divides a CPU into.
    const NANO: u64 = 1_000_000_000;
    /// The kernel's shortest quota is a hundredth of its period.
    const FEWEST: f64 = 0.01;
    /// More than any machine has.
    const MOST: f64 = 4096.0;

    /// A limit that was written down.
    #[must_use]
    pub fn of_nano(nano: u64) -> Self {
        Self { nano }
    }

    /// Billionths of a CPU.
    #[must_use]
    pub fn nano(self) -> u64 {
        self.nano
    }
}

impl FromStr for Cpus {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        match text.parse::<f64>() {
            Ok(cpus) if plain && (Self::FEWEST..=Self::MOST).contains(&cpus) => Ok(Self {
                nano: (cpus * Self::NANO as f64).round() as u64,
            }),
            _ => Err(LimitError::Cpus(text.to_owned())),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nano as f64 / Self::NANO as f64)
    }
}

/// How much memory a container may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    bytes: u64,
}

impl MemoryLimit {
    /// With less, Docker starts no container.
    const LEAST: u64 = 6 << 20;
    /// What fits the engines' signed 64 bits.
    const MOST: u64 = 1 << 62;

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// A limit that was written down.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self { bytes }
    }
}

impl FromStr for MemoryLimit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        match parse_size(text) {
            Ok(bytes) if (Self::LEAST..=Self::MOST).contains(&bytes) => Ok(Self { bytes }),
            Ok(_) => Err(LimitError::Memory(text.to_owned())),
            Err(_) => Err(LimitError::Size(text.to_owned())),
        }
    }
}

impl fmt::Display for MemoryLimit {
    /// `32 MiB`, to a tenth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.bytes as f64 / (1 << 20) as f64 * 10.0).round() / 10.0;
        write!(f, "{tenths} MiB")
    }
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitError {
    /// Not a number of CPUs, or one that no machine has.
    #[error("`{0}` is not a number of CPUs")]
    Cpus(String),
    /// Not a size at all.
    #[error("`{0}` is not a size")]
    Size(String),
    /// Less than a container can have, or more than can be counted.
    #[error("`{0}` is no memory limit: a container has 6MiB at least")]
    Memory(String),
}

impl LimitError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Cpus(_) => "write 0.5 or 2; at least 0.01",
            Self::Size(_) | Self::Memory(_) => "write 32MiB or 1GiB",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_and_sizes() {
        for (text, expected) in [
            ("0.5", Some(500_000_000)),
            ("2", Some(2_000_000_000)),
            ("0.01", Some(10_000_000)),
            ("0.001", None),
            ("0", None),
            ("-1", None),
            ("1e3", None),
            ("5000", None),
            ("two", None),
            ("", None),
        ] {
            let cpus = text.parse::<Cpus>().ok();
            assert_eq!(cpus.map(Cpus::nano), expected, "{text}");
        }
        for (text, expected) in [
            ("32MiB", Some(32 << 20)),
            ("6MiB", Some(6 << 20)),
            ("5MiB", None),
            ("32", None),
            ("9000000000GiB", None),
        ] {
            let memory = text.parse::<MemoryLimit>().ok();
            assert_eq!(memory.map(MemoryLimit::bytes), expected, "{text}");
        }
        let limits = Limits {
            cpus: "0.5".parse().ok(),
            memory: "1.5GiB".parse().ok(),
        };
        assert_eq!(limits.to_string(), "0.5 CPUs and 1536 MiB of memory");
        assert_eq!(limits.or(Limits::default()), limits);
        assert_eq!(Limits::default().or(limits), limits);
        assert!(limits.any() && !Limits::default().any());
    }

    #[test]
    fn images_have_names_for_folders() {
        for (reference, expected) in [
            ("svc", Some("svc")),
            ("svc:1.4", Some("svc-1.4")),
            ("ghcr.io:443/acme/svc:1.4@sha256:00ff", Some("svc-1.4")),
            ("tailmark/axum-service", Some("axum-service")),
            ("", None),
            ("-svc", None),
            ("a b", None),
            ("svc?x", None),
        ] {
            let name = Image::parse(reference).ok();
            let name = name.map(|image| image.plain_name());
            assert_eq!(name.as_deref(), expected, "{reference}");
        }
    }
}
