//! Replays the corpus of every fuzz target: what once was interesting stays read the same, whole or cut.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

#[path = "../fuzz/check.rs"]
mod check;

use std::fs;
use std::path::Path;

#[test]
fn responses_of_the_corpus_read_the_same_whole_or_cut() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/response");
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10, "the corpus is gone");
    for file in files {
        let data = fs::read(&file).unwrap();
        check::response(&data);
        // And at every cut that its first byte could have asked for.
        for first in 0..=u8::MAX {
            let mut other = data.clone();
            if let Some(byte) = other.first_mut() {
                *byte = first;
            }
            check::response(&other);
        }
    }
}
