//! The scenario that a bare URL on the command line stands for.

use std::time::Duration;

use super::template::json_characters;
use super::{Connections, Http, LoadModel, Scenario};
use crate::document::Problems;
use crate::units::format_duration;

/// What the command line says about a run without a scenario file. Path, headers and body may hold `${…}`, as in a
/// file; the host belongs to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRun {
    /// The method, as it is sent.
    pub method: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// How load is made.
    pub model: LoadModel,
    /// Of the measured phase, `main`.
    pub duration: Duration,
    /// Of the phase `warmup` before it; none, or 0: there is no such phase.
    pub warmup: Option<Duration>,
    /// Of one exchange.
    pub timeout: Duration,
    /// The pool's bounds.
    pub connections: Connections,
    /// The seed of every draw.
    pub seed: u64,
}

impl Scenario {
    /// The scenario of one flow and one step that `run` describes, called `url`.
    ///
    /// Its text is a scenario file that says the same, so a run of a URL can be replayed from its record; its digest
    /// is that text's.
    ///
    /// # Errors
    /// What no scenario file may say either, such as a header that cannot be sent; without places.
    pub fn for_url(run: &UrlRun) -> Result<Self, Problems> {
        let parsed = Self::parse("command line", run.to_yaml().as_bytes())
            .map_err(Problems::without_places)?;
        Ok(Self {
            file_name: "url".to_owned(),
            ..parsed
        })
    }
}

impl UrlRun {
    fn to_yaml(&self) -> String {
        let mut yaml = format!(
            "tailmark: 1\nseed: {}\ntimeout: {}\nconnections: {}\n",
            self.seed,
            format_duration(self.timeout),
            self.connections.to_yaml(),
        );
        yaml += "flows:\n  url:\n    steps:\n";
        yaml += &format!(
            "      - method: {}\n        path: {}\n",
            quoted(&self.method),
            quoted(&self.path)
        );
        if !self.headers.is_empty() {
            yaml += "        headers:\n";
        }
        for (name, value) in &self.headers {
            yaml += &format!("          {}: {}\n", quoted(name), quoted(value));
        }
        if let Some(body) = &self.body {
            yaml += &format!("        body: {}\n", quoted(body));
        }
        let phase = |name, duration, warmup| {
            let (load, duration) = (self.model.to_yaml(), format_duration(duration));
            format!("  - {{ name: {name}, {load}, for: {duration}, warmup: {warmup} }}\n")
        };
        yaml += "phases:\n";
        if let Some(warmup) = self.warmup.filter(|warmup| !warmup.is_zero()) {
            yaml += &phase("warmup", warmup, true);
        }
        yaml + &phase("main", self.duration, false)
    }
}

impl Connections {
    /// As a scenario file says it, without what is usual; the bounds always.
    fn to_yaml(self) -> String {
        let Self {
            max,
            connect_timeout,
            open,
            reuse,
            ttl,
            dns_ttl,
            http,
            streams,
        } = self;
        let usual = Self::default();
        let mut yaml = format!(
            "{{ max: {max}, connect_timeout: {}",
            format_duration(connect_timeout)
        );
        if open != usual.open {
            yaml += ", open: on-demand";
        }
        if reuse != usual.reuse {
            yaml += ", reuse: false";
        }
        if let Some(ttl) = ttl {
            yaml += &format!(", ttl: {}", format_duration(ttl));
        }
        if dns_ttl != usual.dns_ttl {
            yaml += &format!(", dns: {{ ttl: {} }}", format_duration(dns_ttl));
        }
        match http {
            Http::One => {}
            Http::Two => yaml += ", http: 2",
            Http::Auto => yaml += ", http: auto",
        }
        if streams != usual.streams {
            yaml += &format!(", streams: {streams}");
        }
        yaml + " }"
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", json_characters(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Arrivals, Draw};
    use super::*;
    use crate::units::Rate;

    fn run() -> UrlRun {
        UrlRun {
            method: "GET".to_owned(),
            path: "/items/1?a=b".to_owned(),
            headers: Vec::new(),
            body: None,
            model: LoadModel::Open {
                rate: Rate::per_second_of(100).unwrap(),
                arrivals: Arrivals::Poisson,
            },
            duration: Duration::from_secs(10),
            warmup: None,
            timeout: Duration::from_secs(10),
            connections: Connections::default(),
            seed: 1,
        }
    }

    #[test]
    fn a_url_is_loaded_as_it_was_asked_for() {
        let rate = |per_second| Rate::per_second_of(per_second).unwrap();
        for model in [
            run().model,
            LoadModel::Ramp {
                from: rate(3),
                to: Rate::new(1, 3_600_000_000_000).unwrap(),
                arrivals: Arrivals::Constant,
            },
            LoadModel::Closed { users: 500 },
        ] {
            let scenario = Scenario::for_url(&UrlRun { model, ..run() }).unwrap();
            assert_eq!(scenario.phases()[0].model, model);
        }
    }

    fn message(run: &UrlRun) -> String {
        Scenario::for_url(run).unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_one_flow_of_one_step() {
        let scenario = Scenario::for_url(&UrlRun {
            warmup: Some(Duration::from_secs(2)),
            ..run()
        })
        .unwrap();
        assert_eq!(scenario.name(), "url");
        assert_eq!(scenario.flows()[0].steps[0].name, "GET-items-1");
        let phases: Vec<_> = scenario
            .phases()
            .iter()
            .map(|phase| (phase.name.as_str(), phase.warmup))
            .collect();
        assert_eq!(phases, [("warmup", true), ("main", false)]);
        let again = Scenario::parse("again.yaml", scenario.text().as_bytes()).unwrap();
        assert_eq!(
            (again.digest(), again.flows()),
            (scenario.digest(), scenario.flows())
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_a_place() {
        let header = vec![("Content-Length".to_owned(), "3".to_owned())];
        assert_eq!(
            message(&UrlRun {
                headers: header,
                ..run()
            }),
            "error: command line: `Content-Length` is computed from the body"
        );
        assert_eq!(
            message(&UrlRun {
                path: "/a b".to_owned(),
                ..run()
            }),
            "error: command line: a space cannot stand in a path\nhint: write %20"
        );
        assert_eq!(
            message(&UrlRun {
                duration: Duration::ZERO,
                ..run()
            }),
            "error: command line: `for: 0s` is no time at all"
        );
    }

    proptest! {
        #[test]
        fn any_body_survives_the_way_through_yaml(source: String) {
            let body = source.replace("${", "");
            let scenario = Scenario::for_url(&UrlRun { body: Some(body.clone()), ..run() }).unwrap();
            let mut out = Vec::new();
            let template = scenario.flows()[0].steps[0].request.body.as_ref().unwrap();
            template.render(&Draw::new(1, 0, 0), &mut out).unwrap();
            prop_assert_eq!(out, body.into_bytes());
        }
    }
}
