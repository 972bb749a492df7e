//! Pure rendering of records: what was measured goes in, text comes out. No terminal and no files here.

mod figures;
pub mod junit;
mod layout;
pub mod markdown;
pub mod table;
pub mod verdict;

/// How a report is to look.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Columns that there are; tables leave out a column of their own before they exceed it.
    pub width: usize,
    /// Whether bold and dim may be used. They never carry a meaning of their own.
    pub color: bool,
    /// The folder in which the record was saved, where it was.
    pub saved: Option<&'a str>,
    /// Also print the first failure of each kind, and where it all ran.
    pub verbose: bool,
}
