//! A verification as people read it.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding, Style};

use super::peers::Model;
use super::{
    ALLOWED_NS, ALLOWED_SHARE, Found, JUDGED, Late, PeerFound, Seen, Verification, is_off, ms,
};
use crate::units::{format_duration, three_digits};
use crate::validity::State;

/// Columns between two columns.
const GAP: usize = 3;
/// Columns of text before the first column of numbers: the mark, the script, and whose line it is.
const WORDS: usize = 3;

impl Verification {
    /// The whole table, with the verdict last.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "tailmark against its oracle    {} for {} per script · ms from the moment each request was due\n",
            self.rate,
            format_duration(self.duration)
        );
        text += &self.grid();
        for Found { scripted, .. } in &self.found {
            text += &format!("  {:<11}  {}\n", scripted.name, scripted.does);
        }
        text += &self.notes();
        text + &self.verdict()
    }

    fn grid(&self) -> String {
        let mut builder = Builder::default();
        let judged = JUDGED.map(|quantile| quantile.to_string());
        let mut header = vec![String::new(), "script".into(), String::new()];
        header.extend(judged);
        header.extend(["max", "late µs p50", "p99", "max"].map(str::to_owned));
        builder.push_record(header);
        for found in &self.found {
            for row in rows(found) {
                builder.push_record(row);
            }
        }
        let mut table = builder.build();
        table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
        let columns = WORDS + JUDGED.len() + 4;
        for place in WORDS..columns {
            table.modify(Columns::one(place), Alignment::right());
        }
        table.modify(Columns::one(0), Padding::new(2, 1, 0, 0));
        let text = table.to_string();
        text.lines()
            .fold(String::new(), |all, line| all + line.trim_end() + "\n")
    }

    fn notes(&self) -> String {
        let mut text = String::new();
        for found in &self.found {
            let name = found.scripted.name;
            for off in &found.earlier {
                let off = off.join("; ");
                text += &format!("  note         {name}: played again, since it was off: {off}\n");
            }
            if found.validity.state != State::Valid {
                text += &format!(
                    "  note         {name}: tailmark calls its own run {}: {}\n",
                    found.validity.state.name(),
                    found.validity.reasons.join("; ")
                );
            }
            for peer in &found.peers {
                if let Err(why) = &peer.reported {
                    let peer = peer.name;
                    text += &format!("  note         {name}: {peer}: {why}\n");
                }
            }
        }
        let closed = |peer: &PeerFound| peer.model == Model::Closed;
        if self.found.iter().flat_map(|found| &found.peers).any(closed) {
            text += "  note         a closed loop has no rate: its truth runs from one answer on a connection to the next\n";
        }
        if !self.not_installed.is_empty() {
            text += &format!(
                "  missing      not installed: {}\n",
                self.not_installed.join(", ")
            );
        }
        text
    }

    fn verdict(&self) -> String {
        let wrong: Vec<String> = self
            .found
            .iter()
            .filter_map(|found| {
                let wrongs = found.wrongs();
                let words = format!("{}: {}", found.scripted.name, wrongs.join("; "));
                (!wrongs.is_empty()).then_some(words)
            })
            .collect();
        let bound = format!("{} % + {} µs", ALLOWED_SHARE * 100.0, ALLOWED_NS / 1_000);
        if wrong.is_empty() {
            let count = self.found.len();
            return format!(
                "RIGHT        {count} of {count} scripts: p50 to p99.9 within {bound} of what is true\n"
            );
        }
        let right = self.found.len() - wrong.len();
        let mut text = format!(
            "WRONG        {right} of {} scripts: p50 to p99.9 within {bound} of what is true\n",
            self.found.len()
        );
        for words in wrong {
            text += &format!("             {words}\n");
        }
        text
    }
}

fn rows(found: &Found) -> Vec<Vec<String>> {
    let mark = if found.wrongs().is_empty() {
        "✓"
    } else {
        "✗"
    };
    let mut truth = vec![mark.into(), found.scripted.name.into(), "true".into()];
    truth.extend(times(&found.truth, None));
    truth.extend(late(None));
    let mut measured = vec![String::new(), String::new(), "tailmark".into()];
    measured.extend(times(&found.measured, Some(&found.truth)));
    measured.extend(late(found.late));
    let mut rows = vec![truth, measured];
    for peer in &found.peers {
        let model = match peer.model {
            Model::Open => "",
            Model::Closed => ", closed loop",
        };
        let truth = peer.truth.map(|truth| [truth.p50, truth.p99]);
        let said = peer.reported.as_ref().ok();
        let said = said.map(|reported| [reported.p50, reported.p99]);
        rows.push(peer_row(format!("true{model}"), truth, None));
        rows.push(peer_row(peer.name.into(), said, truth));
    }
    rows
}

/// p50 and p99 in their columns, marked where they are not what is true.
fn peer_row(whose: String, times: Option<[u64; 2]>, truth: Option<[u64; 2]>) -> Vec<String> {
    let cell = |place: usize| match times {
        Some(times) => marked(times[place], truth.map(|truth| truth[place])),
        None => "n/a".into(),
    };
    let mut row = vec![String::new(), String::new(), whose];
    row.extend([
        cell(0),
        String::new(),
        cell(1),
        String::new(),
        String::new(),
    ]);
    row.extend(late(None));
    row
}

/// The judged quantiles and the maximum, marked where they are not what is true.
fn times(seen: &Seen, truth: Option<&Seen>) -> Vec<String> {
    let Some(figures) = seen.times else {
        return vec!["n/a".into(); JUDGED.len() + 1];
    };
    let truth = truth.and_then(|truth| truth.times);
    let quantiles = figures.quantiles.iter().enumerate();
    let mut cells: Vec<String> = quantiles
        .map(|(place, &ns)| marked(ns, truth.map(|truth| truth.quantiles[place])))
        .collect();
    cells.push(ms(figures.max));
    cells
}

fn marked(ns: u64, truth: Option<u64>) -> String {
    let mark = match truth {
        Some(truth) if is_off(truth, ns) => "✗ ",
        _ => "",
    };
    format!("{mark}{}", ms(ns))
}

fn late(late: Option<Late>) -> [String; 3] {
    let us = |ns: u64| three_digits(ns as f64 / 1e3);
    match late {
        Some(Late { p50, p99, max }) => [us(p50), us(p99), us(max)],
        None => [const { String::new() }; 3],
    }
}
