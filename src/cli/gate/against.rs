//! `tailmark gate --against DIR`: one more measurement beside those of other days. It is advice: it fails nothing.

use std::path::Path;

use super::super::args::GateArgs;
use super::super::failure::Failure;
use super::super::keep::Keep;
use super::super::report::Outputs;
use super::super::rounds::{self, Arms};
use super::super::stage::on_stage;
use super::{Outcome, fewest_requests, only};
use crate::archive::{self, ArchiveError, Saved};
use crate::compare::{Comparison, Metric};
use crate::data;
use crate::gate::{FEWEST_SESSIONS, GateRecord, Session, against as advise};
use crate::report::{Subject, table};
use crate::session::rounds::{Rounds, compare as measure};
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Watcher};
use crate::target_spec::TargetSpec;

/// Rounds of one arm: as many as a gate has before its first look.
const ROUNDS: usize = 10;

/// Measures the target, and says whether past results let it be expected.
pub(super) async fn against(args: &GateArgs, outputs: Outputs) -> Result<Outcome, Failure> {
    let of_rounds = &args.of_rounds;
    let folder = args.against.as_deref().expect("the caller has seen it");
    let targets = data::targets_or_nearest(of_rounds.targets.as_deref())?;
    let arm = match &args.target {
        Some(target) => TargetSpec::from_argument(target, targets.as_ref())?,
        None => only(targets.as_ref())?.clone(),
    };
    let past = Past::read(folder, &arm.name)?;
    if let Some(words) = past.left_out() {
        of_rounds.common.say(&words);
    }
    let mut request = rounds::request(
        of_rounds,
        Arms {
            scenario: rounds::scenario(&args.scenario, of_rounds.seed)?,
            arms: vec![arm],
            rounds: ROUNDS.min(args.max_rounds as usize),
            order_seed: None,
        },
    )?;
    request.lengthen(fewest_requests(&args.metric))?;
    rounds::check(of_rounds, &mut request).await?;
    let keep = Keep::open(
        &of_rounds.saving,
        &format!("compare-{}", request.scenario.name()),
    )?;
    let place = keep.folder();
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        let rounds = Rounds {
            stage,
            request: &request,
            folder: place,
            shutdown,
            most: request.rounds,
        };
        measure(&rounds, None, watch).await
    };
    let terms = rounds::stage_terms(of_rounds, &request)?;
    let arms = &request.arms;
    let measured = on_stage(&of_rounds.common, arms, terms, place.path(), work).await;
    let (keep, comparison) = keep.unless_empty(measured, |came| came.interrupted)?;
    let saved = keep.keep()?;
    let advice: Vec<_> = args
        .metric
        .iter()
        .map(|&metric| (metric, advice(args, &comparison, &past.comparisons, metric)))
        .collect();
    if of_rounds.common.json {
        of_rounds.common.print(&comparison.to_json())?;
        of_rounds.common.say(&table::advice(&advice, &comparison));
    } else {
        let options = of_rounds.common.options(saved.as_deref());
        let text = table::compare(&comparison, &options) + &table::advice(&advice, &comparison);
        of_rounds.common.print(&text)?;
    }
    let subject = Subject::Comparison(&comparison);
    outputs.write(subject)?;
    of_rounds.exporting.send(subject, &keep).await;
    Ok(Outcome::Done)
}

fn advice(
    args: &GateArgs,
    comparison: &Comparison,
    past: &[Comparison],
    metric: Metric,
) -> Option<crate::gate::Advice> {
    let new = Session::of(comparison, 0, metric)?;
    let name = &comparison.plan.arms[0];
    let past: Vec<Session> = past
        .iter()
        .flat_map(|past| {
            let arms = past.plan.arms.iter().enumerate();
            arms.filter(|(_, arm)| *arm == name)
                .filter_map(|(arm, _)| Session::of(past, arm, metric))
        })
        .collect();
    Some(advise(&new, &past, args.allowed, args.alpha))
}

/// Past results, as far as they may hold sessions of one target.
#[derive(Debug, Default)]
struct Past {
    comparisons: Vec<Comparison>,
    /// Why others do not count, and how many for each reason.
    others: Vec<(&'static str, usize)>,
}

impl Past {
    /// What is saved in folders of `folder`, as far as it is of the target called `name`.
    fn read(folder: &Path, name: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(&format!("reading {}", folder.display()), &error).with_hint(&format!(
                "--against takes a results folder with {FEWEST_SESSIONS} results or more"
            ))
        };
        let entries = std::fs::read_dir(folder).map_err(failed)?;
        let folders = entries.flatten().map(|entry| entry.path());
        let mut past = Self::default();
        // `latest` is one of the others.
        for path in folders.filter(|path| path.is_dir() && !path.is_symlink()) {
            match archive::read(&path) {
                Ok(saved) => past.take(saved, name),
                Err(ArchiveError::Nothing(_)) => {}
                Err(ArchiveError::Io { .. }) => past.leave_out(UNREADABLE),
            }
        }
        Ok(past)
    }

    fn take(&mut self, saved: Saved, name: &str) {
        let comparison = match saved {
            Saved::Run(_) => return self.leave_out("a single run"),
            Saved::Startups(_) => return self.leave_out("start-ups"),
            Saved::Comparison(text) => Comparison::from_json(&text).ok(),
            Saved::Gate(text) => match GateRecord::from_json(&text) {
                Ok(gate) if gate.builds.is_some() => {
                    return self.leave_out("a gate of revisions, which does not name its target");
                }
                gate => gate.ok().map(|gate| gate.first),
            },
        };
        match comparison {
            None => self.leave_out(UNREADABLE),
            Some(past) if past.plan.arms.iter().all(|arm| arm != name) => {
                self.leave_out("of other targets");
            }
            Some(past) => self.comparisons.push(past),
        }
    }

    fn leave_out(&mut self, why: &'static str) {
        match self.others.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => self.others.push((why, 1)),
        }
    }

    /// How many do not count, and why, in a line; none where all do.
    fn left_out(&self) -> Option<String> {
        let count: usize = self.others.iter().map(|(_, count)| count).sum();
        let mut others = self.others.clone();
        others.sort_unstable();
        let reasons: Vec<String> = others
            .into_iter()
            .map(|(why, count)| format!("{count} × {why}"))
            .collect();
        let all = self.comparisons.len() + count;
        (count > 0).then(|| {
            format!(
                "note: {count} of {all} saved results do not count: {}",
                reasons.join(" · ")
            )
        })
    }
}

/// Why what is damaged, or of another version, does not count.
const UNREADABLE: &str = "cannot be read";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::{arm_run, comparison};
    use crate::gate::fixtures::{gate, terms};
    use crate::gate::{Build, Builds};
    use crate::run_record::fixtures::{MS, ok};

    #[test]
    fn what_is_no_session_of_the_target_does_not_count_and_is_told() {
        let compared = comparison(1, |arm, _| arm_run(arm, |_| ok(MS)));
        let gated = gate(&terms(&["p99"], 10), 0, |_, arm, _| {
            arm_run(arm, |_| ok(MS))
        });
        let mut of_revisions = gated.clone();
        of_revisions.builds = Some(Builds {
            baseline: Build::default(),
            candidate: Build::default(),
        });
        let all = [
            Saved::Comparison(compared.to_json()),
            Saved::Gate(gated.to_json()),
            Saved::Gate(of_revisions.to_json()),
            Saved::Run(String::new()),
            Saved::Run(String::new()),
            Saved::Startups(String::new()),
            Saved::Comparison("{}".into()),
        ];
        let past = |name| {
            let mut past = Past::default();
            for saved in all.clone() {
                past.take(saved, name);
            }
            past
        };
        let of_axum = past("axum");
        assert_eq!(of_axum.comparisons.len(), 2);
        assert_eq!(
            of_axum.left_out().unwrap(),
            "note: 5 of 7 saved results do not count: 1 × a gate of revisions, which does not name its target · \
             2 × a single run · 1 × cannot be read · 1 × start-ups"
        );
        // The arms of a gate of revisions are called so, whatever their target is called.
        let of_candidate = past("candidate");
        assert!(of_candidate.comparisons.is_empty());
        let said = of_candidate.left_out().unwrap();
        assert!(
            said.contains("7 of 7") && said.contains("2 × of other targets"),
            "{said}"
        );
        assert_eq!(Past::default().left_out(), None);
    }
}
