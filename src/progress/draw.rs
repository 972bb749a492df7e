//! The view as lines, for a terminal of some size. Widths are fixed, so that nothing moves but what changes.

mod row;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::model::{Load, MOST_SECONDS, Model, Place, Rounds};
use super::words::{self, UNKNOWN, about, brief_ms, clock, fitting, ms, offered, per_second};
use crate::scenario::LoadModel;
use crate::units::{mib, thousands, three_digits};
use row::Row;

/// A terminal of fewer columns has fewer parts.
const NARROW: u16 = 50;

/// Nothing is wider, so that the eye finds the end of a line.
const WIDEST: u16 = 120;

/// Columns of what a line is called, without the margin before it and the gap behind it.
const LABEL: usize = 9;

/// Columns of a name that stands before a gauge.
const NAME: usize = 24;

/// How it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whether there may be colours, bold and dim. They never carry a meaning of their own.
    pub(super) color: bool,
}

impl Look {
    fn style(self, style: Style) -> Style {
        if self.color { style } else { Style::new() }
    }

    fn bold(self) -> Style {
        self.style(Style::new().add_modifier(Modifier::BOLD))
    }

    fn dim(self) -> Style {
        self.style(Style::new().add_modifier(Modifier::DIM))
    }

    fn lit(self) -> Style {
        self.style(Style::new().fg(Color::Cyan))
    }

    fn alarm(self) -> Style {
        self.style(Style::new().fg(Color::Red))
    }
}

/// What is known, drawn for a terminal of that size. The last column stays free, and a row for what was printed before.
pub(super) fn view(model: &Model, now: Duration, look: Look, size: Size) -> Buffer {
    let width = size.width.saturating_sub(1).clamp(1, WIDEST);
    let drawing = Drawing {
        model,
        now,
        look,
        narrow: size.width < NARROW,
        width: usize::from(width),
    };
    let mut rows = drawing.rows();
    rows.truncate(usize::from(size.height.saturating_sub(1).max(1)));
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, rows.len() as u16));
    for (y, row) in rows.iter().enumerate() {
        row.draw(y as u16, look, &mut buffer);
    }
    buffer
}

struct Drawing<'a> {
    model: &'a Model,
    now: Duration,
    look: Look,
    narrow: bool,
    width: usize,
}

impl Drawing<'_> {
    fn rows(&self) -> Vec<Row> {
        let Model {
            load,
            beside,
            rounds,
            step,
        } = self.model;
        match (rounds, load) {
            (Some(rounds), load) => {
                let mut rows = self.rounds(rounds);
                match (step, load) {
                    (None, Some(load)) => {
                        let loads = [load].into_iter().chain(beside);
                        rows.extend(loads.flat_map(|load| self.brief(load)));
                    }
                    _ => rows.extend(self.step()),
                }
                rows
            }
            (None, Some(load)) => {
                let first = self.step().unwrap_or_else(|| self.place(load));
                let mut rows = vec![first];
                rows.extend(match self.narrow {
                    true => self.narrow(load),
                    false => self.whole(load),
                });
                rows
            }
            (None, None) => self.step().into_iter().collect(),
        }
    }

    /// What is being done beside offering load.
    fn step(&self) -> Option<Row> {
        let (words, since) = self.model.step.as_ref()?;
        let seconds = self.now.saturating_sub(*since).as_secs();
        // What takes long shows that it goes on.
        let lasts = match seconds {
            0 => String::new(),
            seconds => format!("  {}", clock(seconds, seconds)),
        };
        Some(Row::Words(vec![
            Span::raw(format!("  {words}")),
            Span::styled(lasts, self.look.dim()),
        ]))
    }

    /// Where the load is: the phase, how long it has lasted, and how long all of it still takes.
    fn place(&self, load: &Load) -> Row {
        let place = load.place(self.now);
        let Some(phase) = place.phase else {
            return Row::Words(vec![Span::raw("  letting what is in flight end")]);
        };
        let warmup = match (phase.warmup, self.narrow) {
            (true, false) => " (warm-up)",
            _ => "",
        };
        let number = match (place.phases, self.narrow) {
            (1, _) | (_, true) => String::new(),
            (phases, false) => format!("   phase {} of {phases}", place.number),
        };
        let left = place.all_ns.saturating_sub(place.all_gone_ns);
        let left = clock(seconds_up(left), seconds_up(place.all_ns));
        let name = fitting(&phase.name, if self.narrow { LABEL } else { NAME });
        Row::Gauge {
            left: vec![
                Span::styled(label_text(&format!("{name}{warmup}")), self.look.bold()),
                Span::raw(lasted(&place, phase.length_ns)),
                Span::styled(number, self.look.dim()),
            ],
            share: share(place.all_gone_ns, place.all_ns),
            right: match self.narrow {
                true => left,
                false => format!("{left} left"),
            },
        }
    }

    /// Everything there is of a load.
    fn whole(&self, load: &Load) -> Vec<Row> {
        let mut rows = vec![self.rates(load)];
        rows.extend(self.times(load));
        rows.push(self.trail(load));
        rows.push(self.failed(load));
        rows.extend(self.usage(load).map(|usage| self.labelled("target", usage)));
        rows
    }

    fn rates(&self, load: &Load) -> Row {
        let [in_flight, waiting] = load.open();
        let achieved = self.achieved(load);
        let (offered, what) = self.offered(load);
        let figures = [
            format!("{offered:>8} {what:<7}"),
            format!("  {achieved:>8} achieved"),
            format!("  {:>5} in flight", thousands(in_flight)),
            format!("  {:>5} waiting", thousands(waiting)),
        ];
        // The last ones go first.
        let mut room = self.width.saturating_sub(LABEL + 3);
        let figures = figures.into_iter().take_while(|figure| {
            let fits = figure.len() <= room;
            room = room.saturating_sub(figure.len());
            fits
        });
        self.labelled("rate", figures.map(Span::raw).collect())
    }

    fn achieved(&self, load: &Load) -> String {
        load.achieved(self.now)
            .map_or(UNKNOWN.to_owned(), per_second)
    }

    /// What is offered now, and what that is called.
    fn offered(&self, load: &Load) -> (String, &'static str) {
        let place = load.place(self.now);
        let Some(phase) = place.phase else {
            return ("nothing".to_owned(), "offered");
        };
        if let LoadModel::Closed { users } = phase.model {
            return (thousands(users.into()), "users");
        }
        let rate = offered(phase.model, share(place.gone_ns, phase.length_ns));
        (rate.map_or("nothing".to_owned(), per_second), "offered")
    }

    /// Times of the last seconds, and of the phase.
    fn times(&self, load: &Load) -> Vec<Row> {
        /// From this width on there is room for the lag.
        const WITH_LAG: usize = 60;
        let cell = |text: &str| format!("{text:>9}");
        let lag = |text: &str| match self.width {
            WITH_LAG.. => format!("{text:>12}"),
            _ => String::new(),
        };
        let header = ["p50", "p99", "p99.9", "max"].map(cell).concat() + &lag("lag p99");
        let header = vec![Span::styled(header, self.look.dim())];
        let mut rows = vec![self.labelled("ms", header)];
        let last = match load.last.seconds {
            0 | 1 => "last 1 s".to_owned(),
            seconds => format!("last {seconds} s"),
        };
        for (label, figures) in [(last.as_str(), &load.last), ("phase", &load.phase)] {
            rows.push(self.labelled(
                label,
                vec![
                    Span::raw(cell(&ms(figures.p50))),
                    Span::styled(cell(&ms(figures.p99)), self.look.bold()),
                    Span::raw(cell(&ms(figures.p99_9))),
                    Span::raw(cell(&ms(figures.max))),
                    Span::raw(lag(&brief_ms(figures.lag_p99))),
                ],
            ));
        }
        rows
    }

    /// The p99 of each second as a line; the longest of each where there are too few exchanges for a p99.
    fn trail(&self, load: &Load) -> Row {
        let has_p99 = load.trail.iter().any(|[p99, _]| p99.is_some());
        let (label, which) = match load.trail.len() {
            MOST_SECONDS.. if !has_p99 => ("max", 1),
            _ => ("p99", 0),
        };
        Row::Spark {
            left: self.label_of(label),
            values: load.trail.iter().map(|values| values[which]).collect(),
        }
    }

    fn failed(&self, load: &Load) -> Row {
        let (outcomes, statuses) = load.ended();
        let style = match outcomes.failed() {
            0 => Style::new(),
            _ => self.look.alarm(),
        };
        let failures = words::failures(&outcomes, &statuses, load.timeout);
        self.labelled("failed", vec![Span::styled(failures, style)])
    }

    /// What the target uses, where that is known.
    fn usage(&self, load: &Load) -> Option<Vec<Span<'static>>> {
        let usage = load.usage?;
        let memory = usage
            .memory_bytes
            .map(|bytes| format!("{} MiB", mib(bytes)));
        let cpu = usage.cpu.map(words::percent);
        if memory.is_none() && usage.cpu.is_none() {
            return None;
        }
        let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
        Some(vec![Span::raw(format!(
            "memory {:<11} CPU {:>5} of one core",
            known(memory),
            known(cpu)
        ))])
    }

    /// What of a load has room where there is little.
    fn narrow(&self, load: &Load) -> Vec<Row> {
        let [in_flight, _] = load.open();
        let achieved = self.achieved(load);
        let of = match self.offered(load) {
            (users, "users") => format!("by {users} users"),
            (rate, _) => format!("of {rate}"),
        };
        let mut rows = vec![Row::Words(vec![Span::raw(format!(
            "  {achieved} {of}  {:>4} in flight",
            thousands(in_flight)
        ))])];
        let line = |cells: [String; 3]| cells.map(|cell| format!("{cell:>9}")).concat();
        let header = line(["p50", "p99", "max"].map(str::to_owned));
        rows.push(self.labelled("ms", vec![Span::styled(header, self.look.dim())]));
        let last = format!("last {} s", load.last.seconds.max(1));
        for (label, figures) in [(last.as_str(), &load.last), ("phase", &load.phase)] {
            let cells = line([ms(figures.p50), ms(figures.p99), ms(figures.max)]);
            rows.push(self.labelled(label, vec![Span::raw(cells)]));
        }
        rows.push(self.failed(load));
        rows
    }

    /// How far the rounds are, and what they say.
    fn rounds(&self, rounds: &Rounds) -> Vec<Row> {
        let Rounds {
            done,
            void,
            most,
            arms,
            ..
        } = rounds;
        let void = match (void, self.narrow) {
            (0, _) | (_, true) => String::new(),
            (void, false) => format!("   {void} void"),
        };
        let up_to = match (rounds.fewer_may_do, self.narrow) {
            (true, false) => "up to ",
            _ => "",
        };
        let left = rounds.left(self.now).map(about);
        let left = match (left, self.narrow) {
            (None, _) => String::new(),
            (Some(left), true) => left,
            (Some(left), false) => match rounds.fewer_may_do {
                true => format!("{left} left at most"),
                false => format!("{left} left"),
            },
        };
        let width = thousands(*most as u64).len();
        let mut rows = vec![Row::Gauge {
            left: vec![
                Span::styled(label_text("rounds"), self.look.bold()),
                Span::raw(format!("{done:>width$} of {up_to}{most}")),
                Span::styled(void, self.look.dim()),
            ],
            share: share(*done as u64, *most as u64),
            right: left,
        }];
        let p99 = |p99: Option<f64>| match p99 {
            Some(f64::INFINITY) => "∞".to_owned(),
            Some(ns) => three_digits(ns / 1e6),
            None => UNKNOWN.to_owned(),
        };
        let p99s = arms
            .iter()
            .map(|(name, ns)| format!("{} {}", fitting(name, NAME), p99(*ns)));
        let p99s = p99s.collect::<Vec<_>>().join(" · ");
        rows.push(self.labelled("p99 ms", vec![Span::raw(p99s)]));
        if arms.len() > 1 {
            let says = match (rounds.says.as_str(), done) {
                ("", 0) => "after the first round",
                ("", _) => UNKNOWN,
                (says, _) => says,
            };
            rows.push(self.labelled(
                "change",
                vec![Span::styled(says.to_owned(), self.look.bold())],
            ));
        }
        rows
    }

    /// What is to be seen of a load of many: where it is, and a line of figures.
    fn brief(&self, load: &Load) -> Vec<Row> {
        let place = load.place(self.now);
        let name = fitting(&load.target, if self.narrow { LABEL } else { NAME });
        let lasted = match place.phase {
            Some(phase) => lasted(&place, phase.length_ns),
            None => "ends".to_owned(),
        };
        let phase = match place.phase {
            Some(phase) if phase.warmup && !self.narrow => " warm-up",
            _ => "",
        };
        let first = Row::Gauge {
            left: vec![
                Span::styled(label_text(&name), self.look.bold()),
                Span::raw(lasted),
                Span::styled(phase, self.look.dim()),
            ],
            share: share(place.all_gone_ns, place.all_ns),
            right: String::new(),
        };
        let (outcomes, _) = load.ended();
        let failed = Span::styled(
            format!("{:>5} failed", thousands(outcomes.failed())),
            match outcomes.failed() {
                0 => Style::new(),
                _ => self.look.alarm(),
            },
        );
        let p99 = format!("p99 {:>7} ms", ms(load.last.p99));
        if self.narrow {
            let figures = vec![Span::raw(format!("{p99} ")), failed];
            return vec![first, self.labelled("", figures)];
        }
        let (offered, _) = self.offered(load);
        let achieved = self.achieved(load);
        let mut figures = vec![
            Span::raw(format!("{achieved:>8} of {offered:<8}   {p99}  ")),
            failed,
        ];
        let memory = load.usage.and_then(|usage| usage.memory_bytes);
        figures.extend(memory.map(|bytes| Span::raw(format!("{:>10} MiB", mib(bytes)))));
        vec![first, self.labelled("", figures)]
    }

    fn label_of(&self, label: &str) -> Span<'static> {
        Span::styled(label_text(label), self.look.dim())
    }

    fn labelled(&self, label: &str, spans: Vec<Span<'static>>) -> Row {
        let label = self.label_of(label);
        Row::Words([label].into_iter().chain(spans).collect())
    }
}

/// A label with the margin before it and the gap behind it.
fn label_text(label: &str) -> String {
    format!("  {label:<LABEL$} ")
}

/// `0:12 of 0:30`.
fn lasted(place: &Place<'_>, length_ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let length = seconds_up(length_ns);
    let gone = clock(place.gone_ns / SECOND, length);
    format!("{gone} of {}", clock(length, length))
}

/// Seconds, the one that has begun among them.
fn seconds_up(ns: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    ns.div_ceil(SECOND)
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => (part as f64 / whole as f64).clamp(0.0, 1.0),
    }
}
