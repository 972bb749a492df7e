//! Bytes that a server might send. Run by `make fuzz`; `tests/corpus.rs` replays what was found.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::response(data));
