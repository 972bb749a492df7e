use super::*;
use crate::scenario::Scenario;

fn inspection(rest: &str) -> Inspection {
    let text = format!(
        "tailmark: 1\nflows: {{ f: {{ steps: [{{ get: /, {rest} }}] }} }}\nphases: [{{ name: p, rate: 1/s, for: 1s }}]\n"
    );
    let scenario = Scenario::parse("f.yaml", text.as_bytes());
    let scenario = scenario.map_err(|problems| problems.to_string()).unwrap();
    scenario.flows()[0].steps[0].inspection.clone()
}

fn content(body: &str) -> Content {
    let mut content = Content::default();
    content.add_field("Content-Type", b"application/json");
    content.add_field("Set-Cookie", b"id=abc; Path=/");
    content.add_field("Set-Cookie", b"other=1");
    content.add_body(body.as_bytes(), MOST_BODY_BYTES);
    content
}

const BODY: &str = r#"{"id": 7, "status": "booked", "items": [1, 2], "none": null}"#;

#[test]
fn checks_say_what_they_found() {
    for (checks, seen) in [
        ("json: { $.status: booked }", None),
        ("json: { $.id: 7 }", None),
        ("json: { $.id: 7.0 }", None),
        ("json: { $.none: null }", None),
        ("json: { $.items: { count: 2 } }", None),
        ("json: { '$.items[*]': { count: 2 } }", None),
        ("json: { $.status: { matches: '^b.*d$' } }", None),
        ("json: { $.gone: { exists: false } }", None),
        ("json: { $.id: { not: 8 } }", None),
        (
            "json: { $.status: pending }",
            Some("$.status is \"booked\", expected \"pending\""),
        ),
        (
            "json: { $.gone: 1 }",
            Some("$.gone is not there, expected 1"),
        ),
        (
            "json: { '$.items[*]': 1 }",
            Some("$.items[*] is there 2 times, first as 1, expected 1"),
        ),
        (
            "json: { $.items: { count: 3 } }",
            Some("$.items is [1,2], expected 3 of them"),
        ),
        ("header: { content-type: application/json }", None),
        ("header: { Content-Type: { contains: json } }", None),
        (
            "header: { etag: { exists: true } }",
            Some("header etag is not there, expected it to be there"),
        ),
        (
            "header: { set-cookie: x }",
            Some("header set-cookie is ***, expected \"x\""),
        ),
        ("body: { contains: booked }", None),
        ("body: { matches: '\"id\": [0-9]+' }", None),
        (
            "body: { contains: EUR }",
            Some(
                "expected `EUR` in it in the body: `{\"id\": 7, \"status\": \"booked\", \"items\": [1, 2], \"none\": null}`",
            ),
        ),
    ] {
        let failed = inspection(&format!("checks: {{ {checks} }}"));
        let failed = failed.inspect(&content(BODY), &mut []).err();
        let expected = seen.map(|words| Unmet::Check(words.to_owned()));
        assert_eq!(failed, expected, "{checks}");
    }
}

#[test]
fn values_are_captured_or_missed() {
    for (capture, expected) in [
        ("$.id", Ok(Some(("7", true)))),
        ("$.status", Ok(Some(("booked", false)))),
        ("$.items", Ok(Some(("[1,2]", true)))),
        ("{ json: $.gone, optional: true }", Ok(None)),
        (
            "{ header: content-type }",
            Ok(Some(("application/json", false))),
        ),
        ("{ cookie: id }", Ok(Some(("abc", false)))),
        (
            "{ regex: '\"status\": \"([a-z]+)\"' }",
            Ok(Some(("booked", false))),
        ),
        ("{ regex: 'book' }", Ok(Some(("book", false)))),
        ("$.gone", Err("`x`: $.gone is not in the response")),
        ("'$.items[*]'", Err("`x`: $.items[*] is there 2 times")),
        (
            "{ cookie: no }",
            Err("`x`: the cookie no is not in the response"),
        ),
    ] {
        let taken = inspection(&format!("capture: {{ x: {capture} }}"));
        let mut captured = [Some(Value::text("before"))];
        let done = taken.inspect(&content(BODY), &mut captured);
        let [captured] = captured;
        match expected {
            Ok(value) => {
                assert_eq!(done, Ok(()), "{capture}");
                let value = value.map(|(text, is_json)| Value {
                    text: text.into(),
                    is_json,
                });
                assert_eq!(captured, value, "{capture}");
            }
            Err(words) => {
                assert_eq!(done, Err(Unmet::Capture(words.to_owned())), "{capture}");
                assert_eq!(captured, Some(Value::text("before")), "{capture}");
            }
        }
    }
}

#[test]
fn a_body_that_is_no_json_fails_the_check_or_the_capture() {
    let check = inspection("checks: { json: { $.a: 1 } }").inspect(&content("<html>"), &mut []);
    let words = check.unwrap_err();
    assert!(
        matches!(&words, Unmet::Check(words) if words.ends_with("`<html>`")),
        "{words}"
    );
    let capture = inspection("capture: { a: $.a }").inspect(&content(""), &mut [None]);
    assert!(matches!(capture, Err(Unmet::Capture(_))));
    let mut cut = content("{}");
    cut.is_cut = true;
    let check = inspection("checks: { body: { contains: x } }").inspect(&cut, &mut []);
    assert_eq!(
        check.unwrap_err().to_string(),
        "the body is over 4 MiB, which is more than is looked into"
    );
}

#[test]
fn only_what_is_looked_into_is_kept() {
    for (rest, fields, body) in [
        ("checks: { status: 200 }", false, false),
        ("checks: { header: { a: b } }", true, false),
        ("capture: { a: { cookie: b } }", true, false),
        ("capture: { a: $.b }", false, true),
        (
            "checks: { body: { contains: a } }, capture: { a: { header: b } }",
            true,
            true,
        ),
    ] {
        assert_eq!(inspection(rest).keep(), Keep { fields, body }, "{rest}");
    }
}
