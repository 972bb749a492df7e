//! How a launched target ended.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::target_spec::MemoryLimit;

/// How a launched target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// What ended it.
    pub cause: ExitCause,
    /// What its parent was told.
    pub status: ExitStatus,
    /// How long it lived after it was ready, if it ended by itself; else how long it took to follow its signal.
    pub after: Duration,
    /// The kernel killed it, or a process of its container, for want of memory.
    pub out_of_memory: Option<OutOfMemory>,
}

/// A container needed more memory than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// What it had; `None` where the machine itself had no more.
    pub limit: Option<MemoryLimit>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel killed it, for it needed more memory than ")?;
        match self.limit {
            Some(limit) => write!(f, "its limit of {limit}"),
            None => f.write_str("there was"),
        }
    }
}

/// What ended a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// It followed its signal.
    Stopped,
    /// It did not, in its time.
    Killed,
    /// Nobody: it had ended before it was asked to.
    ByItself,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, after) = (self.status, in_words(self.after));
        match self.cause {
            ExitCause::Stopped => write!(f, "stopped within {after} ({status})"),
            ExitCause::Killed => write!(f, "killed, since it had not stopped within {after}"),
            ExitCause::ByItself => {
                write!(f, "ended by itself {after} after it was ready ({status})")
            }
        }?;
        match self.out_of_memory {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

/// `12 ms`, `1.5 s`, `30 s`.
pub(super) fn in_words(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    }
}
