//! When so much of a ramp has come: the inverse of its integral, exactly.
//!
//! A ramp goes evenly from the rate r₀ to r₁ over T, so N(t) = r₀·t + (r₁ − r₀)·t² / 2T arrivals have come by t. The k-th,
//! counted from 0, is due in the nanosecond in which N reaches k. Floating point finds that nanosecond nearly always,
//! and whole numbers decide: the schedule neither drifts nor ever runs backwards.

use crate::units::Rate;

/// One arrival in the unit in which they are counted, so fine that the gaps of a Poisson process can be rounded to it,
/// and coarse enough for the most arrivals of a phase to fit 64 bits.
pub(super) const ARRIVAL: u64 = 1 << 24;

/// A ramp from one rate to another.
///
/// With rates c₀/p₀ and c₁/p₁, N(t) ≤ n is t·(c₀p₁·(2T − t) + c₁p₀·t) ≤ 2T·p₀p₁·n, in which nothing is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    /// T, in nanoseconds.
    length: u64,
    /// c₀p₁.
    from: Wide,
    /// c₁p₀.
    to: Wide,
    /// 2T·p₀p₁.
    whole: Wide,
    /// Arrivals per nanosecond at the start.
    first_rate: f64,
    /// By how much the square of the rate grows with each arrival.
    growth: f64,
}

impl Ramp {
    /// The ramp over `length` nanoseconds, at most a week.
    pub(super) fn new(from: Rate, to: Rate, length: u64) -> Self {
        let per_ns = |rate: Rate| rate.count() as f64 / rate.per_ns() as f64;
        let (first_rate, last_rate) = (per_ns(from), per_ns(to));
        Self {
            length,
            from: Wide::of(from.count()).times(to.per_ns()),
            to: Wide::of(to.count()).times(from.per_ns()),
            whole: Wide::of(2 * length).times(from.per_ns()).times(to.per_ns()),
            first_rate,
            growth: 2.0 * (last_rate - first_rate) / length as f64,
        }
    }

    /// The nanosecond, from the start of the ramp, in which `count` have come, in the unit of [`ARRIVAL`]; its end or
    /// later where so many do not come.
    pub(super) fn due(&self, count: u64) -> u64 {
        let guess = self.guess(count);
        // The last moment by which no more than `count` had come lies between these.
        let (mut low, mut high) = (guess, guess);
        let mut step = 1;
        while !self.is_within(low, count) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        while high == low || self.is_within(high, count) {
            low = high;
            high += step;
            step *= 2;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.is_within(middle, count) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether no more than `count` have come by `moment`; never after the ramp.
    fn is_within(&self, moment: u64, count: u64) -> bool {
        moment <= self.length && {
            let early = self.from.times(2 * self.length - moment);
            let come = early.plus(self.to.times(moment)).times(moment);
            come.times(ARRIVAL) <= self.whole.times(count)
        }
    }

    /// The moment to about sixteen digits, or to fewer where the rate falls by orders of magnitude.
    fn guess(&self, count: u64) -> u64 {
        let arrivals = count as f64 / ARRIVAL as f64;
        // The rate at that moment: its square grows evenly with the arrivals.
        let square = self.first_rate * self.first_rate + self.growth * arrivals;
        let rate = square.max(0.0).sqrt();
        // Arrivals over the mean of the rates at both ends of the stretch.
        let moment = 2.0 * arrivals / (self.first_rate + rate);
        (moment as u64).min(self.length)
    }
}

/// A whole number of 256 bits, in which the products above fit: rates are at most one arrival per 100 ns, and a phase
/// lasts at most 2^50 ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wide {
    high: u128,
    low: u128,
}

impl Wide {
    fn of(number: u64) -> Self {
        Self {
            high: 0,
            low: u128::from(number),
        }
    }

    fn times(self, factor: u64) -> Self {
        const HALF: u128 = (1 << 64) - 1;
        let factor = u128::from(factor);
        let lower = (self.low & HALF) * factor;
        let upper = (self.low >> 64) * factor + (lower >> 64);
        Self {
            high: self.high * factor + (upper >> 64),
            low: (upper << 64) | (lower & HALF),
        }
    }

    fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self {
            high: self.high + other.high + u128::from(carry),
            low,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u64, per_ns: u64) -> Rate {
        Rate::new(count, per_ns).unwrap()
    }

    /// Any rate that can be written, from one a day to ten million a second.
    fn rates() -> impl Strategy<Value = Rate> {
        let written = (1u64..1_000_000_000, 0u32..7, "k?/[smh]");
        written.prop_filter_map("out of range", |(digits, places, unit)| {
            let amount = digits as f64 / 10f64.powi(places as i32);
            format!("{amount:.*}{unit}", places as usize).parse().ok()
        })
    }

    /// Whether N(`moment`) ≤ `arrivals`, for whole rates per second from `from` to `to` over `length`.
    fn have_come(from: u64, to: u64, length: u64, moment: u64, arrivals: u64) -> bool {
        let [from, to, length, moment] = [from, to, length, moment].map(u128::from);
        let come = moment * (from * (2 * length - moment) + to * moment);
        come <= 2 * length * u128::from(SECOND) * u128::from(arrivals)
    }

    proptest! {
        #[test]
        fn an_arrival_is_due_in_the_nanosecond_in_which_it_comes(
            (from, to) in (1u64..1_000_000, 1u64..1_000_000),
            seconds in 1u64..100_000,
            part in 0.0f64..1.0,
        ) {
            let length = seconds * SECOND;
            let ramp = Ramp::new(rate(from, SECOND), rate(to, SECOND), length);
            let all = (from + to) * seconds / 2;
            let k = (part * all as f64) as u64;
            let due = ramp.due(k * ARRIVAL);
            prop_assert!(have_come(from, to, length, due, k));
            prop_assert!(due == length || !have_come(from, to, length, due + 1, k));
        }

        #[test]
        fn due_moments_never_run_backwards_whatever_the_rates(
            (from, to) in (rates(), rates()),
            length in 1u64..604_800 * SECOND,
            (k, ahead) in (0u64..1 << 60, 0u64..1 << 60),
        ) {
            let ramp = Ramp::new(from, to, length);
            let (due, later) = (ramp.due(k), ramp.due(k + ahead));
            prop_assert!(due <= later && later <= length);
            prop_assert!(ramp.is_within(due, k) && !ramp.is_within(due + 1, k));
            prop_assert_eq!(ramp.due(0), 0);
        }

        #[test]
        fn a_ramp_between_equal_rates_is_none(same in rates(), length in 1u64..604_800 * SECOND, k in 0u64..1 << 39) {
            let even = u128::from(k) * u128::from(same.per_ns()) / u128::from(same.count());
            let expected = u64::try_from(even).unwrap_or(u64::MAX).min(length);
            prop_assert_eq!(Ramp::new(same, same, length).due(k * ARRIVAL), expected);
        }
    }

    #[test]
    fn a_rate_that_falls_to_almost_nothing_is_followed_to_its_end() {
        let (fast, day) = (rate(10_000_000, SECOND), rate(1, 86_400 * SECOND));
        let ramp = Ramp::new(fast, day, 10 * SECOND);
        // Half of 10^8 arrivals, and a hundred-thousandth part of one: the last one that comes is the 50,000,000th.
        let last = ramp.due(50_000_000 * ARRIVAL);
        assert!((9_990_000_000..10_000_000_000).contains(&last), "{last}");
        assert_eq!(ramp.due(50_000_001 * ARRIVAL), 10 * SECOND);
        let up = Ramp::new(day, fast, 10 * SECOND);
        // It mirrors the way down: the first 10 µs have half an arrival less than their end's rate times their length.
        assert_eq!(up.due(50_000_001 * ARRIVAL), 10 * SECOND);
        assert!(up.due(ARRIVAL) < 1_500_000);
    }
}
