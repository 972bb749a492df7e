//! What is read, what is refused and where, and how bounds are compared.

use proptest::prelude::*;

use super::*;

/// Two flows, one of two steps, over every kind of phase; `long` is kept in windows of two seconds.
fn subjects() -> Subjects<'static> {
    let phase = |name, unmeasured, seconds, window| SubjectPhase {
        name,
        unmeasured,
        duration: Duration::from_secs(seconds),
        window: Duration::from_secs(window),
    };
    Subjects {
        flows: vec![("browse", vec!["list"]), ("buy", vec!["login", "transfer"])],
        phases: vec![
            phase("warm", Some("warm-up"), 10, 1),
            phase("climb", None, 30, 1),
            phase("rest", Some("a pause"), 10, 1),
            phase("long", None, 300, 2),
        ],
    }
}

fn parse(text: &str) -> Result<Expression, Flaw> {
    Expression::parse(text, &subjects())
}

fn read(text: &str) -> Expression {
    parse(text).unwrap_or_else(|flaw| panic!("{text}: {flaw:?}"))
}

#[test]
fn every_form_is_read() {
    let p99 = Statistic::Quantile(Quantile::P99);
    let p99_9 = Statistic::Quantile(Quantile::P99_9);
    let flow = |name: &str| Scope::Flow(name.to_owned());
    let transfer = || Scope::Step {
        flow: "buy".to_owned(),
        step: "transfer".to_owned(),
    };
    let ms = |ms: u64| Figure::Time(ms * 1_000_000);
    for (text, metric, limit) in [
        ("p99 < 250ms", Metric::Response(p99, Scope::All), ms(250)),
        ("p99.9<1s", Metric::Response(p99_9, Scope::All), ms(1_000)),
        (
            "  mean   of browse>= 1m30s ",
            Metric::Response(Statistic::Mean, flow("browse")),
            ms(90_000),
        ),
        (
            "max of buy/transfer<=400 ms in climb",
            Metric::Response(Statistic::Max, transfer()),
            ms(400),
        ),
        (
            "service.min of buy > 250us",
            Metric::Service(Statistic::Min, flow("buy")),
            Figure::Time(250_000),
        ),
        ("wait.p99 < 1ms", Metric::Wait(p99), ms(1)),
        (
            "lag.mean < 1ms in long",
            Metric::Lag(Statistic::Mean),
            ms(1),
        ),
        (
            "journey.p99 of buy < 5s",
            Metric::Journey(p99, Some("buy".to_owned())),
            ms(5_000),
        ),
        ("journey.p99 < 5s", Metric::Journey(p99, None), ms(5_000)),
        (
            "error_rate of buy/transfer < 0.5%",
            Metric::ErrorRate(transfer()),
            Figure::Ratio(0.005),
        ),
        (
            "error_rate <= 0.005 over every 10s",
            Metric::ErrorRate(Scope::All),
            Figure::Ratio(0.005),
        ),
        (
            "achieved_rate >= 30/m in climb",
            Metric::AchievedRate,
            Figure::Rate(0.5),
        ),
        (
            "mem.peak < 64MiB",
            Metric::Memory(MemoryFigure::Peak),
            Figure::Size(64 << 20),
        ),
        (
            "mem.slope < 60kB/min",
            Metric::Memory(MemoryFigure::Slope),
            Figure::Slope(1_000.0),
        ),
        ("cpu.per_1k < 50ms", Metric::CpuPer1k, ms(50)),
    ] {
        let expression = read(text);
        assert_eq!(
            (expression.metric, expression.limit),
            (metric, limit),
            "{text}"
        );
        assert_eq!(expression.text, text.trim());
    }
    let whole = read("p99 < 250ms in climb over every 10s");
    assert_eq!(whole.phase(), Some("climb"));
    assert_eq!(whole.every(), Some(Duration::from_secs(10)));
    assert!(whole.is_about("climb") && !whole.is_about("long"));
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    for (text, offset, message) in [
        ("", 0, "a threshold begins with a metric"),
        ("  < 5ms", 2, "a threshold begins with a metric"),
        ("p99", 3, "`p99` is compared with nothing"),
        ("p99 <", 5, "`p99` is compared with nothing"),
        ("p99 < in climb", 6, "`p99` is compared with nothing"),
        ("p99 == 5ms", 4, "`==` is no comparison"),
        ("p99 250ms", 4, "`250ms` is no comparison"),
        ("p99 of", 6, "`of` wants a flow, or a step as flow/step"),
        ("p99 in climb < 1s", 4, "`in` stands after the value"),
        ("p99 < 1s of buy", 9, "`of` stands before the comparison"),
        ("p99 < 1s in", 11, "`in` wants a phase"),
        ("p99 < 1s in climb in long", 18, "`in` stands there twice"),
        ("p99 < 1s in climb always", 18, "`always` is one too many"),
        (
            "p99 < 1s over 10s",
            9,
            "`over` wants `every` and a duration",
        ),
        ("p99 < 1s over every", 19, "`every` wants a duration"),
        ("pp9 < 1s", 0, "unknown metric `pp9`; did you mean `p99`?"),
        ("latency < 1s", 0, "unknown metric `latency`"),
        (
            "error_rat < 1%",
            0,
            "unknown metric `error_rat`; did you mean `error_rate`?",
        ),
        ("p100 < 1s", 0, "`p100` is not a quantile"),
        ("p99.99999 < 1s", 0, "`p99.99999` is not a quantile"),
        ("wait.avg < 1s", 5, "unknown metric `wait.avg`"),
        ("service.p0 < 1s", 0, "`service.p0` is not a quantile"),
        (
            "mem.peek < 1MiB",
            0,
            "unknown metric `mem.peek`; did you mean `mem.peak`?",
        ),
        ("mem.rss < 1MiB", 0, "unknown metric `mem.rss`"),
        ("p99 < 250", 6, "`250` has no unit"),
        ("p99 < 5%", 6, "`5%` is not a duration"),
        (
            "p99 < 1s and p50 < 1ms",
            6,
            "`1s and p50 < 1ms` is not a duration",
        ),
        ("error_rate < 5ms", 13, "`5ms` is not a ratio"),
        ("error_rate < 5", 13, "`5` is more than all of them"),
        ("achieved_rate > 0/s", 16, "`0/s` is a rate of zero"),
        ("mem.peak < 64", 11, "`64` is not a size"),
        ("mem.slope < 1MiB", 12, "`1MiB` is not a size over time"),
        ("cpu.per_1k < 5", 13, "`5` has no unit"),
        (
            "p99 of by < 1s",
            7,
            "unknown flow `by`; did you mean `buy`?",
        ),
        ("p99 of transfer < 1s", 7, "unknown flow `transfer`"),
        (
            "p99 of buy/transfr < 1s",
            11,
            "unknown step `transfr`; did you mean `transfer`?",
        ),
        ("p99 of buy/item < 1s", 11, "unknown step `item`"),
        (
            "wait.p99 of buy < 1s",
            12,
            "`wait.p99` is kept for each phase, not for each flow: it has no `of`",
        ),
        (
            "lag.p99 of buy < 1s",
            11,
            "`lag.p99` is kept for each phase, not for each flow: it has no `of`",
        ),
        (
            "achieved_rate of buy > 1/s",
            17,
            "`achieved_rate` is kept for each phase, not for each flow: it has no `of`",
        ),
        (
            "mem.peak of buy < 1MiB",
            12,
            "`mem.peak` is the target's as a whole: it has no `of`",
        ),
        (
            "cpu.per_1k of buy < 1s",
            14,
            "`cpu.per_1k` is the target's as a whole: it has no `of`",
        ),
        (
            "journey.p99 of browse < 1s",
            15,
            "`browse` has one step, so it has no journeys",
        ),
        (
            "journey.p99 of buy/login < 1s",
            15,
            "a journey goes through all steps of a flow",
        ),
        (
            "p99 < 1s in clime",
            12,
            "unknown phase `clime`; did you mean `climb`?",
        ),
        ("p99 < 1s in evening", 12, "unknown phase `evening`"),
        (
            "p99 < 1s in warm",
            12,
            "phase `warm` is warm-up, and in no threshold",
        ),
        (
            "p99 < 1s in rest",
            12,
            "phase `rest` is a pause, and in no threshold",
        ),
        (
            "mem.peak < 1MiB in climb",
            16,
            "`mem.peak` is of the whole run: it has no `in`",
        ),
        (
            "cpu.per_1k < 1s over every 10s",
            16,
            "only response times and `error_rate` are kept over time",
        ),
        (
            "service.p99 < 1s over every 10s",
            17,
            "only response times and `error_rate` are kept over time",
        ),
        (
            "p99 of buy < 1s over every 10s",
            16,
            "time is kept for all flows together: `of` and `over every` exclude each other",
        ),
        ("p99 < 1s over every 10", 20, "`10` has no unit"),
        ("p99 < 1s over every 0s", 20, "`0s` is no time at all"),
        (
            "p99 < 1s over every 3s",
            20,
            "`3s` is not a whole number of windows: phase `long` is kept in windows of 2s",
        ),
        (
            "p99 < 1s in climb over every 1500ms",
            29,
            "`1500ms` is not a whole number of windows: phase `climb` is kept in windows of 1s",
        ),
        (
            "p99 < 1s in climb over every 61s",
            29,
            "`61s` is longer than what it is to divide, which lasts 30s",
        ),
        ("p99 < 1s in ünbekannt", 12, "unknown phase `ünbekannt`"),
    ] {
        let flaw = parse(text).unwrap_err();
        assert_eq!(
            (flaw.offset, flaw.message.as_str()),
            (offset, message),
            "{text}"
        );
    }
    read("p99 < 1s in climb over every 3s");
    read("p99 < 1s in climb over every 60s");
}

#[test]
fn hints_say_what_to_write() {
    for (text, hint) in [
        (
            "latency < 1s",
            "metrics are p50 … p99.9, mean, min, max, those after",
        ),
        (
            "p99 of transfer < 1s",
            "a step is named with its flow: buy/transfer",
        ),
        ("p99 of other < 1s", "the flows are browse, buy"),
        (
            "p99 of buy/item < 1s",
            "the steps of `buy` are login, transfer",
        ),
        ("p99 < 1s in warm", "the measured phases are climb, long"),
        ("p99 < 1s over every 3s", "write 4s"),
        ("mem.rss < 1MiB", "figures of memory are mem.idle, mem.p95"),
        ("p99 < 250", "write 250ms or 250s"),
        ("error_rate < 5", "a percentage ends with %, as in 0.5%"),
        ("mem.slope < 1MiB", "a size over time is written 1MiB/h"),
        (
            "achieved_rate > 0/s",
            "the lowest rate is one arrival a day",
        ),
    ] {
        let flaw = parse(text).unwrap_err();
        let given = flaw.hint.unwrap_or_default();
        assert!(given.starts_with(hint), "{text}: {given}");
    }
}

#[test]
fn without_several_steps_there_are_no_journeys() {
    let mut subjects = subjects();
    subjects.flows.truncate(1);
    let flaw = Expression::parse("journey.p99 < 1s", &subjects).unwrap_err();
    assert_eq!(
        flaw.message,
        "no flow has several steps, so there are no journeys"
    );
}

#[test]
fn only_what_is_known_meanwhile_can_end_a_run() {
    let after = Duration::from_secs(5);
    for text in ["p99 < 1s", "mean > 1ms in climb", "error_rate < 20%"] {
        let threshold = Threshold::aborting(read(text), after).unwrap();
        assert_eq!(threshold.abort_after(), Some(after));
    }
    for (text, why) in [
        (
            "p99 of buy < 1s",
            "only response times and `error_rate` of all flows",
        ),
        ("service.p99 < 1s", "only response times"),
        ("error_rate of buy < 1%", "only response times"),
        ("mem.peak < 1MiB", "only response times"),
        ("achieved_rate > 1/s", "only response times"),
        (
            "p99 < 1s over every 10s",
            "all that was measured so far is judged together",
        ),
    ] {
        let refused = Threshold::aborting(read(text), after).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
}

#[test]
fn a_lower_bound_breaks_what_it_exceeds_and_holds_what_it_reaches() {
    use Answer::{Broken, Holds, Unknown};
    let at = |ms: u64, lower_bound| Observed {
        figure: Figure::Time(ms * 1_000_000),
        lower_bound,
    };
    for (text, at_999, at_1000, at_1001) in [
        (
            "p99 < 1s",
            [Holds, Unknown],
            [Broken, Broken],
            [Broken, Broken],
        ),
        (
            "p99 <= 1s",
            [Holds, Unknown],
            [Holds, Unknown],
            [Broken, Broken],
        ),
        (
            "p99 > 1s",
            [Broken, Unknown],
            [Broken, Unknown],
            [Holds, Holds],
        ),
        (
            "p99 >= 1s",
            [Broken, Unknown],
            [Holds, Holds],
            [Holds, Holds],
        ),
    ] {
        for (ms, expected) in [(999, at_999), (1_000, at_1000), (1_001, at_1001)] {
            let answers = [false, true].map(|bound| read(text).answer(at(ms, bound)));
            assert_eq!(answers, expected, "{text} at {ms} ms");
        }
    }
}

/// Texts that are nearly thresholds.
fn almost() -> impl Strategy<Value = String> {
    let words = [
        "p99",
        "p99.9",
        "mean",
        "wait.",
        "service.p50",
        "mem.slope",
        "error_rate",
        "of",
        "in",
        "over",
        "every",
        "buy",
        "buy/transfer",
        "/",
        "climb",
        "<",
        "<=",
        ">",
        "=",
        "250ms",
        "5%",
        "1MiB/s",
        "99999999999999999999",
        "10s",
        "ü",
        "\u{a0}",
        "",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..10)
        .prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![almost(), ".{0,60}"]) {
        if let Err(flaw) = parse(&text) {
            prop_assert!(text.is_char_boundary(flaw.offset), "{} in {text:?}", flaw.offset);
        }
    }

    #[test]
    fn what_was_read_reads_again(text in almost()) {
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(expression.text()), Ok(expression));
        }
    }
}
