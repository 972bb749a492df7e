//! What is wrong with a file, where, and what to do about it.

use std::fmt;

use super::{Document, Place};

/// One thing that is wrong with a file. Displayed as `crud.yaml:14:1: unknown key …`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as its reader named it.
    pub file: String,
    /// Where; none if it concerns the file as a whole.
    pub place: Option<Place>,
    /// A lower-case fragment.
    pub message: String,
    /// The next step, where there is an obvious one.
    pub hint: Option<String>,
    /// The line at `place`, fit for a terminal, and the characters before the caret.
    quoted: Option<(String, usize)>,
}

impl Problem {
    /// Characters of a line that are quoted: what a terminal shows beside the line number without wrapping.
    const QUOTED_WIDTH: usize = 100;

    fn new(document: &Document, finding: Finding) -> Self {
        let Finding {
            place,
            message,
            hint,
        } = finding;
        let line = document.line(place.line);
        Self {
            file: document.file.clone(),
            place: Some(place),
            message,
            hint,
            quoted: line.map(|line| Self::quote(line, place)),
        }
    }

    fn quote(line: &str, place: Place) -> (String, usize) {
        let before_caret = place.column.saturating_sub(1);
        let skipped = if before_caret < Self::QUOTED_WIDTH {
            0
        } else {
            before_caret - Self::QUOTED_WIDTH / 2
        };
        // Control characters could move a terminal's cursor, or worse.
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(Self::QUOTED_WIDTH)
            .map(printable)
            .collect();
        (shown.trim_end().to_owned(), before_caret - skipped)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.message)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// A problem before it is known whether it will be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    place: Place,
    message: String,
    hint: Option<String>,
}

impl Finding {
    /// Characters of a message: some lines of a terminal. What is quoted from a file may be as long as the file.
    const LONGEST: usize = 300;

    pub(super) fn new(place: Place, message: &str, hint: Option<&str>) -> Self {
        Self {
            place,
            message: printable(message),
            hint: hint.map(printable),
        }
    }
}

/// `text` without control characters, which could move a terminal's cursor, and no longer than fits.
fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(Finding::LONGEST).map(safe).collect();
    if text.len() > shown.len() && text.chars().nth(Finding::LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// All that is wrong with a file, in the order of the file, at most [`Problems::MAX_SHOWN`] of them.
///
/// Displayed in full, ready for a terminal: `error:` or `warning:` and the problem, the quoted line with a caret, `hint:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    shown: Vec<Problem>,
    beyond: usize,
    severity: Severity,
}

/// How bad problems are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, and probably something else was meant.
    Warning,
}

impl Problems {
    /// As many as a person corrects before running the check again.
    pub const MAX_SHOWN: usize = 20;

    pub(super) fn new(document: &Document, all: Vec<Finding>) -> Self {
        Self::of(Severity::Error, document, all)
    }

    pub(super) fn of(severity: Severity, document: &Document, mut all: Vec<Finding>) -> Self {
        all.sort_by_key(|finding| finding.place);
        // What stands under an anchor is wrong wherever it is taken over, and said once.
        all.dedup();
        let beyond = all.len().saturating_sub(Self::MAX_SHOWN);
        all.truncate(Self::MAX_SHOWN);
        Self {
            shown: all
                .into_iter()
                .map(|finding| Problem::new(document, finding))
                .collect(),
            beyond,
            severity,
        }
    }

    /// What is wrong with a file as a whole.
    pub(super) fn whole(file: &str, message: String, hint: &str) -> Self {
        let problem = Problem {
            file: file.to_owned(),
            place: None,
            message,
            hint: Some(hint.to_owned()),
            quoted: None,
        };
        Self {
            shown: vec![problem],
            beyond: 0,
            severity: Severity::Error,
        }
    }

    /// The problems, at least one.
    #[must_use]
    pub fn shown(&self) -> &[Problem] {
        &self.shown
    }

    /// The same problems about a file that nobody wrote: what is wrong and what to do, but no places.
    pub(crate) fn without_places(mut self) -> Self {
        for problem in &mut self.shown {
            (problem.place, problem.quoted) = (None, None);
        }
        self
    }

    /// How many more there are at least than are shown.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.beyond
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, problem) in self.shown.iter().enumerate() {
            if k > 0 {
                writeln!(f)?;
            }
            let word = match self.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            write!(f, "{word}: {problem}")?;
            if let (Some(place), Some((line, before_caret))) = (problem.place, &problem.quoted) {
                let number = place.line.to_string();
                write!(f, "\n  {number} | {line}")?;
                write!(
                    f,
                    "\n  {:width$} | {:before_caret$}^",
                    "",
                    "",
                    width = number.len()
                )?;
            }
            if let Some(hint) = &problem.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        if self.beyond > 0 {
            write!(f, "\nand at least {} more", self.beyond)?;
        }
        Ok(())
    }
}
