//! From the rounds of one attempt to what they say.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::decision::{Failures, Judged, Needed, Reason, Standing, State, Verdict};
use super::round::TooSmall;
use super::{Arm, Attempt, Round, Side, Terms, Value};
use crate::compare::Metric;
use crate::stats::{AtLook, Change, Sequential, Walsh, log_ratio};

/// More than one void round in so many, and nothing can be said.
const VOID_ONE_IN: usize = 5;
/// After so many rounds without any use, more of them are not worth the wait.
const EARLY: usize = 3;
/// The share of exchanges that may fail more than of the baseline: half a point.
const MORE_FAILURES: f64 = 0.005;

/// What the rounds of an attempt say; the first look that decides has the word.
pub(super) fn judge(terms: &Terms, attempt: Attempt, rounds: &[&Round]) -> Judged {
    let counts = |round: &Round| round.void(&terms.metrics).is_none();
    let valid: Vec<&Round> = rounds
        .iter()
        .copied()
        .filter(|round| counts(round))
        .collect();
    // How many rounds were measured until so many were valid.
    let measured: Vec<usize> = (1..=rounds.len())
        .filter(|&number| counts(rounds[number - 1]))
        .collect();
    let looks = terms.looks.rounds();
    let early = EARLY.min(terms.looks.first());
    if let Some(begun) = rounds.get(..early) {
        let so_far = SoFar::new(terms, attempt, &[], begun);
        if let Some(found) = so_far.all_too_small() {
            return so_far.judged(Some(found));
        }
    }
    let moments = [early].into_iter().chain(looks.iter().copied());
    for seen in moments.take_while(|&seen| seen <= valid.len()) {
        let so_far = SoFar::new(
            terms,
            attempt,
            &valid[..seen],
            &rounds[..measured[seen - 1]],
        );
        if so_far.too_many_void() {
            break;
        }
        let found = if seen == early && !looks.contains(&early) {
            so_far.useless()
        } else {
            so_far.at_look()
        };
        if let Some(found) = found {
            return so_far.judged(Some(found));
        }
    }
    let so_far = SoFar::new(terms, attempt, &valid, rounds);
    let found = so_far.too_many_void().then(|| so_far.all_void());
    so_far.judged(found)
}

type Found = (Verdict, Vec<Reason>);

/// The rounds up to a moment.
struct SoFar<'a> {
    terms: &'a Terms,
    seed: u64,
    /// The valid ones.
    rounds: &'a [&'a Round],
    /// All of them.
    measured: &'a [&'a Round],
    /// One per metric; made when they are first needed.
    standings: OnceCell<Vec<Standing>>,
}

impl<'a> SoFar<'a> {
    fn new(
        terms: &'a Terms,
        attempt: Attempt,
        rounds: &'a [&'a Round],
        measured: &'a [&'a Round],
    ) -> Self {
        Self {
            terms,
            seed: attempt.seed(terms.seed),
            rounds,
            measured,
            standings: OnceCell::new(),
        }
    }

    fn judged(&self, found: Option<Found>) -> Judged {
        let (verdict, reasons) = found.map_or((None, Vec::new()), |(verdict, reasons)| {
            (Some(verdict), reasons)
        });
        let middle = self.terms.middle();
        Judged {
            verdict,
            reasons,
            standings: self.standings().to_vec(),
            valid: self.rounds.len(),
            void: self.void(),
            middle: middle.map(|metric| self.change(metric)),
            failures: self.failures(),
        }
    }

    fn void(&self) -> usize {
        self.measured.len() - self.rounds.len()
    }

    /// Whether so many rounds are void that the last look cannot be reached any more with a fifth of them or fewer.
    fn too_many_void(&self) -> bool {
        self.void() * VOID_ONE_IN > self.terms.looks.last()
    }

    fn all_void(&self) -> Found {
        let metrics = &self.terms.metrics;
        let mut latest = self.measured.iter().rev();
        let because = latest.find_map(|round| round.void(metrics));
        let reason = Reason::TooManyVoid {
            void: self.void(),
            measured: self.measured.len(),
            because: because.unwrap_or_default(),
        };
        (Verdict::Invalid, vec![reason])
    }

    /// Where every round is too small: more rounds are no larger.
    fn all_too_small(&self) -> Option<Found> {
        let metrics = &self.terms.metrics;
        let small = self.measured.iter().map(|round| round.too_small(metrics));
        let small: Vec<TooSmall> = small.collect::<Option<_>>()?;
        let largest = small.into_iter().max_by_key(|small| small.had)?;
        let reason = Reason::TooFew {
            metric: largest.metric,
            side: None,
            exchanges: Some((largest.had, largest.needed)),
        };
        Some((Verdict::Invalid, vec![reason]))
    }

    /// What a look finds; none where there is to be another one.
    fn at_look(&self) -> Option<Found> {
        let is_last = self.rounds.len() == self.terms.looks.last();
        let found = self
            .useless()
            .or_else(|| self.worse())
            .or_else(|| self.unmeasured())
            .or_else(|| self.good_enough())
            .or_else(|| is_last.then(|| self.undecided()));
        // So many void rounds at a look may become few enough by the next.
        if found.is_some() && self.void() * VOID_ONE_IN > self.measured.len() {
            return is_last.then(|| self.all_void());
        }
        found
    }

    /// What no further rounds would change: a baseline that does not work, a metric of which there is nothing.
    fn useless(&self) -> Option<Found> {
        let is_broken = |arm: &Arm| arm.exchanges > 0 && arm.failed * 2 > arm.exchanges;
        if self.rounds.iter().all(|round| is_broken(&round.baseline)) {
            return Some((Verdict::Invalid, vec![Reason::BaselineBroken]));
        }
        let metrics = self.terms.metrics.iter();
        let empty = metrics.filter_map(|&metric| self.empty(metric));
        let empty: Vec<Reason> = empty.collect();
        (!empty.is_empty()).then_some((Verdict::Fail, empty))
    }

    /// Metrics that are not known of so many rounds that the last look cannot be reached any more with a fifth of them or
    /// fewer. Fewer such rounds count against either verdict.
    fn unmeasured(&self) -> Option<Found> {
        let metrics = self.terms.metrics.iter();
        let too_few = metrics.filter_map(|&metric| self.too_few(metric));
        let too_few: Vec<Reason> = too_few.collect();
        (!too_few.is_empty()).then_some((Verdict::Invalid, too_few))
    }

    /// A metric of which a side has nothing in any round.
    fn empty(&self, metric: Metric) -> Option<Reason> {
        let is_empty = |side| self.values(side, metric).all(Value::is_empty);
        let side = one_or_both(is_empty)?;
        Some(Reason::NoSamples { metric, side })
    }

    /// A metric that is not known of a side in too many rounds.
    fn too_few(&self, metric: Metric) -> Option<Reason> {
        let rounds = self.rounds.iter();
        let unknown = rounds.filter(|round| round.known(metric).is_none());
        if unknown.count() * VOID_ONE_IN <= self.terms.looks.last() {
            return None;
        }
        let lacks = |side| {
            self.values(side, metric)
                .any(|value| value.known().is_none())
        };
        let side = one_or_both(lacks)?;
        let sides = [Side::Baseline, Side::Candidate].into_iter();
        let values = sides.flat_map(|side| self.values(side, metric));
        let exchanges = values.filter_map(|value| match value {
            Value::TooFew { had, needed } => Some((had, needed)),
            Value::Known(_) | Value::Missing => None,
        });
        Some(Reason::TooFew {
            metric,
            side,
            exchanges: exchanges.max(),
        })
    }

    /// Every way in which the candidate is worse.
    fn worse(&self) -> Option<Found> {
        let mut reasons = self.one_sided();
        if self.fails_more() {
            reasons.push(Reason::Failures);
        }
        let failed = self.standings().iter();
        let failed = failed.filter(|standing| standing.state == State::Failed);
        reasons.extend(failed.map(|standing| Reason::Exceeds(standing.metric)));
        (!reasons.is_empty()).then_some((Verdict::Fail, reasons))
    }

    fn good_enough(&self) -> Option<Found> {
        let is_ruled_out =
            |standing: &Standing| standing.state == State::Passed && standing.both_infinite == 0;
        let passes = self.standings().iter().all(is_ruled_out) && self.more_failures().is_none();
        passes.then(|| (Verdict::Pass, vec![Reason::RuledOut]))
    }

    fn undecided(&self) -> Found {
        let failures = self.more_failures();
        let failures = failures.map(|rounds| Reason::FailuresInSome { rounds });
        let open = self.standings().iter().filter_map(|standing| {
            let metric = standing.metric;
            if standing.both_infinite > 0 {
                let rounds = standing.both_infinite;
                return Some(Reason::BothInfinite { metric, rounds });
            }
            (standing.state == State::Open).then_some(Reason::Undecided(metric))
        });
        let reasons = failures.into_iter().chain(open);
        (Verdict::Inconclusive, reasons.collect())
    }

    /// Steps that only one side came to, over all rounds: in one round a seldom step may be left out by chance.
    fn one_sided(&self) -> Vec<Reason> {
        let mut counts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for round in self.rounds {
            for (place, arm) in [&round.baseline, &round.candidate].into_iter().enumerate() {
                for (step, count) in &arm.steps {
                    counts.entry(step).or_default()[place] += count;
                }
            }
        }
        let one_sided = counts.into_iter().filter_map(|(step, counts)| {
            let only = match counts {
                [0, 0] => None,
                [_, 0] => Some(Side::Baseline),
                [0, _] => Some(Side::Candidate),
                _ => None,
            };
            let step = step.to_owned();
            only.map(|only| Reason::OneSided { step, only })
        });
        one_sided.collect()
    }

    /// Whether the share of the candidate's exchanges that are not ok is above the baseline's by more than half a point.
    ///
    /// By the same exact test, over the rounds' differences: exchanges of one round share its troubles, so they are not
    /// independent, and a binomial test of all of them would find differences where there are none.
    fn fails_more(&self) -> bool {
        let x = self.excess_failures();
        let test = self.test(self.terms.alpha);
        let looks = self.looks(|seen| test.at(&x[..seen]));
        looks.iter().any(AtLook::crossed)
    }

    /// In how many rounds the candidate's share of exchanges that are not ok is above the baseline's by more than half a point;
    /// none where that of all rounds together is not.
    ///
    /// The test asks for a change that most rounds show. A few launches that fail altogether would never be found by it, so they
    /// stand in the way of a PASS.
    fn more_failures(&self) -> Option<usize> {
        let Failures {
            baseline,
            candidate,
        } = self.failures();
        let share = |(failed, all): (u64, u64)| failed as f64 / all as f64;
        let is_more = share(candidate) - share(baseline) > MORE_FAILURES;
        let excess = self.excess_failures();
        is_more.then(|| excess.iter().filter(|&&excess| excess > 0.0).count())
    }

    /// By how much the candidate's share of exchanges that are not ok is above what it may be, round by round.
    fn excess_failures(&self) -> Vec<f64> {
        let excess = |round: &&Round| {
            round.candidate.failed_share() - round.baseline.failed_share() - MORE_FAILURES
        };
        self.rounds.iter().map(excess).collect()
    }

    fn standings(&self) -> &[Standing] {
        self.standings.get_or_init(|| {
            let metrics = self.terms.metrics.iter();
            metrics.map(|&metric| self.standing(metric)).collect()
        })
    }

    fn standing(&self, metric: Metric) -> Standing {
        let d = self.log_ratios(metric);
        let (fail, pass) = (
            self.test(self.terms.alpha_each()),
            self.test(self.terms.beta),
        );
        let (allowed, ruled_out) = (self.terms.allowed.ln_1p(), self.terms.ruled_out.ln_1p());
        let above: Vec<f64> = d.iter().map(|d| d - allowed).collect();
        let below: Vec<f64> = d.iter().map(|d| ruled_out - d).collect();
        let looks = self.looks(|seen| Some([fail.at(&above[..seen])?, pass.at(&below[..seen])?]));
        let mut change = self.change(metric);
        change.level = 1.0 - self.terms.alpha_each() - self.terms.beta;
        change.interval = looks.last().map(|[fail, pass]| {
            let walsh = Walsh::of(&d[..fail.rounds]);
            [
                walsh.smallest(fail.order_index()).exp(),
                walsh.largest(pass.order_index()).exp(),
            ]
        });
        // A FAIL has the word wherever both are found; neither is taken back by later looks.
        let state = if looks.iter().any(|[fail, _]| fail.crossed()) {
            State::Failed
        } else if looks.iter().any(|[_, pass]| pass.crossed()) {
            State::Passed
        } else {
            State::Open
        };
        Standing {
            metric,
            needed: self.needed(&change),
            change,
            looks,
            state,
            both_infinite: self.both_infinite(metric),
        }
    }

    /// In how many rounds the ratio is none though both sides are known.
    fn both_infinite(&self, metric: Metric) -> usize {
        let known = self.rounds.iter().filter_map(|round| round.known(metric));
        known.filter(|&(a, b)| log_ratio(a, b).is_nan()).count()
    }

    fn needed(&self, change: &Change) -> Option<Needed> {
        let projection = self.terms.projection();
        let pair_sd = change.pair_sd?;
        Some(Needed {
            to_pass: projection.to_pass(pair_sd),
            to_fail: projection.to_fail(pair_sd),
            to_either: projection.to_either(pair_sd, change.ratio?),
        })
    }

    fn test(&self, level: f64) -> Sequential<'_> {
        Sequential {
            looks: &self.terms.looks,
            level,
            seed: self.seed,
            vectors: self.terms.vectors,
        }
    }

    /// What is seen at each look so far.
    fn looks<T>(&self, at: impl FnMut(usize) -> Option<T>) -> Vec<T> {
        let looks = self.terms.looks.rounds().iter().copied();
        looks
            .take_while(|&seen| seen <= self.rounds.len())
            .filter_map(at)
            .collect()
    }

    fn log_ratios(&self, metric: Metric) -> Vec<f64> {
        let pairs = self.pairs(metric);
        pairs.into_iter().map(|(a, b)| log_ratio(a, b)).collect()
    }

    fn change(&self, metric: Metric) -> Change {
        let (baseline, candidate): (Vec<f64>, Vec<f64>) = self.pairs(metric).into_iter().unzip();
        Change {
            interval: None,
            ..Change::of(
                &baseline,
                &candidate,
                1.0 - self.terms.alpha - self.terms.beta,
            )
        }
    }

    /// The values of both sides in every round; what is not known of one counts as infinite in both.
    fn pairs(&self, metric: Metric) -> Vec<(f64, f64)> {
        let unknown = (f64::INFINITY, f64::INFINITY);
        let both = |round: &&Round| round.known(metric).unwrap_or(unknown);
        self.rounds.iter().map(both).collect()
    }

    fn values(&self, side: Side, metric: Metric) -> impl Iterator<Item = Value> {
        self.rounds.iter().map(move |round| {
            let arm = match side {
                Side::Baseline => &round.baseline,
                Side::Candidate => &round.candidate,
            };
            arm.value(metric)
        })
    }

    fn failures(&self) -> Failures {
        let mut failures = Failures::default();
        for round in self.rounds {
            for (sum, arm) in [
                (&mut failures.baseline, &round.baseline),
                (&mut failures.candidate, &round.candidate),
            ] {
                sum.0 += arm.failed;
                sum.1 += arm.exchanges;
            }
        }
        failures
    }
}

/// The side of which `is` holds; none within where it holds of both.
fn one_or_both(is: impl Fn(Side) -> bool) -> Option<Option<Side>> {
    match (is(Side::Baseline), is(Side::Candidate)) {
        (true, true) => Some(None),
        (true, false) => Some(Some(Side::Baseline)),
        (false, true) => Some(Some(Side::Candidate)),
        (false, false) => None,
    }
}
