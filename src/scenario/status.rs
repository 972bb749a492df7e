//! Which statuses a step expects.

use std::fmt;
use std::ops::RangeInclusive;

use crate::document::{Kind, Node, Walk};

/// A set of HTTP statuses, as ranges in the order in which they were written. Displayed as `200, 404` or `200..399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet {
    ranges: Vec<RangeInclusive<u16>>,
}

impl StatusSet {
    /// Whether `status` is expected.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status))
    }

    /// Reads `201`, `2xx`, `200..299` or a list of those.
    pub(super) fn read(walk: &mut Walk<'_>, node: &Node) -> Option<Self> {
        let items = match &node.kind {
            Kind::Seq(items) if items.is_empty() => {
                walk.refuse(node.place, "`status` is empty");
                return None;
            }
            Kind::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let ranges: Vec<_> = items.iter().filter_map(|item| range(walk, item)).collect();
        (ranges.len() == items.len()).then_some(Self { ranges })
    }
}

impl Default for StatusSet {
    /// 200..399: what a step without a status check expects.
    fn default() -> Self {
        Self {
            ranges: vec![200..=399],
        }
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, range) in self.ranges.iter().enumerate() {
            let comma = if k > 0 { ", " } else { "" };
            let (low, high) = (range.start(), range.end());
            if low == high {
                write!(f, "{comma}{low}")?;
            } else {
                write!(f, "{comma}{low}..{high}")?;
            }
        }
        Ok(())
    }
}

fn range(walk: &mut Walk<'_>, node: &Node) -> Option<RangeInclusive<u16>> {
    let found = match node.kind {
        Kind::Int(_) | Kind::Str => parse(&node.text),
        _ => None,
    };
    if found.is_none() {
        walk.wrong_type(
            node,
            "status",
            "statuses such as 201, [200, 404], 2xx or 200..299",
        );
    }
    found
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let status = |text: &str| {
        text.parse()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    let (low, high) = (status(low)?, status(high)?);
    (low <= high).then_some(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_as_written() {
        for (text, expected) in [
            ("201", Some("201")),
            ("2xx", Some("200..299")),
            ("200..204", Some("200..204")),
            ("299..200", None),
            ("600", None),
            ("99", None),
            ("6xx", None),
            ("xx", None),
            ("", None),
        ] {
            let seen = parse(text).map(|range| {
                StatusSet {
                    ranges: vec![range],
                }
                .to_string()
            });
            assert_eq!(seen.as_deref(), expected, "{text}");
        }
        let usual = StatusSet::default();
        assert_eq!(
            [199, 200, 399, 400].map(|status| usual.contains(status)),
            [false, true, true, false]
        );
    }
}
