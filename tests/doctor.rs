//! `tailmark doctor` on this machine, whatever it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;

use support::Tool;

const SCHEMA: &str = include_str!("../docs/schemas/doctor-1.json");

#[test]
fn every_subject_is_looked_at_and_the_exit_code_is_that_of_the_worst() {
    let ran = Tool::new().run(&["doctor", "--json"]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let schema = jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    assert!(schema.is_valid(&said), "{said:#}");
    let findings = said["findings"].as_array().unwrap();
    let of = |key: &str| -> Vec<&str> {
        let values = findings.iter().map(|finding| finding[key].as_str());
        values.flatten().collect()
    };
    assert_eq!(of("subject").len(), 17);
    assert_eq!(of("subject").iter().collect::<BTreeSet<_>>().len(), 17);
    let prevents = of("status").contains(&"prevents");
    assert_eq!(said["can_measure"], !prevents);
    assert_eq!(ran.code, Some(i32::from(prevents)), "{}", ran.err);
    for finding in findings {
        let status = finding["status"].as_str().unwrap();
        let is_bad = ["costs", "prevents"].contains(&status);
        assert_eq!(finding["cost"].is_string(), is_bad, "{finding}");
        assert_eq!(finding["remedy"].is_string(), is_bad, "{finding}");
    }
    // What any Linux tells, and what it was measured by.
    assert!(said["timer"]["count"].as_u64().unwrap() == 200);
    assert!(said["clock_read_ns"].as_f64().unwrap() > 0.0);
    assert!(said["quiet"]["lasted_ns"].as_u64().unwrap() >= 1_000_000_000);
    assert!(said["kernel_settings"]["available_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_limit_that_is_too_low_prevents_measuring_and_the_table_says_how_to_mend_it() {
    let tool = Tool::new();
    let binary = env!("CARGO_BIN_EXE_tailmark");
    let command = format!("ulimit -n 200 && exec {binary} doctor");
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(tool.folder.path())
        .env("NO_COLOR", "1")
        .env("DOCKER_HOST", "unix:///no/such/engine.sock")
        .env("PATH", "/usr/bin:/bin")
        .env("DATABASE_URL", "postgres://given")
        .output()
        .unwrap();
    let ran = support::Ran::from(output);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
    assert!(
        ran.out
            .contains("✗ 200 descriptors at most: room for 100 connections"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("mend: ulimit -Hn 65535"), "{}", ran.out);
    assert!(ran.out.contains("✓ named by DATABASE_URL"), "{}", ran.out);
    assert!(
        ran.out.contains("! no container engine answers"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("\nPREVENTED    by files"), "{}", ran.out);
    assert!(
        ran.err.starts_with("looking at this machine"),
        "{}",
        ran.err
    );
    assert_eq!(tool.saved(), [""; 0]);
}
