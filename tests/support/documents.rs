//! The scenario files that tests are made of: cases of `tests/documents/`, and the examples of the reference.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The cases of a file of `tests/documents/`, which stand under lines `== name`: name and text.
pub(crate) fn cases(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder("tests/documents").join(file)).unwrap();
    let cases = text.split("== ").skip(1);
    let cases = cases.map(|case| case.split_once('\n').unwrap());
    cases
        .map(|(name, body)| (name.to_owned(), body.to_owned()))
        .collect()
}

/// A case that lacks flows or phases gets usual ones, so that each shows what it is about.
pub(crate) fn completed(case: &str) -> String {
    let mut text = case.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for (key, usual) in [
        ("tailmark:", "tailmark: 1\n"),
        ("flows:", "flows: { f: { steps: [get: /] } }\n"),
        ("phases:", "phases: [{ name: p, rate: 1/s, for: 1s }]\n"),
    ] {
        if !case.lines().any(|line| line.starts_with(key)) {
            text += usual;
        }
    }
    text
}
