//! From the text of a threshold to an [`Expression`].

mod metric;
mod subject;

use std::time::Duration;

use super::{Comparison, Expression, Figure, MemoryFigure, Metric, Scope, Subjects};
use crate::document::{Flaw, nearest};
use crate::units::{
    Fault, Rate, UnitError, format_duration, nanoseconds, parse_duration, parse_ratio, parse_size,
    parse_slope,
};

use metric::Named;
use subject::measured_phase;

/// Words that end a value.
const CLAUSES: [&str; 3] = ["of", "in", "over"];

pub(super) fn expression(text: &str, subjects: &Subjects<'_>) -> Result<Expression, Flaw> {
    let mut rest = Rest { text, at: 0 };
    let Some(name) = rest.word() else {
        let example = "write what must hold, such as p99 < 250ms in steady";
        return Err(flaw(rest.at, "a threshold begins with a metric", example));
    };
    let named = Named::parse(name)?;
    let of = match rest.take("of") {
        Some(of) => Some(rest.wanted(of, "a flow, or a step as flow/step")?),
        None => None,
    };
    let metric = named.of(name, of, subjects)?;
    let comparison = rest.comparison(name)?;
    let limit = metric.limit(rest.value(name)?)?;
    let Clauses { phase, every } = rest.clauses()?;
    let phase = phase
        .map(|clause| measured_phase(name, &metric, clause, subjects))
        .transpose()?;
    let every = every
        .map(|clause| blocks(&metric, phase, clause, subjects))
        .transpose()?;
    Ok(Expression {
        text: text.trim().to_owned(),
        metric,
        comparison,
        limit,
        phase: phase.map(str::to_owned),
        every,
    })
}

/// A part of the text and where it begins.
#[derive(Debug, Clone, Copy)]
struct Word<'t> {
    at: usize,
    text: &'t str,
}

/// A word that begins a clause, and what stands after it.
#[derive(Debug, Clone, Copy)]
struct Clause<'t> {
    at: usize,
    value: Word<'t>,
}

#[derive(Debug, Default)]
struct Clauses<'t> {
    phase: Option<Clause<'t>>,
    every: Option<Clause<'t>>,
}

/// What is left of the text.
#[derive(Debug, Clone, Copy)]
struct Rest<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Rest<'t> {
    /// The next word: up to a space or a comparison.
    fn word(&mut self) -> Option<Word<'t>> {
        self.next(|c| !c.is_whitespace() && !is_comparison(c))
    }

    /// What comes next, as far as its characters `belong`; spaces before it are passed over.
    fn next(&mut self, belong: impl Fn(char) -> bool) -> Option<Word<'t>> {
        let left = &self.text[self.at..];
        let left = left.trim_start();
        let at = self.text.len() - left.len();
        let length = left.find(|c| !belong(c)).unwrap_or(left.len());
        self.at = at + length;
        let text = &left[..length];
        (!text.is_empty()).then_some(Word { at, text })
    }

    /// The next word if it is `wanted`.
    fn take(&mut self, wanted: &str) -> Option<Word<'t>> {
        let mut ahead = *self;
        let word = ahead.word().filter(|word| word.text == wanted)?;
        *self = ahead;
        Some(word)
    }

    /// The word after `before`, which says what it `wants`.
    fn wanted(&mut self, before: Word<'_>, wants: &str) -> Result<Word<'t>, Flaw> {
        self.word().ok_or_else(|| Flaw {
            offset: self.at,
            message: format!("`{}` wants {wants}", before.text),
            hint: None,
        })
    }

    fn comparison(&mut self, metric: Word<'_>) -> Result<Comparison, Flaw> {
        let hint = "compare with <, <=, > or >=";
        if let Some(word) = (*self).word() {
            if CLAUSES.contains(&word.text) {
                let message = format!("`{}` stands after the value", word.text);
                return Err(flaw(word.at, message, "write p99 < 250ms in steady"));
            }
            let message = format!("`{}` is no comparison", word.text);
            return Err(flaw(word.at, message, hint));
        }
        let Some(signs) = self.next(is_comparison) else {
            let message = format!("`{}` is compared with nothing", metric.text);
            return Err(flaw(self.at, message, hint));
        };
        match signs.text {
            "<" => Ok(Comparison::Below),
            "<=" => Ok(Comparison::AtMost),
            ">" => Ok(Comparison::Above),
            ">=" => Ok(Comparison::AtLeast),
            other => Err(flaw(signs.at, format!("`{other}` is no comparison"), hint)),
        }
    }

    /// Everything up to the next clause: a value may have a space before its unit.
    fn value(&mut self, metric: Word<'_>) -> Result<Word<'t>, Flaw> {
        let left = self.text[self.at..].trim_start();
        let at = self.text.len() - left.len();
        self.at = at;
        loop {
            let mut ahead = *self;
            match ahead.next(|c| !c.is_whitespace()) {
                Some(word) if !CLAUSES.contains(&word.text) => *self = ahead,
                _ => break,
            }
        }
        let text = &self.text[at..self.at];
        if text.is_empty() {
            return Err(Flaw {
                offset: at,
                message: format!("`{}` is compared with nothing", metric.text),
                hint: None,
            });
        }
        Ok(Word { at, text })
    }

    fn clauses(&mut self) -> Result<Clauses<'t>, Flaw> {
        let mut clauses = Clauses::default();
        while let Some(word) = self.next(|c| !c.is_whitespace()) {
            let clause = match word.text {
                "in" => {
                    let value = self.wanted(word, "a phase")?;
                    clauses.phase.replace(Clause { at: word.at, value })
                }
                "over" => {
                    let Some(every) = self.take("every") else {
                        let hint = "write over every 10s";
                        return Err(flaw(word.at, "`over` wants `every` and a duration", hint));
                    };
                    let value = self.wanted(every, "a duration")?;
                    clauses.every.replace(Clause { at: word.at, value })
                }
                "of" => {
                    let message = "`of` stands before the comparison";
                    return Err(flaw(word.at, message, "write p99 of buy/transfer < 400ms"));
                }
                other => {
                    let hint =
                        "a threshold ends with `in` and a phase, or `over every` and a duration";
                    return Err(flaw(word.at, format!("`{other}` is one too many"), hint));
                }
            };
            if clause.is_some() {
                let message = format!("`{}` stands there twice", word.text);
                return Err(flaw(word.at, message, "write two thresholds"));
            }
        }
        Ok(clauses)
    }
}

fn is_comparison(c: char) -> bool {
    matches!(c, '<' | '>' | '=' | '!')
}

impl Metric {
    /// The value that it is compared with, in its own unit.
    fn limit(&self, word: Word<'_>) -> Result<Figure, Flaw> {
        let close: String = word.text.split_whitespace().collect();
        let limit = match self {
            Self::Response(..)
            | Self::Service(..)
            | Self::Wait(_)
            | Self::Lag(_)
            | Self::Journey(..)
            | Self::CpuPer1k => parse_duration(&close).map(|time| Figure::Time(nanoseconds(time))),
            Self::ErrorRate(_) => parse_ratio(&close).map(Figure::Ratio),
            Self::AchievedRate => close
                .parse()
                .map(|rate: Rate| Figure::Rate(rate.per_second())),
            Self::Memory(MemoryFigure::Slope) => parse_slope(&close).map(Figure::Slope),
            Self::Memory(_) => parse_size(&close).map(Figure::Size),
        };
        match limit.map_err(|error| wrong_unit(word, &error))? {
            Figure::Ratio(ratio) if ratio > 1.0 => {
                let message = format!("`{}` is more than all of them", word.text);
                Err(flaw(
                    word.at,
                    message,
                    "a percentage ends with %, as in 0.5%",
                ))
            }
            limit => Ok(limit),
        }
    }

    /// Whether it is kept phase by phase.
    fn has_phases(&self) -> bool {
        !matches!(self, Self::Memory(_) | Self::CpuPer1k)
    }
}

/// The length of the blocks of a clause `over every`: as many whole windows.
fn blocks(
    metric: &Metric,
    phase: Option<&str>,
    clause: Clause<'_>,
    subjects: &Subjects<'_>,
) -> Result<Duration, Flaw> {
    match metric {
        Metric::Response(_, Scope::All) | Metric::ErrorRate(Scope::All) => {}
        Metric::Response(..) | Metric::ErrorRate(_) => {
            let message =
                "time is kept for all flows together: `of` and `over every` exclude each other";
            return Err(flaw(clause.at, message, "write two thresholds"));
        }
        _ => {
            let message = "only response times and `error_rate` are kept over time";
            return Err(flaw(clause.at, message, "leave `over every` out"));
        }
    }
    let word = clause.value;
    let every = parse_duration(word.text).map_err(|error| wrong_unit(word, &error))?;
    if every.is_zero() {
        return Err(flaw(
            word.at,
            format!("`{}` is no time at all", word.text),
            "write over every 10s",
        ));
    }
    let about = |name: &str| phase.is_none_or(|phase| phase == name);
    let phases = subjects.phases.iter();
    let phases = phases.filter(|phase| phase.unmeasured.is_none() && about(phase.name));
    let Some(coarsest) = phases.clone().max_by_key(|phase| phase.window) else {
        return Ok(every);
    };
    let window = nanoseconds(coarsest.window).max(1);
    let rest = nanoseconds(every) % window;
    if rest > 0 {
        let message = format!(
            "`{}` is not a whole number of windows: phase `{}` is kept in windows of {}",
            word.text,
            coarsest.name,
            format_duration(coarsest.window)
        );
        let next = Duration::from_nanos((nanoseconds(every) - rest).saturating_add(window));
        return Err(flaw(
            word.at,
            message,
            format!("write {}", format_duration(next)),
        ));
    }
    let longest = phases.map(|phase| phase.duration).max().unwrap_or_default();
    if longest < every / 2 {
        let message = format!(
            "`{}` is longer than what it is to divide, which lasts {}",
            word.text,
            format_duration(longest)
        );
        return Err(flaw(word.at, message, "leave `over every` out"));
    }
    Ok(every)
}

fn flaw(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Flaw {
    Flaw {
        offset,
        message: message.into(),
        hint: Some(hint.into()),
    }
}

/// A name that is none of `candidates`: with the nearest of them, or else `hint`.
fn unknown<S: AsRef<str>>(
    what: &str,
    word: Word<'_>,
    candidates: impl IntoIterator<Item = S>,
    hint: String,
) -> Flaw {
    let name = word.text;
    match nearest(name, candidates) {
        Some(near) => Flaw {
            offset: word.at,
            message: format!("unknown {what} `{name}`; did you mean `{}`?", near.as_ref()),
            hint: None,
        },
        None => flaw(word.at, format!("unknown {what} `{name}`"), hint),
    }
}

fn wrong_unit(word: Word<'_>, error: &UnitError) -> Flaw {
    let hint = match error.fault() {
        Fault::NoUnit => format!("write {0}ms or {0}s", word.text),
        Fault::ZeroRate => "the lowest rate is one arrival a day".to_owned(),
        _ => error.hint(),
    };
    flaw(word.at, format!("`{}` {}", word.text, error.fault()), hint)
}
