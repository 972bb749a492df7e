//! A YAML file as a tree of nodes that know where they stand, and the walk that turns it into checked values. A tree can
//! be written as YAML again.
//!
//! Files are read strictly: YAML 1.2's core schema and merge keys, one document, no tags, no key twice. A walk
//! collects every problem of a file instead of stopping at the first, and none of them without its place.

mod problem;
mod tree;
mod walk;
mod write;

pub use problem::{Problem, Problems};
pub use tree::MAX_BYTES;
pub use walk::{Fields, Flaw, Keys, Walk, is_name, nearest};

/// A file that parsed: its name for messages, its text and the tree.
#[derive(Debug)]
pub struct Document {
    file: String,
    text: String,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    root: Node,
}

impl Document {
    /// Reads `bytes`, to be called `file` in messages.
    ///
    /// # Errors
    /// One problem: not UTF-8, not YAML, a key twice, or beyond a bound on size, depth or number of nodes.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Problems> {
        let text = tree::text(file, bytes)?;
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut document = Self {
            file: file.to_owned(),
            lines: std::iter::once(0).chain(starts).collect(),
            text: text.to_owned(),
            root: Node::nothing(),
        };
        document.root = tree::parse(&document.text)
            .map_err(|finding| Problems::new(&document, vec![finding]))?;
        Ok(document)
    }

    /// A line of the text, counted from 1, without its end.
    fn line(&self, number: usize) -> Option<&str> {
        let start = *self.lines.get(number.checked_sub(1)?)?;
        self.text[start..].lines().next()
    }

    /// One thing that is wrong at `place`, found later than by a walk: in a file that this one names, for example.
    #[must_use]
    pub fn problem(&self, place: Place, message: &str, hint: Option<&str>) -> Problems {
        Problems::new(self, vec![problem::Finding::new(place, message, hint)])
    }

    /// How many bytes of the text stand before `place`.
    #[must_use]
    pub fn offset(&self, place: Place) -> usize {
        let start = self
            .lines
            .get(place.line - 1)
            .copied()
            .unwrap_or(self.text.len());
        let line = self.line(place.line).unwrap_or("");
        let before = line.char_indices().nth(place.column - 1);
        start + before.map_or(line.len(), |(at, _)| at)
    }

    /// The node that the file consists of.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Whether the file is a map with `key` at its top level.
    #[must_use]
    pub fn has_top_level(&self, key: &str) -> bool {
        match &self.root.kind {
            Kind::Map(entries) => entries.iter().any(|(name, _)| name.text == key),
            _ => false,
        }
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Where something stands in a file, as editors count: lines and columns (in characters) from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Default for Place {
    /// Where every file begins.
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

/// A value and the place of its first character.
#[derive(Debug, Clone)]
pub struct Node {
    /// The first character; of what an alias stands for, the alias itself.
    pub place: Place,
    /// What stands there.
    pub kind: Kind,
    /// A scalar as written, without quotes and with escapes resolved: `1.10` stays `1.10`. Empty for collections.
    pub text: String,
}

impl Node {
    /// How many items the node has as a list: none if it is anything else.
    #[must_use]
    pub fn items(&self) -> usize {
        match &self.kind {
            Kind::Seq(items) => items.len(),
            _ => 0,
        }
    }

    /// What an empty file consists of.
    fn nothing() -> Self {
        Self {
            place: Place::default(),
            kind: Kind::Null,
            text: String::new(),
        }
    }
}

/// What a node is, by YAML's core schema.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number: decimal, `0x…` or `0o…`.
    Int(i128),
    /// Any other number, `.inf` and `.nan` included.
    Float(f64),
    /// Everything else that is a scalar; the text is the node's.
    Str,
    /// A list, in order.
    Seq(Vec<Node>),
    /// Keys, all scalars and all different, with their values, in order.
    Map(Vec<(Node, Node)>),
}

impl Kind {
    /// What to call such a node in a message.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Str => "text",
            Self::Seq(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}
