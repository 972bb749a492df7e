//! Who may use whom in `src/`, and which library is known to which module alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The core, in order: each module uses only modules before it.
const CORE: [&str; 24] = [
    "units",
    "random",
    "placement",
    "validity",
    "document",
    "exchange",
    "histogram",
    "windows",
    "threshold",
    "scenario",
    "target_spec",
    "schedule",
    "event",
    "ledger",
    "stats",
    "run_record",
    "judgement",
    "compare",
    "gate",
    "startup",
    "doctor",
    "report",
    "script",
    "verification",
];

/// The rim: uses the core, and of the rim only what stands beside it here.
const RIM: [(&str, &[&str]); 15] = [
    ("load", &[]),
    ("revisions", &[]),
    ("data", &[]),
    ("machine", &[]),
    ("archive", &[]),
    ("progress", &[]),
    ("oracle", &[]),
    ("export", &[]),
    // What stores and targets stand on: a child process that is ours to end.
    ("child", &[]),
    // What targets and their watch stand on: engines, and containers whoever started them.
    ("docker", &[]),
    ("probe", &["docker"]),
    ("target", &["child", "docker"]),
    ("stores", &["child"]),
    (
        "session",
        &[
            "load",
            "machine",
            "archive",
            "docker",
            "probe",
            "revisions",
            "target",
            "stores",
            "child",
        ],
    ),
    (
        "cli",
        &[
            "session",
            "archive",
            "data",
            "export",
            "machine",
            "progress",
            "oracle",
            "revisions",
        ],
    ),
];

/// Libraries, and the only places in `src/` that may know them, as the beginnings of paths.
const KNOWN_TO: [(&str, &[&str]); 32] = [
    ("conformance", &["cli/services.rs"]),
    ("hdrhistogram", &["histogram.rs"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/manual.rs"]),
    ("clap_mangen", &["cli/manual.rs"]),
    ("anyhow", &["cli/", "main.rs"]),
    ("opentelemetry_proto", &["report/otlp"]),
    ("prost", &["report/otlp"]),
    ("httparse", &["load/http1/", "load/kept.rs"]),
    ("hyper", &["load/http"]),
    ("hyper_util", &["load/http"]),
    ("http_body_util", &["load/http"]),
    ("reqwest", &["target/", "export.rs"]),
    ("rustls", &["load/tls.rs", "load/dial.rs", "load/stream.rs"]),
    ("tokio_rustls", &["load/dial.rs", "load/stream.rs"]),
    ("rustls_native_certs", &["load/tls.rs"]),
    (
        "serde",
        &[
            "run_record/wire",
            "compare/wire",
            "gate/wire",
            "startup/wire",
            "target/wire.rs",
        ],
    ),
    ("serde_saphyr", &["document/tree.rs"]),
    ("tokio_postgres", &["stores"]),
    ("redis", &["stores"]),
    ("cookie_store", &["load/walks.rs"]),
    ("csv", &["data/rows.rs", "report/rows.rs"]),
    ("regex", &["scenario/expectation.rs"]),
    ("serde_json_path", &["scenario/inspect.rs"]),
    ("procfs", &["probe", "machine.rs", "child"]),
    ("ratatui", &["progress"]),
    ("bollard", &["docker", "target/container"]),
    ("statrs", &["stats"]),
    ("quick_junit", &["report/junit.rs"]),
    ("maud", &["report/html"]),
    ("base64", &["histogram.rs", "report/html/"]),
    (
        "sha2",
        &[
            "scenario.rs",
            "data",
            "revisions.rs",
            "target/identity.rs",
            "report/html/",
        ],
    ),
];

/// What the core must not know: runtimes, files, clocks and the terminal.
const NOT_IN_CORE: [&str; 11] = [
    "tokio::",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "println!",
    "rustix::",
];

#[test]
fn every_module_uses_only_what_it_may() {
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        let own = module(&file);
        for used in used_modules(&file, &text) {
            if used != own && !allowed(&own, &used) {
                wrong.insert(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_library_is_known_only_where_it_belongs() {
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        for (library, places) in KNOWN_TO {
            let known = places
                .iter()
                .any(|place| file.to_string_lossy().starts_with(place));
            if !known && mentions(&text, library) {
                wrong.insert(format!("{} knows {library}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_does_not_touch_the_world() {
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        if !CORE.contains(&module(&file).as_str()) {
            continue;
        }
        for world in NOT_IN_CORE {
            if code(&text).any(|line| line.contains(world)) {
                wrong.insert(format!("{} has {world}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_place_and_every_place_its_module() {
    let placed: BTreeSet<String> = CORE
        .into_iter()
        .chain(RIM.into_iter().map(|(name, _)| name))
        .map(str::to_owned)
        .collect();
    let there: BTreeSet<String> = sources()
        .iter()
        .map(|(file, _)| module(file))
        .filter(|name| name != "lib" && name != "main")
        .collect();
    assert_eq!(placed, there);
}

fn allowed(own: &str, used: &str) -> bool {
    let place = |name: &str| CORE.iter().position(|core| *core == name);
    match (place(own), place(used)) {
        (Some(own), Some(used)) => used < own,
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) => {
            own == "main" && used == "cli"
                || RIM
                    .iter()
                    .any(|(name, may)| *name == own && may.contains(&used))
        }
    }
}

/// Top-level modules that a file names by `crate::…`, or by `super::…` as far as that leads out of its own module.
fn used_modules(file: &Path, text: &str) -> BTreeSet<String> {
    let names: Vec<&str> = CORE
        .into_iter()
        .chain(RIM.into_iter().map(|(name, _)| name))
        .collect();
    let depth = file.components().count();
    let mut used = BTreeSet::new();
    for line in code(text) {
        for (start, _) in line.match_indices("crate::") {
            used.extend(names_after(&line[start + "crate::".len()..]));
        }
        let out = "super::".repeat(depth);
        for (start, _) in line.match_indices(&out) {
            used.extend(names_after(&line[start + out.len()..]));
        }
    }
    used.retain(|name| names.contains(&name.as_str()));
    used
}

/// The first segment of each path in `a::b`, or in `{a::b, c}`.
fn names_after(path: &str) -> Vec<String> {
    let segment = |path: &str| {
        path.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    match path.strip_prefix('{') {
        Some(group) => group.split(',').map(segment).collect(),
        None => vec![segment(path)],
    }
}

fn mentions(text: &str, library: &str) -> bool {
    let path = format!("{library}::");
    code(text).any(|line| {
        line.match_indices(&path).any(|(at, _)| {
            // `redis::` is no mention of the library in `self::redis::` or `super::redis::`.
            !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
        })
    })
}

/// Lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn is_of_tests(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    ["tests.rs", "fixtures.rs", "test_child.rs"].contains(&&*name)
}

/// The top-level module of a file below `src/`.
fn module(file: &Path) -> String {
    let first = file
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every source file below `src/`, with its path from there; files of tests may use what they like.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_of_tests(&path) {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    files
}
