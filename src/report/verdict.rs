//! A gate's verdict in sentences, the same in tables, Markdown and JUnit.

use super::figures::change_with_interval;
use crate::compare::{Comparison, Metric};
use crate::gate::{Decision, Judged, Needed, Reason, Side, Standing, Terms, Verdict};
use crate::stats::Change;
use crate::units::{Quantile, thousands};

/// Why the verdict is what it is, and what to do about it.
#[must_use]
pub fn words(decision: &Decision, terms: &Terms) -> String {
    let said = Said { decision, terms };
    let sentences = match decision.verdict {
        Verdict::Pass => said.pass(),
        Verdict::Fail => said.fail(),
        Verdict::Inconclusive => said.inconclusive(),
        Verdict::Invalid => said.invalid(),
    };
    sentences.join(" ")
}

/// How each arm's p99 differs from the reference's by the rounds so far: `actix +6.1 % [+1.9, +10.4]`; nothing where they
/// are too few to say.
#[must_use]
pub fn so_far(comparison: &Comparison) -> String {
    let arms = comparison.plan.arms.iter().enumerate().skip(1);
    let changes = arms.filter_map(|(arm, name)| {
        let change = comparison.change(arm, Metric::Response(Quantile::P99))?;
        Some(format!("{name} {}", change_with_interval(&change)))
    });
    changes.collect::<Vec<_>>().join(" · ")
}

/// `p99 +1.2 % [−3.4, +6.1]`.
pub(super) fn standing(standing: &Standing) -> String {
    format!(
        "{} {}",
        standing.metric,
        change_with_interval(&standing.change)
    )
}

/// A share as a percentage: `5 %`, `2.5 %`.
pub(super) fn share(share: f64) -> String {
    let percent = format!("{:.2}", share * 100.0);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// `~31`, or `more than 100,000`.
pub(super) fn about(rounds: f64) -> String {
    const MANY: f64 = 100_000.0;
    if rounds > MANY {
        format!("more than {}", thousands(MANY as u64))
    } else {
        format!("~{}", thousands(rounds as u64))
    }
}

struct Said<'a> {
    decision: &'a Decision,
    terms: &'a Terms,
}

impl Said<'_> {
    fn pass(&self) -> Vec<String> {
        if self.decision.reasons.contains(&Reason::SameBinary) {
            return vec![
                "same binary: executable, command and environment of both are equal, so there is nothing to measure."
                    .to_owned(),
            ];
        }
        let found: Vec<String> = self.standings().iter().map(standing).collect();
        vec![
            format!(
                "{}: a rise of {} or more is ruled out.",
                found.join(", "),
                share(self.terms.ruled_out)
            ),
            "A smaller one may be there (--ruled-out).".to_owned(),
        ]
    }

    fn fail(&self) -> Vec<String> {
        let reasons = self.decision.reasons.iter();
        let mut sentences: Vec<String> = reasons
            .filter_map(|reason| self.why_failed(reason))
            .collect();
        if let Some(middle) = self.judged().and_then(|judged| judged.middle.as_ref()) {
            sentences.extend(self.middle(middle));
        }
        sentences
    }

    fn why_failed(&self, reason: &Reason) -> Option<String> {
        let twice = if self.decision.is_confirmed() {
            ", in two independent runs"
        } else {
            ""
        };
        Some(match reason {
            Reason::Exceeds(metric) => {
                let found = self.standings().iter().find(|own| own.metric == *metric)?;
                let allowed = share(self.terms.allowed);
                format!(
                    "{}: more than the allowed {allowed}{twice}.",
                    standing(found)
                )
            }
            Reason::Failures => {
                let failures = self.judged()?.failures;
                let part = |(failed, all): (u64, u64)| super::figures::percent(failed, all);
                format!(
                    "{} of the candidate's requests were not ok, {} of the baseline's: more by over half a point{twice}.",
                    part(failures.candidate),
                    part(failures.baseline)
                )
            }
            Reason::OneSided { step, only } => {
                let other = other(*only).name();
                format!(
                    "{step} was asked of the {} alone: the {other} never came to it{twice}.",
                    only.name()
                )
            }
            Reason::NoSamples { metric, side } => {
                format!("{metric}: not one sample of {}{twice}.", whose(*side))
            }
            _ => return None,
        })
    }

    /// Where a tail is slower: whether the middle is as well.
    fn middle(&self, middle: &Change) -> Option<String> {
        let is_tail =
            |reason: &Reason| matches!(reason, Reason::Exceeds(metric) if metric.is_latency());
        let ratio = middle
            .ratio
            .filter(|_| self.decision.reasons.iter().any(is_tail))?;
        let change = super::figures::change(ratio);
        let meaning = if ratio <= 1.0 + self.terms.allowed {
            "the tail, not the middle"
        } else {
            "the middle as well"
        };
        Some(format!("p50 {change}: {meaning}."))
    }

    fn inconclusive(&self) -> Vec<String> {
        let reasons = self.decision.reasons.iter();
        let mut sentences: Vec<String> = reasons.flat_map(|reason| self.why_open(reason)).collect();
        let longest = self
            .standings()
            .iter()
            .filter_map(|standing| standing.needed);
        let longest = longest
            .map(|needed: Needed| needed.to_either)
            .reduce(f64::max);
        let is_open = |reason: &Reason| matches!(reason, Reason::Undecided(_));
        if self.decision.reasons.iter().any(is_open) {
            sentences.push(match longest {
                Some(rounds) => format!(
                    "{} rounds would tell; or a higher --rate, a wider --ruled-out.",
                    about(rounds)
                ),
                None => "A higher --rate or a wider --ruled-out may tell.".to_owned(),
            });
        }
        sentences
    }

    fn why_open(&self, reason: &Reason) -> Vec<String> {
        let rounds = self.judged().map_or(0, |judged| judged.valid);
        let of = |metric: &Metric| {
            let mut standings = self.standings().iter();
            standings.find(|own| own.metric == *metric).map(standing)
        };
        match reason {
            Reason::Undecided(metric) => vec![format!(
                "{} after {rounds} rounds: neither above {} nor below {}.",
                of(metric).unwrap_or_default(),
                share(self.terms.allowed),
                share(self.terms.ruled_out)
            )],
            Reason::BothInfinite {
                metric,
                rounds: infinite,
            } => vec![format!(
                "{metric} of both was infinite in {infinite} of {rounds} rounds, so many requests were not ok: nothing can pass by it."
            )],
            Reason::FailuresInSome { rounds: with } => {
                let failures = self.judged().map(|judged| judged.failures);
                let failures = failures.unwrap_or_default();
                let part = |(failed, all): (u64, u64)| super::figures::percent(failed, all);
                vec![format!(
                    "{} of the candidate's requests were not ok, {} of the baseline's: more by over half a point, in {with} of \
                     {rounds} rounds. So few rounds are no FAIL, and so many failures no PASS.",
                    part(failures.candidate),
                    part(failures.baseline)
                )]
            }
            Reason::NotConfirmed => self.not_confirmed(),
            _ => Vec::new(),
        }
    }

    fn not_confirmed(&self) -> Vec<String> {
        let [first, again] = &self.decision.attempts[..] else {
            return Vec::new();
        };
        let figures = |judged: &Judged| {
            let found: Vec<String> = judged.standings.iter().map(standing).collect();
            found.join(", ")
        };
        let name = again.verdict.map_or("undecided", Verdict::name);
        vec![
            "not confirmed: it failed once, and not again.".to_owned(),
            format!("First {}; then {}, {name}.", figures(first), figures(again)),
        ]
    }

    fn invalid(&self) -> Vec<String> {
        let reasons = self.decision.reasons.iter();
        let mut sentences: Vec<String> = reasons.filter_map(why_invalid).collect();
        sentences.push(
            "Not counted as a regression; the exit code is 4 (--on-invalid pass: 0).".to_owned(),
        );
        sentences
    }

    fn judged(&self) -> Option<&Judged> {
        self.decision.judged()
    }

    fn standings(&self) -> &[Standing] {
        self.judged().map_or(&[], |judged| &judged.standings)
    }
}

fn why_invalid(reason: &Reason) -> Option<String> {
    Some(match reason {
        Reason::TooManyVoid {
            void,
            measured,
            because,
        } => {
            format!("{void} of {measured} rounds were void ({because}): nothing can be said.")
        }
        Reason::BaselineBroken => {
            "baseline broken: in every round less than half of its requests were ok, so there is nothing to compare with."
                .to_owned()
        }
        Reason::TooFew {
            metric,
            side,
            exchanges: Some((had, needed)),
        } => format!(
            "{metric} needs {} requests per round; a round of {} had {}. A higher --rate or a longer --measure has more.",
            thousands(*needed),
            whose(*side),
            thousands(*had)
        ),
        Reason::TooFew { metric, side, .. } => {
            format!("{metric} of {} was not measured in every round.", whose(*side))
        }
        _ => return None,
    })
}

fn whose(side: Option<Side>) -> String {
    side.map_or("both".to_owned(), |side| format!("the {}", side.name()))
}

fn other(side: Side) -> Side {
    match side {
        Side::Baseline => Side::Candidate,
        Side::Candidate => Side::Baseline,
    }
}
