//! The view of made-up runs: every line of it is a function of the events, of the time, and of the terminal's size.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::draw::{Look, view};
use super::log::Log;
use super::model::Model;
use crate::event::{Event, PhaseAhead, RoundsSoFar, RunDone, Standing};
use crate::exchange::{Exchange, Outcome};
use crate::scenario::{Arrivals, LoadModel};
use crate::units::Rate;
use crate::windows::Part;

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(10);

fn rate(per_second: u64) -> Rate {
    Rate::per_second_of(per_second).unwrap()
}

fn open(per_second: u64) -> LoadModel {
    LoadModel::Open {
        rate: rate(per_second),
        arrivals: Arrivals::Constant,
    }
}

fn ahead(name: &str, model: LoadModel, seconds: u64) -> PhaseAhead {
    PhaseAhead {
        name: name.to_owned(),
        model,
        warmup: name.starts_with("warm"),
        length_ns: seconds * SECOND,
    }
}

/// An exchange that was ok, and dispatched 30 µs late.
fn took(response: u64) -> Exchange {
    Exchange {
        due: 0,
        dispatched: Some(30_000),
        sent: Some(30_000),
        done: response,
        outcome: Outcome::Ok,
        status: None,
    }
}

/// A load that is told second by second.
struct Told {
    model: Model,
    /// When it begins.
    begun: Duration,
    /// Nanoseconds from then.
    now: u64,
    answered: u64,
}

/// When a load begins that is the only one.
const BEGUN: Duration = Duration::from_secs(7);

impl Told {
    fn start(phases: &[PhaseAhead], workers: usize) -> Self {
        Self::start_in(Model::default(), BEGUN, phases, workers)
    }

    fn start_in(model: Model, begun: Duration, phases: &[PhaseAhead], workers: usize) -> Self {
        let mut told = Self {
            model,
            begun,
            now: 0,
            answered: 0,
        };
        let started = Event::Started {
            target: "axum",
            phases,
            workers,
            timeout: TIMEOUT,
            start_ns: 0,
        };
        told.tell(&started);
        told
    }

    fn time(&self) -> Duration {
        self.begun + Duration::from_nanos(self.now)
    }

    fn tell(&mut self, event: &Event<'_>) {
        let now = self.time();
        self.model.tell(event, now);
    }

    /// A second of `phase` in which `count` exchanges took what `answer` says.
    fn second(&mut self, phase: usize, count: u64, answer: impl Fn(u64) -> (u64, Outcome)) {
        let mut part = Part::new(phase, 0);
        for k in 0..count {
            let (response, outcome) = answer(k);
            part.record(&Exchange {
                outcome,
                status: (outcome == Outcome::StatusError).then_some(503),
                ..took(response)
            });
        }
        self.now += SECOND;
        self.answered += count;
        self.tell(&Event::Window(&part));
        self.stand(0, 14);
        self.tell(&Event::Target {
            at_ns: self.now,
            memory_bytes: Some(9_332_326),
            cpu_ns: Some(self.now / 1_000 * 410),
        });
    }

    fn stand(&mut self, worker: usize, in_flight: u64) {
        let standing = Standing {
            worker,
            at_ns: self.now,
            arrivals: self.answered,
            answered: self.answered,
            in_flight,
            waiting: 0,
        };
        self.tell(&Event::Standing(&standing));
    }

    fn seen(&self, columns: u16) -> String {
        seen(&self.model, self.time(), columns)
    }
}

/// What stands on a terminal of 24 rows, without colours.
fn seen(model: &Model, now: Duration, columns: u16) -> String {
    let buffer = view(model, now, Look { color: false }, Size::new(columns, 24));
    let backend = TestBackend::new(buffer.area.width, buffer.area.height);
    let viewport = Viewport::Fixed(buffer.area);
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    let drawn = terminal.draw(|frame| frame.buffer_mut().merge(&buffer));
    drawn.unwrap();
    terminal.backend().to_string()
}

/// A warm-up of 5 s and 30 s at 1,000/s, of which 12 are over; seconds differ, and some exchanges fail.
fn steady() -> Told {
    let phases = [
        ahead("warm", open(100), 5),
        ahead("steady", open(1_000), 30),
    ];
    let mut told = Told::start(&phases, 1);
    for _ in 0..5 {
        told.second(0, 100, |_| (MS, Outcome::Ok));
    }
    for second in 0..12u64 {
        told.second(1, 1_000, |k| match k {
            7 if second == 3 => (30 * MS, Outcome::Reset),
            8..20 if second == 9 => (2 * MS, Outcome::StatusError),
            _ => (
                400_000 + (k * 37 % 100).pow(2) * 150 + second % 4 * k * 700,
                Outcome::Ok,
            ),
        });
    }
    told
}

#[test]
fn a_run_shows_where_it_is_and_how_it_does() {
    assert_snapshot!("run-80", steady().seen(80));
    assert_snapshot!("run-120", steady().seen(120));
    assert_snapshot!("run-40", steady().seen(40));
    assert_snapshot!("run-60", steady().seen(60));
}

#[test]
fn colours_add_nothing_to_the_words() {
    let told = steady();
    let drawn = |color| view(&told.model, told.time(), Look { color }, Size::new(80, 24));
    let (plain, colored) = (drawn(false), drawn(true));
    for (plain, colored) in plain.content().iter().zip(colored.content()) {
        assert_eq!(plain.symbol(), colored.symbol());
        assert_eq!(
            (plain.fg, plain.modifier),
            (Color::Reset, Modifier::empty())
        );
    }
    let has = |wanted| colored.content().iter().any(|cell| cell.fg == wanted);
    assert!(has(Color::Cyan) && has(Color::Red));
}

#[test]
fn preparations_say_what_is_done_and_for_how_long() {
    let mut model = Model::default();
    assert_snapshot!(seen(&model, BEGUN, 80), @"");
    model.tell(&Event::Step("starting axum"), BEGUN);
    assert_snapshot!("step-new", seen(&model, BEGUN, 60));
    assert_snapshot!(
        "step-lasts",
        seen(&model, BEGUN + Duration::from_secs(75), 60)
    );
    assert_snapshot!(
        "step-narrow",
        seen(&model, BEGUN + Duration::from_secs(75), 16)
    );
}

#[test]
fn figures_of_a_load_stay_while_what_follows_it_is_done() {
    let mut told = steady();
    told.now = 35 * SECOND + 1;
    assert_snapshot!("drain", told.seen(80));
    told.tell(&Event::Step("letting axum rest"));
    told.now += 2 * SECOND;
    assert_snapshot!("after", told.seen(80));
    told.tell(&Event::Over);
    assert_eq!(told.seen(80), "");
}

#[test]
fn a_slow_load_is_seen_over_several_seconds() {
    let mut told = Told::start(&[ahead("main", open(100), 60)], 1);
    for second in 0..8 {
        told.second(0, 100, |k| (MS + k * second * 10_000, Outcome::Ok));
    }
    assert_snapshot!("slow", told.seen(80));
    // So slow that no p99 can be known: the longest of each second is shown instead.
    let mut told = Told::start(&[ahead("main", open(5), 60)], 1);
    for second in 0..14 {
        told.second(0, 5, |k| (MS + k * second * 100_000, Outcome::Ok));
    }
    assert_snapshot!("slower", told.seen(80));
}

#[test]
fn loads_without_a_rate_say_what_they_are() {
    let crowd = ahead("crowd", LoadModel::Closed { users: 50 }, 20);
    let mut told = Told::start(&[crowd, ahead("gap", LoadModel::Pause, 10)], 1);
    told.second(0, 812, |_| (2_000 * MS, Outcome::Timeout));
    assert_snapshot!("users", told.seen(80));
    assert_snapshot!("users-40", told.seen(40));
    told.now = 24 * SECOND;
    assert_snapshot!("pause", told.seen(80));
    let ramp = LoadModel::Ramp {
        from: rate(100),
        to: rate(400),
        arrivals: Arrivals::Constant,
    };
    let mut told = Told::start(&[ahead("up", ramp, 10)], 1);
    told.now = 4 * SECOND;
    assert!(
        told.seen(80).contains(" 220/s offered       0/s achieved"),
        "{}",
        told.seen(80)
    );
    told.stand(0, 3);
    assert!(
        told.seen(80).contains("    3 in flight"),
        "{}",
        told.seen(80)
    );
}

#[test]
fn a_second_is_complete_when_every_worker_has_spoken() {
    let mut told = Told::start(&[ahead("main", open(100), 60)], 2);
    let mut part = Part::new(0, 0);
    (0..500).for_each(|_| part.record(&took(3 * MS)));
    told.tell(&Event::Window(&part));
    (told.now, told.answered) = (SECOND, 250);
    told.stand(0, 5);
    assert!(!told.seen(80).contains("3.00"));
    told.stand(1, 7);
    let both = told.seen(80);
    assert!(
        both.contains("3.00") && both.contains("500/s achieved"),
        "{both}"
    );
    assert!(both.contains("   12 in flight"), "{both}");
    // One that has nothing to say for a while does not keep the others from being seen.
    told.tell(&Event::Window(&part));
    (told.now, told.answered) = (2 * SECOND, 750);
    told.stand(0, 5);
    (told.now, told.answered) = (3 * SECOND, 1_250);
    told.stand(0, 6);
    let one = told.seen(80);
    assert!(
        one.contains("500/s achieved") && one.contains("   13 in flight"),
        "{one}"
    );
}

/// Three rounds of twenty, which took a minute.
fn rounds(fewer_may_do: bool, says: &str) -> Model {
    let mut model = Model::default();
    let mut tell = |done, arms: &[(&str, Option<f64>)], says, at| {
        let so_far = RoundsSoFar {
            done,
            void: done / 3,
            most: 20,
            fewer_may_do,
            arms,
            says,
        };
        model.tell(&Event::Rounds(&so_far), Duration::from_secs(at));
    };
    tell(0, &[("axum", None), ("actix", None)], "", 4);
    tell(
        3,
        &[("axum", Some(4.1e6)), ("actix", Some(f64::INFINITY))],
        says,
        64,
    );
    model
}

/// The load of the fourth round.
fn fourth(model: Model) -> Told {
    let phases = [ahead("warm", open(400), 3), ahead("steady", open(400), 5)];
    let mut told = Told::start_in(model, Duration::from_secs(70), &phases, 1);
    (0..3).for_each(|_| told.second(0, 400, |_| (MS, Outcome::Ok)));
    told.second(1, 400, |k| (4_000_000 + k * 1_000, Outcome::Ok));
    told
}

#[test]
fn rounds_show_both_arms_and_how_the_change_narrows() {
    let mut model = rounds(false, "");
    assert_snapshot!("rounds-few", seen(&model, Duration::from_secs(64), 80));
    model = rounds(false, "actix +6.1 % [+1.9, +10.4]");
    model.tell(&Event::Step("starting axum"), Duration::from_secs(64));
    assert_snapshot!("rounds-step", seen(&model, Duration::from_secs(66), 80));
}

#[test]
fn the_load_of_a_round_takes_two_lines() {
    let says = "p99 +1.2 % [−3.4, +6.1]  look 2 of 5 after 10 rounds";
    let mut told = fourth(rounds(true, says));
    assert_snapshot!("rounds-80", told.seen(80));
    assert_snapshot!("rounds-40", told.seen(40));
    told.tell(&Event::RunDone(&RunDone {
        round: 4,
        rounds: 20,
        arm: "axum",
        result: "p99 4 ms",
    }));
    assert!(told.model.load.is_none());
}

#[test]
fn two_loads_at_once_are_both_shown() {
    let mut told = fourth(rounds(false, "actix +6.1 % [+1.9, +10.4]"));
    let phases = [ahead("warm", open(400), 3), ahead("steady", open(400), 5)];
    let started = Event::Started {
        target: "actix",
        phases: &phases,
        workers: 1,
        timeout: TIMEOUT,
        start_ns: 0,
    };
    let began = Duration::from_secs(70);
    told.model.tell(&Event::Beside(&started), began);
    let mut part = Part::new(0, 0);
    (0..1_200).for_each(|k| part.record(&took(8 * MS + k * 1_000)));
    told.tell(&Event::Beside(&Event::Window(&part)));
    let standing = Standing {
        at_ns: 3 * SECOND,
        answered: 1_200,
        in_flight: 3,
        ..Standing::default()
    };
    told.tell(&Event::Beside(&Event::Standing(&standing)));
    assert_snapshot!("duet-80", told.seen(80));
    told.tell(&Event::RunDone(&RunDone {
        round: 4,
        rounds: 20,
        arm: "actix",
        result: "p99 9 ms",
    }));
    assert!(told.model.load.is_none() && told.model.beside.is_none());
}

#[test]
fn every_terminal_is_wide_and_high_enough() {
    let (run, round) = (steady(), fourth(rounds(true, "p99 +1.2 % [−3.4, +6.1]")));
    let mut long = Told::start(&[ahead(&"x".repeat(64), open(1_000_000), 400_000)], 1);
    long.second(0, 10, |_| (3_000 * SECOND, Outcome::Timeout));
    for model in [&run.model, &round.model, &long.model] {
        for columns in 1..=140 {
            for rows in [1, 2, 5, 24] {
                let now = BEGUN + Duration::from_secs(17);
                let drawn = view(model, now, Look { color: true }, Size::new(columns, rows));
                assert!(drawn.area.width < columns.max(2), "{columns} columns");
                assert!(drawn.area.height < rows.max(2), "{rows} rows");
            }
        }
    }
}

#[test]
fn a_log_has_a_line_every_ten_seconds_of_a_load_by_itself() {
    let mut log = Log::default();
    let phases = [ahead("steady", open(1_000), 30)];
    let started = Event::Started {
        target: "axum",
        phases: &phases,
        workers: 1,
        timeout: TIMEOUT,
        start_ns: 0,
    };
    let at = |ms| BEGUN + Duration::from_millis(ms);
    assert_eq!(log.tell(&Event::Step("opening connections"), at(0)), None);
    assert_eq!(log.tell(&started, at(0)), None);
    let mut part = Part::new(0, 0);
    (0..500).for_each(|k| part.record(&took(MS + k * 10_000)));
    assert_eq!(log.tell(&Event::Window(&part), at(9_000)), None);
    let standing = Standing {
        at_ns: 9 * SECOND,
        answered: 8_991,
        ..Standing::default()
    };
    assert_eq!(log.tell(&Event::Standing(&standing), at(9_000)), None);
    assert_eq!(log.tick(at(9_900)), None);
    let first = log.tick(at(10_100)).unwrap();
    assert_snapshot!(first, @"steady 0:10 of 0:30 · 1,000/s offered, 999/s achieved · p50 3.49, p99 5.94 ms · 0 of 500 failed");
    assert_eq!(log.tick(at(10_350)), None);
    assert!(log.tick(at(20_000)).is_some());
    assert_eq!(
        log.tell(&Event::Warning("odd"), at(21_000)),
        Some("warning: odd".into())
    );
    // Of a comparison, a line for each run is enough.
    let rounds = RoundsSoFar {
        done: 0,
        void: 0,
        most: 2,
        fewer_may_do: false,
        arms: &[],
        says: "",
    };
    assert_eq!(log.tell(&Event::Rounds(&rounds), at(22_000)), None);
    assert_eq!(log.tick(at(40_000)), None);
    let done = RunDone {
        round: 1,
        rounds: 2,
        arm: "axum",
        result: "p99 4 ms",
    };
    let said = log.tell(&Event::RunDone(&done), at(41_000));
    assert_eq!(said.as_deref(), Some("round 1/2  axum  p99 4 ms"));
}
