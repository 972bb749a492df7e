//! Records that were written once stay readable: `tests/records` has one of each version of each format, as tailmark wrote
//! it at the time.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where it cannot go on, and says why"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::Tool;

#[test]
fn what_was_saved_once_is_shown_as_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let entries = fs::read_dir(folder).unwrap();
    let mut records: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    records.sort();
    let names: Vec<&str> = records
        .iter()
        .map(|record| record.file_stem().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["compare-1", "gate-1", "run-1", "startup-1"]);
    let tool = Tool::new();
    for (record, name) in records.iter().zip(names) {
        let ran = tool.run(&["report", record.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
        insta::assert_snapshot!(name, ran.out);
    }
}
