//! One exchange: a request and its response, with the moments that decide every figure tailmark prints.

/// The moments and the outcome of one exchange.
///
/// All moments are nanoseconds on one axis, the run's, whose zero is the start of its first phase. They are in
/// order: `due ≤ dispatched ≤ sent ≤ done`, as far as they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When it should have started.
    pub due: u64,
    /// The wake at which the worker found it due, whether or not a connection was free.
    pub dispatched: Option<u64>,
    /// Immediately before the first byte was written.
    pub sent: Option<u64>,
    /// Right after the read that completed the response, or when its outcome was decided.
    pub done: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The response's status, where a head arrived.
    pub status: Option<u16>,
}

/// Where the time of an exchange went, in nanoseconds: `response = lag + wait + service`, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// done − due, the headline.
    pub response: u64,
    /// dispatched − due: the generator's own lateness. All of the response where it was never dispatched.
    pub lag: u64,
    /// sent − dispatched: no free connection, or connecting. The rest where it was never sent.
    pub wait: u64,
    /// done − sent; none where it was never sent.
    pub service: Option<u64>,
    /// done − dispatched: what a punctual generator would have seen; none where it was never dispatched.
    pub on_time: Option<u64>,
}

/// How an exchange ended. Each exchange has exactly one outcome, and every due exchange gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The response arrived and met every expectation.
    Ok,
    /// A check other than the status failed.
    CheckFailed,
    /// A value to capture was not in the response.
    CaptureFailed,
    /// The status was not the expected one.
    StatusError,
    /// The response was not understood.
    ProtocolError,
    /// No complete response within the timeout, which runs from `sent`.
    Timeout,
    /// No connection could be opened for it.
    ConnectError,
    /// The TLS handshake failed.
    TlsError,
    /// The connection was closed after the request was written.
    Reset,
    /// Still in flight when the drain ended.
    Unfinished,
    /// Still waiting for a connection when the drain ended.
    Unsent,
}

impl Exchange {
    /// Splits the response time into its parts.
    #[must_use]
    pub fn spans(&self) -> Spans {
        let dispatched = self.dispatched.unwrap_or(self.done);
        let sent = self.sent.unwrap_or(self.done);
        debug_assert!(
            self.due <= dispatched && dispatched <= sent && sent <= self.done,
            "moments out of order: {self:?}"
        );
        Spans {
            response: self.done - self.due,
            lag: dispatched - self.due,
            wait: sent - dispatched,
            service: self.sent.map(|sent| self.done - sent),
            on_time: self.dispatched.map(|dispatched| self.done - dispatched),
        }
    }
}

impl Outcome {
    /// Every outcome, in the order in which tables and records list them.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::CheckFailed,
        Self::CaptureFailed,
        Self::StatusError,
        Self::ProtocolError,
        Self::Timeout,
        Self::ConnectError,
        Self::TlsError,
        Self::Reset,
        Self::Unfinished,
        Self::Unsent,
    ];

    /// Whether the measured time is only a lower bound of what it would have been.
    #[must_use]
    pub fn is_censored(self) -> bool {
        matches!(self, Self::Timeout | Self::Unfinished | Self::Unsent)
    }

    /// Its name in words, as tables print it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CheckFailed => "check failed",
            Self::CaptureFailed => "capture failed",
            Self::StatusError => "status error",
            Self::ProtocolError => "protocol error",
            Self::Timeout => "timeout",
            Self::ConnectError => "connect error",
            Self::TlsError => "tls error",
            Self::Reset => "reset",
            Self::Unfinished => "unfinished",
            Self::Unsent => "unsent",
        }
    }
}

/// How many exchanges ended in each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Outcome::ALL.len()]);

impl Outcomes {
    /// Counts one more.
    pub fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts `n` more.
    pub fn add(&mut self, outcome: Outcome, n: u64) {
        self.0[outcome as usize] += n;
    }

    /// How many ended as `outcome`.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Adds another count to this one.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that are not ok.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.total() - self.of(Outcome::Ok)
    }

    /// Each outcome that occurred or not, with its count, in the order of [`Outcome::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL
            .into_iter()
            .map(|outcome| (outcome, self.of(outcome)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exchange(due: u64, dispatched: Option<u64>, sent: Option<u64>, done: u64) -> Exchange {
        Exchange {
            due,
            dispatched,
            sent,
            done,
            outcome: Outcome::Ok,
            status: None,
        }
    }

    #[test]
    fn what_never_happened_goes_to_the_part_that_was_waited_in() {
        let whole = exchange(10, Some(12), Some(15), 25).spans();
        assert_eq!(
            (whole.lag, whole.wait, whole.service, whole.on_time),
            (2, 3, Some(10), Some(13))
        );
        let unsent = exchange(10, Some(12), None, 25).spans();
        assert_eq!(
            (unsent.lag, unsent.wait, unsent.service, unsent.on_time),
            (2, 13, None, Some(13))
        );
        let undispatched = exchange(10, None, None, 25).spans();
        assert_eq!(
            (
                undispatched.lag,
                undispatched.wait,
                undispatched.service,
                undispatched.on_time
            ),
            (15, 0, None, None)
        );
    }

    proptest! {
        #[test]
        fn response_time_is_the_sum_of_its_parts(
            due in 0u64..1 << 40, lag in 0u64..1 << 30, wait in 0u64..1 << 30, service in 0u64..1 << 30,
            reached in 0u8..3,
        ) {
            let done = due + lag + wait + service;
            let spans = exchange(
                due,
                (reached > 0).then_some(due + lag),
                (reached > 1).then_some(due + lag + wait),
                done,
            ).spans();
            prop_assert_eq!(spans.response, spans.lag + spans.wait + spans.service.unwrap_or(0));
        }
    }

    #[test]
    fn outcomes_stand_at_their_own_place_in_the_list() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
    }
}
