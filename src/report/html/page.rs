//! What every page has: its head with the policy that admits nothing but its own style and script, and the parts of reports
//! as HTML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::glossary::{self, Term};
use crate::report::layout::{Grid, Item};
use crate::units::thousands;

/// The style of every page.
pub(super) const STYLE: &str = include_str!("report.css");
/// What makes plots tell values, and tables sort. Without it everything is there, but still.
pub(super) const SCRIPT: &str = include_str!("report.js");

/// Rows of a table at most: a page is sent by mail.
pub(super) const MOST_ROWS: usize = 500;

/// Characters of a scenario that a page has.
pub(super) const SCENARIO: usize = 100_000;

/// A whole page.
pub(super) struct Shell {
    /// Of the window, and of a bookmark.
    pub(super) title: String,
    /// What kind of report it is: `run`, `comparison`.
    pub(super) kind: &'static str,
    /// When it was measured, as RFC 3339.
    pub(super) started: Option<String>,
    /// tailmark's version at that time.
    pub(super) version: Option<String>,
    /// What it is about, and the verdict.
    pub(super) head: Markup,
    pub(super) sections: Vec<Section>,
    /// Which words are explained at the end.
    pub(super) terms: Vec<Term>,
}

/// A part of a page, with a link to it from the top.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: String,
    /// What its link is called, and to what it belongs, where links of a page are grouped.
    pub(super) link: (&'static str, String),
    /// How it is read, one click away.
    pub(super) help: Option<Markup>,
    pub(super) body: Markup,
}

impl Shell {
    pub(super) fn render(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    meta name="generator" content=(format!("tailmark {}", env!("CARGO_PKG_VERSION")));
                    // An icon of nothing: else some browsers ask for one.
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header.top {
                        p.kind {
                            b { "tailmark" } " " (self.kind)
                            @if let Some(started) = &self.started { " · " time datetime=(started) { (moment(started)) } }
                        }
                        (self.head)
                    }
                    (self.links())
                    main {
                        @for section in &self.sections { (section.render()) }
                        (self.glossary())
                    }
                    footer { (self.foot()) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn links(&self) -> Markup {
        let groups = self.sections.chunk_by(|a, b| a.link.0 == b.link.0);
        let last = groups.clone().count();
        html! {
            nav aria-label="Sections" {
                @for (place, group) in groups.enumerate() {
                    p {
                        @if !group[0].link.0.is_empty() { span { (group[0].link.0) } }
                        @for section in group { a href=(format!("#{}", section.id)) { (section.link.1) } }
                        @if place + 1 == last && !self.terms.is_empty() { a href="#glossary" { "Glossary" } }
                    }
                }
            }
        }
    }

    fn glossary(&self) -> Markup {
        html! {
            @if !self.terms.is_empty() {
                section #glossary {
                    h2 { "Glossary" }
                    dl.glossary {
                        @for term in &self.terms {
                            div id=(term.anchor()) { dt { (term.name) } dd { (term.meaning) } }
                        }
                    }
                }
            }
        }
    }

    fn foot(&self) -> Markup {
        let version = self.version.as_deref().unwrap_or("of an unknown version");
        html! {
            p {
                "Measured by tailmark " (version) ". This page is one file without links to anything outside it: "
                "it can be kept, sent and printed. The record that it was made of keeps the whole distributions."
            }
        }
    }
}

impl Section {
    pub(super) fn new(id: &'static str, heading: impl Into<String>, body: Markup) -> Self {
        let heading = heading.into();
        Self {
            id,
            link: ("", heading.clone()),
            heading,
            help: None,
            body,
        }
    }

    pub(super) fn explained(self, help: Markup) -> Self {
        Self {
            help: Some(help),
            ..self
        }
    }

    /// With a link among those of `group`, called `name` there.
    pub(super) fn linked(self, group: &'static str, name: &str) -> Self {
        Self {
            link: (group, name.to_owned()),
            ..self
        }
    }

    fn render(&self) -> Markup {
        html! {
            section id=(self.id) {
                h2 { (self.heading) }
                @if let Some(help) = &self.help {
                    details.help { summary { "How to read this" } (help) }
                }
                (self.body)
            }
        }
    }
}

/// What the page may load: its own style and script, and nothing else from anywhere.
pub(super) fn policy() -> String {
    let digest = |text: &str| BASE64.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// A word that is explained at the end of the page.
pub(super) fn term(id: &str, words: &str) -> Markup {
    html! { a.term href=(format!("#{}", glossary::anchor(id))) { (words) } }
}

/// `2026-11-23 07:41 UTC` of `2026-11-23T07:41:00Z`.
fn moment(started: &str) -> String {
    match (
        started.get(..10),
        started.get(11..16),
        started.ends_with('Z'),
    ) {
        (Some(day), Some(time), true) => format!("{day} {time} UTC"),
        _ => started.to_owned(),
    }
}

/// The parts of a report, in their order: labels with what they say as lists, grids as tables.
pub(super) fn items(items: &[Item], about: &str) -> Markup {
    let mut groups: Vec<Vec<&Item>> = Vec::new();
    for item in items {
        let joins = |group: &&mut Vec<&Item>| {
            let is_labelled = |item: &Item| matches!(item, Item::Labelled { .. });
            is_labelled(item) && group.last().is_some_and(|last| is_labelled(last))
        };
        match groups.last_mut().filter(joins) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    html! { @for group in groups { (self::group(&group, about)) } }
}

fn group(items: &[&Item], about: &str) -> Markup {
    match items {
        [Item::Title { title, facts }] => html! {
            h3 { (title) }
            @if !facts.is_empty() { p.facts { (facts.join(" · ")) } }
        },
        [Item::Ending { word, text, .. }] => html! { p.ending { b { (word) } " " (text) } },
        [Item::Marked { mark, text }] => html! { p.marked { b { (mark) } " " (text) } },
        [Item::Paragraph(text)] => html! { p { (text) } },
        [Item::Grid(grid)] => table(grid, about),
        [Item::Blank] | [] => html! {},
        labelled => facts(labelled),
    }
}

/// Labels beside what they say; one without a label goes on with what stands above.
fn facts(items: &[&Item]) -> Markup {
    let mut rows: Vec<(&str, bool, Vec<&str>)> = Vec::new();
    for item in items {
        let Item::Labelled {
            label,
            is_verdict,
            parts,
        } = item
        else {
            continue;
        };
        let parts = parts
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty());
        match rows.last_mut().filter(|_| label.is_empty()) {
            Some((_, _, said)) => said.extend(parts),
            None => rows.push((label, *is_verdict, parts.collect())),
        }
    }
    html! {
        dl.facts {
            @for (label, is_verdict, parts) in rows {
                dt.strong[is_verdict] { (label) }
                dd { @for part in parts { p { (part) } } }
            }
        }
    }
}

/// A grid as a table that sorts, in a box of its own that scrolls where the page is narrow.
pub(super) fn table(grid: &Grid, about: &str) -> Markup {
    long_table(grid, about, "report.json")
}

/// The same of a grid that may be long: `whole` is the file that has all of its rows.
pub(super) fn long_table(grid: &Grid, about: &str, whole: &str) -> Markup {
    let columns = grid.columns();
    let names = whole_names(grid);
    let rows = grid.rows().iter().zip(&names).take(MOST_ROWS);
    let heads = html! { @for column in columns { (head(column.header(), !column.is_right())) } };
    let body = html! {
        @for ((cells, is_dim), name) in rows {
            tr.dim[*is_dim] {
                th scope="row" { (name) }
                @for (cell, column) in cells.iter().zip(columns).skip(1) {
                    @if column.is_bold() {
                        td { b { (cell) } }
                    } @else if column.is_right() {
                        td { (cell) }
                    } @else {
                        td.l { (cell) }
                    }
                }
            }
        }
    };
    html! { (table_of(about, &heads, &body)) (left_out(grid.rows().len(), whole)) }
}

/// What is said of rows for which a table has no room, if there are any.
pub(super) fn left_out(rows: usize, whole: &str) -> Markup {
    let count = |rows: usize| thousands(rows as u64);
    html! {
        @if rows > MOST_ROWS {
            p.note {
                "The first " (count(MOST_ROWS)) " of " (count(rows)) " rows: " (count(rows - MOST_ROWS)) " are left out. "
                "-o " (whole) " has all of them."
            }
        }
    }
}

/// The names of rows, each with the group that text has only at the first of a group, where those below are indented: rows
/// that are sorted lose their neighbours.
fn whole_names(grid: &Grid) -> Vec<String> {
    let mut group = "";
    let names = grid.rows().iter().map(|(cells, _)| {
        let cell = cells.first().map_or("", String::as_str);
        let own = cell.trim_start();
        let indent = cell.chars().count() - own.chars().count();
        if cell.is_empty() {
            return group.to_owned();
        }
        if indent == 0 {
            group = cell;
            return cell.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let start: String = group.chars().take(indent).collect();
        format!("{} {own}", start.trim_end())
    });
    names.collect()
}

/// A table of given heads and rows.
pub(super) fn table_of(about: &str, heads: &Markup, rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(about) {
            table {
                thead { tr { (heads) } }
                tbody { (rows) }
            }
        }
    }
}

/// A column's head, by which a table is sorted; one without words has nothing to sort by.
pub(super) fn head(words: &str, is_left: bool) -> Markup {
    html! {
        @if words.trim().is_empty() {
            td {}
        } @else {
            th.l[is_left] scope="col" { button type="button" { (words.trim()) } }
        }
    }
}

/// Text from the world as it is, up to so many characters: a page is sent by mail.
pub(super) fn verbatim(text: &str, most: usize) -> Markup {
    let cut = text.char_indices().nth(most).map(|(place, _)| place);
    html! {
        pre tabindex="0" { (cut.map_or(text, |place| &text[..place])) }
        @if cut.is_some() { p.note { "Only its beginning: the record has all of it." } }
    }
}
