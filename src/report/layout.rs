//! The parts of a report, and how they become lines and grids: labels, wrapping, widths. What is bold or dim here means the same without.

use tabled::builder::Builder;
use tabled::settings::object::{Cell, Columns, Rows};
use tabled::settings::{Alignment, Color, Padding, Style};

/// Columns before what stands beside a label: two of indent, nine of label, two between.
const BESIDE_LABEL: usize = 13;
/// Columns between two columns of a grid.
const GAP: usize = 3;
/// Columns before a grid.
const INDENT: usize = 2;

/// A report as it grows, part by part.
#[derive(Debug)]
pub(super) struct Page {
    width: usize,
    color: bool,
    items: Vec<Item>,
}

/// A part of a report, before it is laid out.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// What is reported, and facts of it.
    Title { title: String, facts: Vec<String> },
    /// A label, which may be a verdict on something, and what it says.
    Labelled {
        label: String,
        is_verdict: bool,
        parts: Vec<String>,
    },
    /// What it all comes to: a word, and what it says from column `indent` on.
    Ending {
        word: String,
        indent: usize,
        text: String,
    },
    /// A line behind a mark.
    Marked { mark: String, text: String },
    /// Words.
    Paragraph(String),
    /// An empty line.
    Blank,
    /// A grid.
    Grid(Grid),
}

/// A table of cells in columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    columns: Vec<Column>,
    rows: Vec<(Vec<String>, bool)>,
}

/// One column of a grid.
#[derive(Debug, Clone)]
pub(super) struct Column {
    header: String,
    right: bool,
    bold: bool,
    /// Which column goes first where there is no room; none: it stays.
    goes: Option<u8>,
}

impl Page {
    pub(super) fn new(width: usize, color: bool) -> Self {
        Self {
            width,
            color,
            items: Vec::new(),
        }
    }

    /// A page without an edge: whoever takes its [items](Self::into_items) lays them out.
    pub(super) fn unbounded() -> Self {
        Self::new(usize::MAX, false)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// What is reported, and facts of it behind, or under it where the line is too short.
    pub(super) fn title(&mut self, title: &str, facts: &[String]) {
        self.items.push(Item::Title {
            title: title.to_owned(),
            facts: facts.to_vec(),
        });
    }

    /// A label and what it says, in parts that stand apart on one line, or below each other where it is too short.
    pub(super) fn labelled(&mut self, label: &str, parts: &[&str]) {
        self.beside(label, false, parts);
    }

    /// As [`Self::labelled`], with a label that is a verdict on something.
    pub(super) fn verdict(&mut self, label: &str, parts: &[&str]) {
        self.beside(label, true, parts);
    }

    /// What it all comes to: a word at the margin, and what it says from column `indent` on.
    pub(super) fn ending(&mut self, word: &str, indent: usize, text: &str) {
        self.items.push(Item::Ending {
            word: word.to_owned(),
            indent,
            text: text.to_owned(),
        });
    }

    /// A line that begins with a mark of one column.
    pub(super) fn marked(&mut self, mark: &str, text: &str) {
        self.items.push(Item::Marked {
            mark: mark.to_owned(),
            text: text.to_owned(),
        });
    }

    /// Words at the margin.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.items.push(Item::Paragraph(text.to_owned()));
    }

    pub(super) fn blank(&mut self) {
        self.items.push(Item::Blank);
    }

    /// A grid, without the columns for which there is no room.
    pub(super) fn grid(&mut self, grid: &Grid) {
        self.items.push(Item::Grid(grid.clone()));
    }

    /// Its parts, for whoever lays them out otherwise than as lines.
    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }

    pub(super) fn into_text(self) -> String {
        let mut lines = Lines {
            width: self.width,
            color: self.color,
            text: String::new(),
        };
        self.items.iter().for_each(|item| lines.add(item));
        lines.text
    }

    fn beside(&mut self, label: &str, is_verdict: bool, parts: &[&str]) {
        self.items.push(Item::Labelled {
            label: label.to_owned(),
            is_verdict,
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        });
    }
}

/// A report as lines of a width.
struct Lines {
    width: usize,
    color: bool,
    text: String,
}

impl Lines {
    fn add(&mut self, item: &Item) {
        match item {
            Item::Title { title, facts } => self.title(title, facts),
            Item::Labelled {
                label,
                is_verdict,
                parts,
            } => self.beside(label, *is_verdict, parts),
            Item::Ending { word, indent, text } => self.ending(word, *indent, text),
            Item::Marked { mark, text } => {
                self.wrapped(format!("  {mark} "), INDENT + 2, &plain(text));
            }
            Item::Paragraph(text) => self.wrapped(String::new(), 0, &plain(text)),
            Item::Blank => self.text.push('\n'),
            Item::Grid(grid) => {
                let text = grid.fitted(self.width).render(self.color);
                self.text += &text;
            }
        }
    }

    fn title(&mut self, title: &str, facts: &[String]) {
        let title = plain(title);
        let facts = plain(&facts.join(" · "));
        let one_line = format!("{title}    {facts}");
        if facts.is_empty() || columns(&one_line) <= self.width {
            self.push(one_line.trim_end());
        } else {
            self.push(&title);
            self.wrapped(" ".repeat(INDENT), INDENT, &facts);
        }
    }

    fn ending(&mut self, word: &str, indent: usize, text: &str) {
        let begin = self.text.len();
        self.wrapped(format!("{word:<indent$}"), indent, &plain(text));
        if self.color {
            self.text.insert_str(begin + word.len(), "\u{1b}[22m");
            self.text.insert_str(begin, "\u{1b}[1m");
        }
    }

    fn beside(&mut self, label: &str, bold: bool, parts: &[String]) {
        let parts = parts.iter().map(|part| plain(part));
        let start = format!("  {label:<9}  ");
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        let whole = parts.join("     ");
        let begin = self.text.len() + INDENT;
        if columns(&start) + columns(&whole) <= self.width {
            self.push(format!("{start}{whole}").trim_end());
        } else {
            let mut start = start;
            for part in &parts {
                self.wrapped(start, BESIDE_LABEL, part);
                start = " ".repeat(BESIDE_LABEL);
            }
        }
        if bold && self.color {
            self.text.insert_str(begin + label.len(), "\u{1b}[22m");
            self.text.insert_str(begin, "\u{1b}[1m");
        }
    }

    /// Breaks `text` between words; what follows the first line is indented by `indent`.
    fn wrapped(&mut self, start: String, indent: usize, text: &str) {
        let mut line = start;
        let mut fresh = true;
        for word in text.split(' ') {
            let space = usize::from(!fresh);
            if !fresh && columns(&line) + space + columns(word) > self.width {
                self.push(line.trim_end());
                line = " ".repeat(indent);
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line += word;
            fresh = false;
        }
        self.push(line.trim_end());
    }

    fn push(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }
}

impl Column {
    pub(super) fn left(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            right: false,
            bold: false,
            goes: None,
        }
    }

    pub(super) fn right(header: impl Into<String>) -> Self {
        Self {
            right: true,
            ..Self::left(header)
        }
    }

    /// The column that matters.
    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// Whether its cells are figures, which stand at its right.
    pub(super) fn is_right(&self) -> bool {
        self.right
    }

    pub(super) fn is_bold(&self) -> bool {
        self.bold
    }

    /// Left out where there is no room, the lowest number first.
    pub(super) fn goes(self, order: u8) -> Self {
        Self {
            goes: Some(order),
            ..self
        }
    }
}

impl Grid {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// A row with a cell for every column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push((cells.into_iter().collect(), false));
    }

    /// A row that counts for nothing, such as a warm-up's.
    pub(super) fn dim_row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push((cells.into_iter().collect(), true));
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of each row, and whether it counts for nothing.
    pub(super) fn rows(&self) -> &[(Vec<String>, bool)] {
        &self.rows
    }

    /// Columns of the terminal that the grid takes.
    pub(super) fn width(&self) -> usize {
        let cells = (0..self.columns.len()).map(|column| {
            let cells = self.rows.iter().map(|(cells, _)| columns(&cells[column]));
            cells
                .chain([columns(&self.columns[column].header)])
                .max()
                .unwrap_or(0)
        });
        INDENT + cells.sum::<usize>() + GAP * self.columns.len().saturating_sub(1)
    }

    /// The same without as many columns as it takes to fit, as far as columns may go.
    pub(super) fn fitted(&self, width: usize) -> Self {
        let mut grid = self.clone();
        while grid.width() > width {
            let going = grid
                .columns
                .iter()
                .enumerate()
                .filter_map(|(place, column)| Some((column.goes?, place)));
            let Some((_, place)) = going.min() else { break };
            grid.columns.remove(place);
            for (cells, _) in &mut grid.rows {
                cells.remove(place);
            }
        }
        grid
    }

    fn render(&self, color: bool) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.columns.iter().map(|column| plain(&column.header)));
        for (cells, _) in &self.rows {
            builder.push_record(cells.iter().map(|cell| plain(cell)));
        }
        let mut table = builder.build();
        table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
        for (place, column) in self.columns.iter().enumerate() {
            let alignment = if column.right {
                Alignment::right()
            } else {
                Alignment::left()
            };
            table.modify(Columns::one(place), alignment);
            if color && column.bold {
                for row in 1..=self.rows.len() {
                    table.modify(Cell::new(row, place), Color::BOLD);
                }
            }
        }
        if color {
            for (place, _) in self.rows.iter().enumerate().filter(|(_, (_, dim))| *dim) {
                table.modify(Rows::one(place + 1), Color::DIMMED);
            }
        }
        let indent = " ".repeat(INDENT);
        table
            .to_string()
            .lines()
            .map(|line| format!("{indent}{}", line.trim_end()).trim_end().to_owned() + "\n")
            .collect()
    }
}

/// Text that cannot move the cursor: names, paths and facts come from the world.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '�' } else { c })
        .collect()
}

/// Columns that a text takes. Everything that is printed here is made of characters one column wide, save names from
/// the world, for which a ragged line is no harm.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize, write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(width, false);
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn long_lines_go_on_under_their_beginning() {
        let text = page(30, |page| {
            page.labelled("note", &["all of these words do not fit into a line"]);
        });
        assert_eq!(
            text,
            "  note       all of these\n             words do not fit\n             into a line\n"
        );
    }

    #[test]
    fn parts_stand_below_each_other_where_the_line_is_too_short() {
        let write = |page: &mut Page| page.labelled("requests", &["30,000 due", "1,000/s"]);
        assert_eq!(page(80, write), "  requests   30,000 due     1,000/s\n");
        assert_eq!(
            page(34, write),
            "  requests   30,000 due\n             1,000/s\n"
        );
    }

    #[test]
    fn a_word_longer_than_the_line_is_not_broken() {
        let text = page(20, |page| {
            page.labelled("saved", &["results/local/20261123 again"]);
        });
        assert_eq!(
            text,
            "  saved      results/local/20261123\n             again\n"
        );
    }

    #[test]
    fn what_comes_from_the_world_cannot_move_the_cursor() {
        let text = page(80, |page| {
            page.labelled("first", &["GET /\u{1b}[2J\r\n → 503"]);
        });
        assert_eq!(text, "  first      GET /�[2J�� → 503\n");
    }

    #[test]
    fn columns_go_in_their_order_until_the_grid_fits() {
        let mut grid = Grid::new([
            Column::left("ms"),
            Column::right("p90").goes(1),
            Column::right("p99"),
            Column::right("p99.9").goes(2),
        ]);
        grid.row(["response", "0.655", "1.84", "4.90"].map(str::to_owned));
        assert_eq!(grid.width(), 2 + 8 + 3 + 5 + 3 + 4 + 3 + 5);
        for (width, headers) in [
            (33, &["ms", "p90", "p99", "p99.9"][..]),
            (32, &["ms", "p99", "p99.9"]),
            (24, &["ms", "p99"]),
            (1, &["ms", "p99"]),
        ] {
            let fitted = grid.fitted(width);
            let left: Vec<&str> = fitted
                .columns
                .iter()
                .map(|column| column.header.as_str())
                .collect();
            assert_eq!(left, headers, "{width}");
        }
    }

    #[test]
    fn color_changes_no_character_of_the_text() {
        let write = |color| {
            let mut page = Page::new(80, color);
            let mut grid = Grid::new([Column::left("phase"), Column::right("p99").bold()]);
            grid.dim_row(["warm".to_owned(), "9.99".to_owned()]);
            grid.row(["steady".to_owned(), "1.84".to_owned()]);
            page.grid(&grid);
            page.verdict("valid", &["tailmark was punctual"]);
            page.into_text()
        };
        let colored = write(true);
        assert!(colored.contains("\u{1b}[1m1.84\u{1b}[22m"), "{colored:?}");
        assert!(colored.contains("\u{1b}[2mwarm"), "{colored:?}");
        let mut bare = colored;
        for code in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[22m"] {
            bare = bare.replace(code, "");
        }
        let trimmed: String = bare
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect();
        assert_eq!(trimmed, write(false));
    }
}
