//! TLS from outside: whom tailmark trusts, who it is, what it says of a handshake that fails, and what is timed.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use serde_json::Value;
use support::Tool;
use support::secure::{Authority, Certified, Secure};

const LATER: i32 = 4_000;

/// A tool in whose folder `ca.pem` is the authority's certificate.
fn tool(authority: &Authority) -> Tool {
    let tool = Tool::new();
    tool.write("ca.pem", &authority.pem);
    tool
}

fn keep(tool: &Tool, name: &str, certified: &Certified) {
    tool.write(&format!("{name}.pem"), &certified.certificate);
    tool.write(&format!("{name}.key"), &certified.key);
}

/// The record of twenty requests to `url`.
fn measured(tool: &Tool, url: &str, flags: &[&str], code: i32) -> Value {
    let words = ["run", url, "-n", "20", "-r", "200", "--json", "--no-save"];
    let record = tool.run(&[&words, flags].concat()).json(code);
    assert_eq!(record["total"]["due_count"], 20);
    record
}

/// All of twenty requests ended as `outcome`; returns the words about the first.
fn all_ended(record: &Value, outcome: &str) -> String {
    assert_eq!(record["total"]["outcomes"][outcome], 20, "{record:#}");
    let first = &record["failures"][0]["what"];
    first.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_trusted_server_is_measured_and_its_handshakes_are_timed() {
    let authority = Authority::new("ours");
    let server = Secure::start(&authority.certify(&["localhost"], LATER), None);
    let tool = tool(&authority);
    let url = format!("https://localhost:{}/", server.address.port());
    let record = measured(&tool, &url, &["--cacert", "ca.pem"], 0);
    all_ended(&record, "ok");
    let connections = &record["connections"];
    let opened = connections["opened"].as_u64().unwrap();
    assert_eq!(connections["tls"]["count"], opened);
    assert_eq!(connections["connect"]["count"], opened);
    assert!(connections["tls"]["min_ns"].as_u64() > Some(0));
    assert_eq!(server.handshakes(), opened);
    assert_eq!(server.names(), ["localhost"]);
    assert_eq!(record["target"]["url"], url);

    let words = ["run", &url, "-n", "20", "-r", "200", "--cacert", "ca.pem"];
    let table = tool.run(&words);
    assert!(table.out.contains("TLS handshake p50 "), "{}", table.out);
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_a_tls_error_with_its_reason() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let tool = tool(&ours);
    for (certified, reason) in [
        (
            theirs.certify(&["localhost"], LATER),
            "UnknownIssuer (--cacert",
        ),
        (ours.certify(&["localhost"], 2_020), "certificate expired"),
        (
            ours.certify(&["example.com"], LATER),
            "certificate not valid for name \"localhost\"",
        ),
    ] {
        let server = Secure::start(&certified, None);
        let url = format!("https://localhost:{}/", server.address.port());
        let record = measured(&tool, &url, &["--cacert", "ca.pem"], 4);
        let words = all_ended(&record, "tls_error");
        assert!(words.contains(reason), "{words}");
        assert_eq!(record["connections"]["opened"], 0);
        assert_eq!(record["connections"]["tls"], Value::Null);
        assert!(record["connections"]["connect"]["count"].as_u64() >= Some(20));

        let trusting = measured(&tool, &url, &["-k"], 0);
        all_ended(&trusting, "ok");
    }
}

#[test]
fn a_server_without_tls_is_a_tls_error() {
    let server = support::scripted::Scripted::start(|_| support::scripted::Reply::Garbage);
    let url = format!("https://{}/", server.address);
    let record = measured(&Tool::new(), &url, &["-k"], 4);
    let words = all_ended(&record, "tls_error");
    assert!(words.contains("→ TLS"), "{words}");
}

#[test]
fn a_server_may_ask_who_we_are() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let server = Secure::start(&servers.certify(&["localhost"], LATER), Some(&clients));
    let tool = tool(&servers);
    keep(&tool, "me", &clients.certify(&["me"], LATER));
    keep(&tool, "stranger", &servers.certify(&["stranger"], LATER));
    let url = format!("https://localhost:{}/", server.address.port());
    let trust = ["--cacert", "ca.pem"];
    let known = [&trust[..], &["--cert", "me.pem", "--key", "me.key"]].concat();
    all_ended(&measured(&tool, &url, &known, 0), "ok");

    let nobody = measured(&tool, &url, &trust, 4);
    let words = all_ended(&nobody, "tls_error");
    assert!(words.contains("CertificateRequired"), "{words}");

    let flags = ["--cert", "stranger.pem", "--key", "stranger.key"];
    let stranger = measured(&tool, &url, &[&trust[..], &flags].concat(), 4);
    let words = all_ended(&stranger, "tls_error");
    assert!(words.contains("received fatal alert"), "{words}");
}

#[test]
fn a_name_is_reached_and_proven_elsewhere() {
    let authority = Authority::new("ours");
    let server = Secure::start(&authority.certify(&["shop.example"], LATER), None);
    let rule = format!("shop.example:443:127.0.0.1:{}", server.address.port());
    let flags = ["--cacert", "ca.pem", "--connect-to", &rule];
    let record = measured(&tool(&authority), "https://shop.example/a", &flags, 0);
    all_ended(&record, "ok");
    assert_eq!(server.names(), ["shop.example"]);
    assert_eq!(record["target"]["url"], "https://shop.example/a");
}

#[test]
fn a_body_larger_than_any_buffer_arrives_whole() {
    let authority = Authority::new("ours");
    let server = Secure::start(&authority.certify(&["localhost"], LATER), None);
    let tool = tool(&authority);
    let body: String = (0..60_000).map(|k| format!("{k:07} ")).collect();
    tool.write("body.txt", &body);
    let url = format!("https://localhost:{}/", server.address.port());
    let flags = ["--cacert", "ca.pem", "-b", "@body.txt", "-c", "2"];
    let record = measured(&tool, &url, &flags, 0);
    all_ended(&record, "ok");
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 20);
    assert!(bodies.iter().all(|seen| seen == body.as_bytes()));
    let sent = record["bytes"]["sent"].as_u64().unwrap();
    assert!(sent >= 20 * body.len() as u64, "{sent}");
}

#[test]
fn wrong_files_are_refused_before_anything_starts() {
    let authority = Authority::new("ours");
    let tool = tool(&authority);
    keep(&tool, "me", &authority.certify(&["me"], LATER));
    keep(&tool, "you", &authority.certify(&["you"], LATER));
    tool.write("empty.pem", "");
    for (flags, message) in [
        (&["--cacert", "none.pem"][..], "error: reading none.pem: "),
        (
            &["--cacert", "empty.pem"],
            "error: empty.pem holds no certificate in the PEM format",
        ),
        (
            &["--cert", "me.pem", "--key", "me.pem"],
            "error: me.pem holds no private key in the PEM format",
        ),
        (
            &["--cert", "me.pem", "--key", "you.key"],
            "error: the certificate in me.pem and the key in you.key cannot be used together",
        ),
        (
            &["--cert", "me.pem"],
            "error: the following required arguments",
        ),
        (&["--connect-to", "here"], "error: invalid value 'here'"),
    ] {
        // Nobody listens on port 1: whoever got so far would say so.
        let ran = tool.run(&[&["run", "https://127.0.0.1:1/", "-k"], flags].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.starts_with(message), "{}", ran.err);
        assert!(tool.saved().is_empty());
    }
}
