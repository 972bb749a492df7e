//! What stands between `${` and `}`: a name, a feeder's field or a function.

use std::sync::Arc;

use super::{Scope, Source, Spelt, Value};
use crate::document::{Flaw, Place, nearest};
use crate::random::Zipf;
use crate::scenario::given::Key;

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scenario) enum Part {
    /// As it was written.
    Literal(String),
    /// What a variable holds that is always the same.
    Variable(String),
    /// A slot: its number, what its draws depend on and what fills it.
    Slot(u32, Scope, Source),
}

/// The names that a text may use, and what has been used of them so far.
#[derive(Debug, Clone, Default)]
pub(in crate::scenario) struct Names {
    /// The feeders of the file.
    pub(in crate::scenario) feeders: Vec<FeederUse>,
    /// What the set-up calls before this place capture.
    pub(in crate::scenario) setup: Vec<NameUse>,
    /// The variables of the flow that have been read.
    pub(in crate::scenario) variables: Vec<(NameUse, Vec<Part>)>,
    /// What steps of the flow before this place capture; the walk keeps them in this order.
    pub(in crate::scenario) captured: Vec<NameUse>,
    /// What later steps capture.
    pub(in crate::scenario) later: Vec<String>,
    /// What a run has to know.
    pub(in crate::scenario) known: Vec<(Key, Place)>,
    /// Where the text stands that is being read.
    pub(in crate::scenario) place: Place,
    /// The number of the next slot.
    pub(in crate::scenario) slots: u32,
    /// What the templates of the file hold so far.
    pub(in crate::scenario::template) spelt: Spelt,
    /// What draws of these slots depend on.
    pub(in crate::scenario) of_walk: bool,
}

/// A name, and whether something uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scenario) struct NameUse {
    pub(in crate::scenario) name: String,
    pub(in crate::scenario) used: bool,
}

/// A feeder and the fields of it that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scenario) struct FeederUse {
    pub(in crate::scenario) name: String,
    pub(in crate::scenario) fields: Vec<FieldUse>,
}

/// A field that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scenario) struct FieldUse {
    pub(in crate::scenario) name: String,
    /// Whether it must be a whole number.
    pub(in crate::scenario) whole: bool,
    /// Where it is used first.
    pub(in crate::scenario) place: Place,
}

impl NameUse {
    pub(in crate::scenario) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            used: false,
        }
    }
}

/// The functions, as they are written.
const FUNCTIONS: [&str; 9] = [
    "random.int",
    "random.zipf",
    "random.choice",
    "random.string",
    "seq",
    "uuid",
    "now",
    "int",
    "env",
];

/// The longest random text.
const MOST_LETTERS: usize = 64 << 10;

/// Whether a variable, a capture or a feeder may be called so: functions are not.
pub(in crate::scenario) fn is_reserved(name: &str) -> bool {
    FUNCTIONS.contains(&name) || name == "random"
}

/// `text` with each `${…}` dropped, to name a step by its path.
pub(in crate::scenario) fn without_slots(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        kept += before.strip_suffix('$').unwrap_or(before);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// Splits at `${…}`. `$${` stands for `${`, and a `$` before anything else for itself.
pub(in crate::scenario) fn parts(text: &str, names: &mut Names) -> Result<Vec<Part>, Flaw> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(found) = rest.find("${") {
        let offset = text.len() - rest.len() + found;
        if rest[..found].ends_with('$') {
            // The second `$` and the brace of `$${` are literal: drop the first.
            push_literal(&mut parts, &rest[..found - 1]);
            push_literal(&mut parts, "${");
            rest = &rest[found + 2..];
            continue;
        }
        let Some(end) = closing(&rest[found..]) else {
            let hint = Some("write $${ for a literal ${".to_owned());
            return Err(Flaw {
                offset,
                message: "`${` is not closed by `}`".to_owned(),
                hint,
            });
        };
        push_literal(&mut parts, &rest[..found]);
        let expression = &rest[found + 2..found + end];
        names.expression(expression, offset, &mut parts)?;
        rest = &rest[found + end + 1..];
    }
    push_literal(&mut parts, rest);
    Ok(parts)
}

/// Where the `}` stands that closes the `${` at the beginning of `text`: not within quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '}') => return Some(at),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed is none.
    text.find('}')
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(before)) => before.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

impl Names {
    /// The next slot's number.
    fn number(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    /// Reads what stands between `${` and `}`; `offset` is where the `${` stands.
    fn expression(
        &mut self,
        expression: &str,
        offset: usize,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flaw> {
        let name = expression.trim();
        let variable = self.variables.iter_mut().find(|(own, _)| own.name == name);
        if let Some((own, held)) = variable {
            own.used = true;
            parts.extend(held.iter().map(|part| match part {
                Part::Literal(text) => Part::Variable(text.clone()),
                part => part.clone(),
            }));
            return Ok(());
        }
        let source = self.source(expression).map_err(|(message, hint)| Flaw {
            offset,
            message,
            hint,
        })?;
        let scope = if self.of_walk {
            Scope::Walk
        } else {
            Scope::Step
        };
        parts.push(Part::Slot(self.number(), scope, source));
        Ok(())
    }

    fn source(&mut self, expression: &str) -> Result<Source, (String, Option<String>)> {
        let fail = |message: String, hint: Option<&str>| Err((message, hint.map(str::to_owned)));
        let (name, arguments) = match expression.trim().split_once('(') {
            None => (expression.trim(), None),
            Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
                Some(arguments) => (name.trim_end(), Some(arguments)),
                None => return fail(format!("`${{{expression}}}` lacks its `)`"), None),
            },
        };
        let usage = |usage: &str, why: &str| {
            Err((
                format!("`${{{expression}}}` {why}"),
                Some(format!("write {usage}")),
            ))
        };
        match (name, arguments) {
            ("random.int", Some(arguments)) => random_int(arguments)
                .or_else(|why| usage("${random.int(1, 100)}, both ends included", why)),
            ("random.zipf", Some(arguments)) => random_zipf(arguments).or_else(|why| {
                usage(
                    "${random.zipf(1, 10000, 1.1)}: from, to and the exponent",
                    why,
                )
            }),
            ("random.choice", Some(arguments)) => random_choice(arguments)
                .or_else(|why| usage("${random.choice(red, green, 'light blue')}", why)),
            ("random.string", Some(arguments)) => random_string(arguments)
                .or_else(|why| usage("${random.string(16)}, the number of letters", why)),
            ("random.int", None) => fail(
                "`random.int` wants its range".to_owned(),
                Some("write ${random.int(1, 100)}"),
            ),
            ("random.zipf" | "random.choice" | "random.string", None) => {
                fail(format!("`{name}` wants its arguments in parentheses"), None)
            }
            ("seq", None) => Ok(Source::Seq),
            ("uuid", None) => Ok(Source::Uuid),
            ("now", None) => Ok(Source::Now),
            ("seq" | "uuid" | "now", Some(_)) => fail(
                format!("`{name}` takes no arguments"),
                Some(&format!("write ${{{name}}}")),
            ),
            ("int", Some(inner)) => self.int(inner),
            ("int", None) => usage("${int(users.account)}", "wants the value to convert"),
            ("env", _) => usage(
                "${env.NAME}",
                "wants the name of a variable of the environment",
            ),
            (name, None) => self.name(name, expression),
            (name, Some(_)) => Err(self.unknown(name)),
        }
    }

    fn int(&mut self, inner: &str) -> Result<Source, (String, Option<String>)> {
        if self
            .variables
            .iter()
            .any(|(own, _)| own.name == inner.trim())
        {
            let hint = format!("convert where `{}` is defined", inner.trim());
            return Err(("`int` takes no variable".to_owned(), Some(hint)));
        }
        if inner.trim_start().starts_with("int") && inner.contains('(') {
            // Refused before it is read: calls within calls without end would be read by recursion.
            return Err(("`int` takes no `int`".to_owned(), None));
        }
        let inner = self.source(inner)?;
        match &inner {
            Source::Field { feeder, field, .. } => {
                self.feeders[*feeder].fields[*field].whole = true;
            }
            Source::Captured { .. } | Source::Known(_) => {}
            other => {
                let message = format!("`int` converts text, and `{other}` is no text");
                return Err((message, Some(format!("write ${{{other}}}"))));
            }
        }
        Ok(Source::Int(Box::new(inner)))
    }

    /// A name without arguments.
    fn name(&mut self, name: &str, expression: &str) -> Result<Source, (String, Option<String>)> {
        if let Some(variable) = name.strip_prefix("env.") {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if variable.is_empty() || !variable.bytes().all(letters) {
                let message = format!("`${{{expression}}}` names no variable of the environment");
                return Err((message, Some("write ${env.NAME}".to_owned())));
            }
            let key = Key::Env(variable.to_owned());
            self.ask(key.clone(), self.place);
            return Ok(Source::Known(key));
        }
        if let Some((feeder, field)) = name.split_once('.')
            && let Some(index) = self.feeders.iter().position(|known| known.name == feeder)
        {
            let fields = &mut self.feeders[index].fields;
            let at = fields.iter().position(|known| known.name == field);
            let field_index = at.unwrap_or_else(|| {
                fields.push(FieldUse {
                    name: field.to_owned(),
                    whole: false,
                    place: self.place,
                });
                fields.len() - 1
            });
            return Ok(Source::Field {
                feeder: index,
                field: field_index,
                name: Arc::from(name),
            });
        }
        if let Some(index) = self.captured.iter().position(|known| known.name == name) {
            if self.of_walk {
                let message = format!(
                    "`{name}` is captured by a step, and variables are drawn before the first one"
                );
                return Err((
                    message,
                    Some(format!("write ${{{name}}} in the step itself")),
                ));
            }
            self.captured[index].used = true;
            return Ok(Source::Captured {
                index,
                name: Arc::from(name),
            });
        }
        if let Some(known) = self.setup.iter_mut().find(|known| known.name == name) {
            known.used = true;
            return Ok(Source::Known(Key::Setup(name.to_owned())));
        }
        Err(self.unknown(name))
    }

    /// Notes that a run has to know `key`, which is asked for at `place`.
    pub(in crate::scenario) fn ask(&mut self, key: Key, place: Place) {
        if !self.known.iter().any(|(known, _)| *known == key) {
            self.known.push((key, place));
        }
    }

    fn unknown(&self, name: &str) -> (String, Option<String>) {
        if self.later.iter().any(|known| known == name) {
            let hint = "a step can use what steps before it in the same flow have captured";
            return (
                format!("`{name}` is captured only later"),
                Some(hint.to_owned()),
            );
        }
        if self.feeders.iter().any(|known| known.name == name) {
            return (
                format!("`{name}` is a feeder, and its fields are values"),
                Some(format!("write ${{{name}.field}}")),
            );
        }
        let own = (self.captured.iter().chain(&self.setup))
            .chain(self.variables.iter().map(|(own, _)| own))
            .map(|known| known.name.as_str());
        let feeders = self.feeders.iter().map(|feeder| feeder.name.as_str());
        let prefix = name.split_once('.').map_or(name, |(prefix, _)| prefix);
        let near = nearest(name, own.chain(FUNCTIONS))
            .map(str::to_owned)
            .or_else(|| {
                let near = nearest(prefix, feeders).filter(|_| prefix != name)?;
                Some(format!("{near}{}", &name[prefix.len()..]))
            });
        match near {
            Some(near) => (
                format!("unknown name `{name}`; did you mean `{near}`?"),
                None,
            ),
            None => {
                let hint = format!(
                    "the functions are {}; write $${{ for a literal ${{",
                    FUNCTIONS.join(", ")
                );
                (format!("unknown name `{name}`"), Some(hint))
            }
        }
    }
}

/// Reads `low, high`; the error completes "`${…}` …".
fn random_int(arguments: &str) -> Result<Source, &'static str> {
    let wants = "wants two whole numbers";
    let (low, high) = arguments.split_once(',').ok_or(wants)?;
    let (low, span) = range(low, high, wants)?;
    Ok(Source::RandomInt { low, span })
}

fn range(low: &str, high: &str, wants: &'static str) -> Result<(i64, u64), &'static str> {
    let (Ok(low), Ok(high)) = (low.trim().parse::<i64>(), high.trim().parse::<i64>()) else {
        return Err(wants);
    };
    if low > high {
        return Err("has its ends the wrong way round");
    }
    Ok((low, high.abs_diff(low)))
}

/// Reads `low, high, exponent`.
fn random_zipf(arguments: &str) -> Result<Source, &'static str> {
    let wants = "wants two whole numbers and an exponent";
    let arguments: Vec<&str> = arguments.split(',').collect();
    let [low, high, exponent] = arguments[..] else {
        return Err(wants);
    };
    let (low, span) = range(low, high, wants)?;
    let exponent: f64 = exponent.trim().parse().map_err(|_| wants)?;
    if !(exponent > 0.0 && exponent <= 10.0) {
        return Err("wants an exponent above 0 and up to 10");
    }
    let ranks = span.checked_add(1).filter(|&ranks| ranks <= 1 << 52);
    let ranks = ranks.ok_or("has more ranks than can be told apart: at most 2^52")?;
    Ok(Source::RandomZipf {
        low,
        zipf: Zipf::new(ranks, exponent),
    })
}

/// Reads values, in quotes where they hold a comma or are text that looks like a number.
fn random_choice(arguments: &str) -> Result<Source, &'static str> {
    let mut values = Vec::new();
    let mut rest = arguments.trim();
    loop {
        let (value, after) = match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let (text, after) = rest[1..].split_once(quote).ok_or("has an open quote")?;
                (Value::text(text), after.trim_start())
            }
            _ => {
                let end = rest.find(',').unwrap_or(rest.len());
                let text = rest[..end].trim();
                if text.is_empty() {
                    return Err("has an empty choice; quote it if it is meant");
                }
                use serde_json::Value::{Bool, Null, Number};
                let is_json = matches!(serde_json::from_str(text), Ok(Number(_) | Bool(_) | Null));
                let value = Value {
                    text: text.into(),
                    is_json,
                };
                (value, &rest[end..])
            }
        };
        values.push(value);
        match after.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if after.is_empty() => break,
            None => return Err("has something behind a quote"),
        }
    }
    Ok(Source::RandomChoice(values.into()))
}

fn random_string(arguments: &str) -> Result<Source, &'static str> {
    let wants = "wants a number of letters from 1 to 65,536";
    let length: usize = arguments.trim().parse().map_err(|_| wants)?;
    if !(1..=MOST_LETTERS).contains(&length) {
        return Err(wants);
    }
    Ok(Source::RandomString(length))
}
