//! What the words of reports mean, in the words of their own page.

use maud::{Markup, html};

use crate::stats::{fewest, fewest_per_round};
use crate::units::{Quantile, thousands};

/// A word and what it means.
#[derive(Debug, Clone)]
pub(super) struct Term {
    id: &'static str,
    pub(super) name: &'static str,
    pub(super) meaning: Markup,
}

impl Term {
    /// Where links to it lead.
    pub(super) fn anchor(&self) -> String {
        anchor(self.id)
    }

    fn new(id: &'static str, name: &'static str, meaning: Markup) -> Self {
        Self { id, name, meaning }
    }
}

pub(super) fn anchor(id: &str) -> String {
    format!("what-{id}")
}

/// Those that the page of a run uses.
pub(super) fn of_run() -> Vec<Term> {
    let mut terms = times();
    terms.extend([
        Term::new("journey", "journey", html! {
            "The time of a walk through all steps of a flow, pauses included: from the moment its arrival was due to the end of "
            "its last step. Walks that did not come to their end are not in it; their steps count as unreached."
        }),
        Term::new("rate", "arrivals/s", html! {
            "Starts of a flow per second. An arrival of a flow with several steps makes several requests, so requests per "
            "second are more. “998 of 1,000” is what the target kept up with, of what was offered."
        }),
        Term::new("phase", "phase, warm-up", html! {
            "A stretch of the run with one load. A request belongs to the phase in which it was due. A warm-up is measured and "
            "shown, and is in no total, threshold or verdict."
        }),
        Term::new("window", "window", html! {
            "A stretch of a phase whose requests are read together: all that were due in it, whenever they were answered."
        }),
        Term::new("unreached", "unreached", html! {
            "Walks that ended before they came to this step, because a step before it was not ok."
        }),
        Term::new("threshold", "threshold", html! {
            "What must hold of a run by its scenario or its command line: ✓ it does, ✗ it does not, with what was observed. It "
            "is judged by the whole sample, even where a table prints n/a."
        }),
    ]);
    terms.extend(common());
    terms
}

/// Those that the page of a comparison or a gate uses.
pub(super) fn of_rounds(is_gate: bool) -> Vec<Term> {
    let mut terms = vec![
        Term::new(
            "change",
            "change",
            html! {
                "By how much a figure of an arm differs from the reference's: the Hodges-Lehmann estimate over the rounds' ratios, "
                "with the interval of the exact signed-rank test. An interval that holds “no change” shows no difference; it "
                "does not show that there is none."
            },
        ),
        Term::new(
            "round",
            "round",
            html! {
                "One paired measurement of all arms under the same conditions: the same requests, one arm after the other in a random "
                "order. Rounds, not requests, are what is repeated, so rounds are what the intervals are made of."
            },
        ),
        Term::new(
            "void",
            "void",
            html! {
                "A round in which the generator or the machine was at fault for one of the arms. It is kept and counted, and "
                "is in no figure. What a target does wrong never voids a round."
            },
        ),
        Term::new(
            "infinite",
            "∞",
            html! {
                "A request that was not ok counts as infinitely slow, so that quick failures cannot improve a tail."
            },
        ),
    ];
    if is_gate {
        terms.extend([
            Term::new("allowed", "allowed, ruled out", html! {
                "The two margins of a gate. FAIL: the rise is certainly above the allowed one. PASS: a rise of the size to rule "
                "out, or more, is certainly not there. A rise between the two may be there after a PASS."
            }),
            Term::new("look", "look", html! {
                "A gate looks at its rounds several times, and stops when it has seen enough. The intervals are widened "
                "for that: they hold however often was looked."
            }),
            Term::new("confirmation", "confirmation", html! {
                "Before a FAIL is believed, all is measured again from zero, with other requests and new launches. It stands only "
                "if it fails twice."
            }),
            Term::new("verdict", "PASS, FAIL, INCONCLUSIVE, INVALID", html! {
                "INCONCLUSIVE: after the last round neither margin was crossed. INVALID: nothing can be said of the candidate, "
                "because the measurement itself was at fault; it is not counted as a regression."
            }),
        ]);
    }
    terms.extend(times());
    terms.extend(common());
    terms
}

/// Those that the page of start-ups uses.
pub(super) fn of_startups() -> Vec<Term> {
    let mut terms = vec![
        Term::new(
            "listening",
            "listening",
            html! {
                "From the execution of the program until a connection was accepted. What a container engine does before that stands "
                "apart, for it is no part of the service."
            },
        ),
        Term::new(
            "first-ok",
            "first 200",
            html! {
                "From the execution of the program to the first answer with a status of 2xx on the path that says whether it is ready."
            },
        ),
    ];
    let rounds = of_rounds(false).into_iter();
    terms.extend(rounds.filter(|term| ["change", "round", "void"].contains(&term.id)));
    terms.extend(
        common()
            .into_iter()
            .filter(|term| ["memory", "validity"].contains(&term.id)),
    );
    terms
}

fn times() -> Vec<Term> {
    let needed = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9];
    let needed = needed.map(|quantile| format!("{} for {quantile}", thousands(fewest(quantile))));
    vec![
        Term::new(
            "response",
            "response time",
            html! {
                "From the moment a request was due by the schedule to the read that completed its response: the headline, for it "
                "is what a user waited. A target that stalls cannot hide it. lag + wait + service time = response time, for each "
                "request exactly."
            },
        ),
        Term::new(
            "service",
            "service time",
            html! {
                "From the first byte written to the response complete: what the target took once it was asked. What a "
                "request waited before that is not in it."
            },
        ),
        Term::new(
            "lag",
            "lag",
            html! {
                "How late tailmark itself found that a request was due: its own share of the response time."
            },
        ),
        Term::new(
            "wait",
            "wait",
            html! {
                "From then until the request was sent: no connection was free, or one had to be opened."
            },
        ),
        Term::new(
            "on-time",
            "on time",
            html! {
                "What the target would have shown to a punctual generator: response time without lag."
            },
        ),
        Term::new(
            "quantile",
            "p50 … p99.9",
            html! {
                "p99: of 100 requests 99 took this long or less. Read by rank in the distribution of all requests, to "
                "0.1 %, never from averages. n/a where the sample is too small to say: it takes " (needed.join(", ")) "."
            },
        ),
        Term::new(
            "interval",
            "[95 %]",
            html! {
                "Within these limits the figure of this machine during this run lies with 95 % confidence. Another day, or another "
                "machine, is not in it."
            },
        ),
        Term::new(
            "bound",
            "≥",
            html! {
                "A lower bound: requests that had not ended when they were given up may have taken longer, and could move the figure."
            },
        ),
        Term::new(
            "per-round",
            "needs … per round",
            html! {
                "A round says something of a quantile only where 20 of its requests lie beyond it: "
                (thousands(fewest_per_round(Quantile::P99))) " requests for p99, "
                (thousands(fewest_per_round(Quantile::P99_9))) " for p99.9."
            },
        ),
    ]
}

fn common() -> Vec<Term> {
    vec![
        Term::new(
            "outcome",
            "outcome",
            html! {
                "How a request ended; each that was due has exactly one. status error: another status than expected; check failed: "
                "another expectation was not met; capture failed: a value to keep was not there; unfinished: in flight when the run ended; "
                "unsent: still waiting for a connection then."
            },
        ),
        Term::new(
            "memory",
            "memory",
            html! {
                "RSS, the resident set of the target's processes, or the working set of its container. The two are never mixed in "
                "one comparison. Idle is read before any load."
            },
        ),
        Term::new(
            "cpu",
            "CPU per 1,000 requests",
            html! {
                "CPU time of the target over the measured phases, per 1,000 answered requests."
            },
        ),
        Term::new(
            "validity",
            "valid, client-bound, disturbed",
            html! {
                "Whether the figures are the target's. client-bound: tailmark itself was late or too busy. disturbed: the machine "
                "was taken away. A note says what to mind, and voids nothing."
            },
        ),
    ]
}
