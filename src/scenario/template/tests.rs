use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Result<Template, Flaw> {
    at(Position::Plain, text)
}

fn at(position: Position, text: &str) -> Result<Template, Flaw> {
    let mut names = names();
    let mut builder = Builder::new(position, &mut names);
    builder.text(text).map(|()| builder.finish())
}

/// A feeder, a captured value, one that is captured later, and what a set-up call has captured.
fn names() -> Names {
    let mut names = Names::default();
    names.feeders.push(FeederUse {
        name: "users".into(),
        fields: Vec::new(),
    });
    names.captured.push(NameUse::new("token"));
    names.later.push("late".into());
    names.setup.push(NameUse::new("admin"));
    names
}

fn rendered(template: &Template, arrival: u64) -> String {
    let mut out = Vec::new();
    template
        .render(&Draw::new(1, arrival, 0), &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn templates_render_and_refuse() {
    for (source, expected) in [
        ("plain", Ok("plain")),
        ("", Ok("")),
        ("a$b $ {x} $", Ok("a$b $ {x} $")),
        ("$${seq}", Ok("${seq}")),
        ("$$${seq}", Ok("$${seq}")),
        ("<${seq}|${ seq }>", Ok("<8|8>")),
        ("${random.int(5, 5)}${random.int( -3,-3 )}", Ok("5-3")),
        ("x${seq", Err((1, "`${` is not closed by `}`"))),
        (
            "é${sek}",
            Err((2, "unknown name `sek`; did you mean `seq`?")),
        ),
        ("${}", Err((0, "unknown name ``"))),
        (
            "${user.name}",
            Err((0, "unknown name `user.name`; did you mean `users.name`?")),
        ),
        (
            "${users}",
            Err((0, "`users` is a feeder, and its fields are values")),
        ),
        (
            "${tokem}",
            Err((0, "unknown name `tokem`; did you mean `token`?")),
        ),
        ("${late}", Err((0, "`late` is captured only later"))),
        (
            "${env.}",
            Err((0, "`${env.}` names no variable of the environment")),
        ),
        (
            "${env}",
            Err((
                0,
                "`${env}` wants the name of a variable of the environment",
            )),
        ),
        ("${random.choice(b)}", Ok("b")),
        ("${random.choice('a, }')}", Ok("a, }")),
        (
            "${random.choice(a,)}",
            Err((
                0,
                "`${random.choice(a,)}` has an empty choice; quote it if it is meant",
            )),
        ),
        ("${random.zipf(3, 3, 1.1)}", Ok("3")),
        (
            "${random.zipf(1, 2, nan)}",
            Err((
                0,
                "`${random.zipf(1, 2, nan)}` wants an exponent above 0 and up to 10",
            )),
        ),
        (
            "${random.zipf(1, 2)}",
            Err((
                0,
                "`${random.zipf(1, 2)}` wants two whole numbers and an exponent",
            )),
        ),
        (
            "${random.string(0)}",
            Err((
                0,
                "`${random.string(0)}` wants a number of letters from 1 to 65,536",
            )),
        ),
        (
            "${random.string}",
            Err((0, "`random.string` wants its arguments in parentheses")),
        ),
        (
            "${int(seq)}",
            Err((0, "`int` converts text, and `seq` is no text")),
        ),
        ("${rand(1)}", Err((0, "unknown name `rand`"))),
        ("${random.int}", Err((0, "`random.int` wants its range"))),
        (
            "${random.int(1}",
            Err((0, "`${random.int(1}` lacks its `)`")),
        ),
        (
            "${random.int(1)}",
            Err((0, "`${random.int(1)}` wants two whole numbers")),
        ),
        (
            "${random.int(1, 2.5)}",
            Err((0, "`${random.int(1, 2.5)}` wants two whole numbers")),
        ),
        (
            "${random.int(2, 1)}",
            Err((0, "`${random.int(2, 1)}` has its ends the wrong way round")),
        ),
        ("${uuid()}", Err((0, "`uuid` takes no arguments"))),
    ] {
        let seen = text(source).map(|template| rendered(&template, 7));
        let expected = expected
            .map(str::to_owned)
            .map_err(|(at, message): (usize, &str)| (at, message.to_owned()));
        assert_eq!(
            seen.map_err(|flaw| (flaw.offset, flaw.message)),
            expected,
            "{source}"
        );
    }
}

#[test]
fn a_json_value_that_is_only_a_slot_keeps_its_type() {
    for (source, expected) in [
        ("${seq}", "8"),
        ("n${seq}", "\"n8\""),
        ("7", "\"7\""),
        ("a\"b\\c\n\u{1}é", "\"a\\\"b\\\\c\\n\\u0001é\""),
    ] {
        let mut names = names();
        let mut builder = Builder::new(Position::JsonText, &mut names);
        builder.json_value(source).unwrap();
        assert_eq!(rendered(&builder.finish(), 7), expected);
    }
}

fn rendered_with(template: &Template, draw: &Draw<'_>) -> Result<String, String> {
    let mut out = Vec::new();
    let rendered = template.render(draw, &mut out);
    rendered
        .map(|()| String::from_utf8(out).unwrap())
        .map_err(|unfilled| unfilled.to_string())
}

#[test]
fn values_are_escaped_where_they_stand() {
    let mut row = Row::default();
    row.push("a b/\"é\"&\n".as_bytes(), false);
    let rows = [row];
    let beside = Beside {
        rows: &rows,
        ..*Beside::NOTHING
    };
    let draw = Draw {
        beside: &beside,
        ..Draw::new(1, 0, 0)
    };
    for (position, expected) in [
        (Position::Plain, Ok("<a b/\"é\"&\n>".to_owned())),
        (
            Position::Path,
            Ok("<a%20b%2F%22%C3%A9%22%26%0A>".to_owned()),
        ),
        (
            Position::Form,
            Ok("%3Ca+b%2F%22%C3%A9%22%26%0A%3E".to_owned()),
        ),
        (
            Position::Header,
            Err("`${users.name}` holds what cannot stand in a header".to_owned()),
        ),
    ] {
        let template = at(position, "<${users.name}>").unwrap();
        assert_eq!(rendered_with(&template, &draw), expected, "{position:?}");
    }
    for (source, expected) in [
        ("${users.name}", "\"a b/\\\"é\\\"&\\n\""),
        ("<${users.name}>", "\"<a b/\\\"é\\\"&\\n>\""),
    ] {
        assert_eq!(rendered_with(&json(source), &draw).unwrap(), expected);
    }
}

fn json(source: &str) -> Template {
    let mut names = names();
    let mut builder = Builder::new(Position::JsonText, &mut names);
    builder.json_value(source).unwrap();
    builder.finish()
}

#[test]
fn values_keep_their_types_in_json() {
    let value = |text: &str, is_json| {
        Some(Value {
            text: text.into(),
            is_json,
        })
    };
    for (source, captured, expected) in [
        ("${token}", value("7", true), Ok("7")),
        ("${token}", value("7", false), Ok("\"7\"")),
        ("n${token}", value("7", true), Ok("\"n7\"")),
        ("${int(token)}", value(" 7 ", false), Ok("7")),
        (
            "${int(token)}",
            value("x", false),
            Err("`${int(token)}` is no whole number: `x`"),
        ),
        ("${token}", None, Err("`${token}` has no value")),
        ("${random.choice(7)}", None, Ok("7")),
        ("${random.choice('7')}", None, Ok("\"7\"")),
        (
            "${uuid}",
            None,
            Ok("\"6c19ea7f-e3f1-46dd-82d4-10c4ff4ff7b4\""),
        ),
        ("${random.string(3)}", None, Ok("\"xxx\"")),
        ("${now}", None, Ok("5")),
    ] {
        let captured = [captured];
        let beside = Beside {
            captured: &captured,
            now_ms: 5,
            ..*Beside::NOTHING
        };
        let draw = Draw {
            beside: &beside,
            ..Draw::new(1, 0, 0)
        };
        let seen = rendered_with(&json(source), &draw);
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        if source.contains("uuid") || source.contains("string") {
            // What is drawn is of no interest here, only its form.
            let (seen, expected) = (seen.unwrap(), expected.unwrap());
            assert_eq!(seen.len(), expected.len());
            assert!(seen.starts_with('"') && seen.ends_with('"'), "{seen}");
        } else {
            assert_eq!(seen, expected, "{source}");
        }
    }
}

#[test]
fn what_is_known_before_a_run_becomes_literal() {
    let template = at(Position::Path, "/${env.NAME}/${admin}/${token}").unwrap();
    assert_eq!(template.show(&Draw::new(1, 0, 0)), "/***/***/***");
    assert_eq!(template.to_string(), "/${env.NAME}/${admin}/${token}");
    let mut known = Known::default();
    known.insert(Key::Env("NAME".into()), b"a b", false);
    known.insert(Key::Setup("admin".into()), b"7", true);
    let bound = template.bind(&known).unwrap();
    assert_eq!(bound.to_string(), "/a%20b/7/${token}");
    let header = at(Position::Header, "${env.NAME}").unwrap();
    known.insert(Key::Env("NAME".into()), b"a\nb", false);
    assert_eq!(
        header.bind(&known).unwrap_err().to_string(),
        "`${env.NAME}` holds what cannot stand in a header"
    );
}

#[test]
fn slots_draw_apart_and_arrivals_too() {
    let template = text("${uuid} ${uuid}").unwrap();
    let one = rendered(&template, 0);
    let (left, right) = one.split_once(' ').unwrap();
    assert_ne!(left, right);
    assert_ne!(one, rendered(&template, 1));
    assert_eq!(one, rendered(&template, 0));
    for draw in [
        Draw::new(2, 0, 0),
        Draw::new(1, 0, 1),
        Draw {
            round: 1,
            ..Draw::new(1, 0, 0)
        },
    ] {
        let mut out = Vec::new();
        template.render(&draw, &mut out).unwrap();
        assert_ne!(one.as_bytes(), out, "{draw:?}");
    }
    assert_eq!(uuid::Uuid::parse_str(left).unwrap().get_version_num(), 4);
}

proptest! {
    #[test]
    fn random_int_stays_within_its_ends(a: i64, b: i64, arrival: u64) {
        let (low, high) = (a.min(b), a.max(b));
        let template = text(&format!("${{random.int({low}, {high})}}")).unwrap();
        let value: i64 = rendered(&template, arrival).parse().unwrap();
        prop_assert!((low..=high).contains(&value));
    }

    #[test]
    fn a_json_string_is_one(source: String) {
        let mut names = names();
        let mut builder = Builder::new(Position::JsonText, &mut names);
        builder.json_string(&source);
        let parsed: serde_json::Value = serde_json::from_str(&rendered(&builder.finish(), 0)).unwrap();
        prop_assert_eq!(parsed, serde_json::Value::String(source));
    }

    #[test]
    fn no_text_makes_the_parser_panic(source in "[$\\{\\}()a-z.,0-9é-]{0,60}") {
        let _ = text(&source);
    }
}
