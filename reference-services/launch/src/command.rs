//! The command line, which is the same for every service.

use crate::options::{LogFormat, Options, parse_port};
use contract::setting::text;
use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: SERVICE [OPTIONS]       serve
       SERVICE config          print as one line of JSON how it would serve; holds no secret
       SERVICE audit           compare the counts on standard input with the database; prints JSON, exits 0 or 1
       SERVICE healthcheck     ask the service on PORT whether it is ready; exits 0 or 1

Options:
  --port N                     else PORT, else 8080; 0 takes a free port and prints it
  --log-format text|json       else LOG_FORMAT, else text; the log goes to standard error

Environment: DATABASE_URL, REDIS_URL; PORT [8080], HOST [127.0.0.1], RUST_LOG [warn]
  LOG_FORMAT text|json [text]
  METRICS_PORT [none]              answers /metrics for Prometheus; 0 takes a free port and prints `metrics PORT`
  PROFILE idiomatic|tuned [idiomatic]
                                   how the framework is set up
  LAYERS none|trace|auth|limit|all [none]
                                   what stands before the handlers
  ANSWER_TIMEOUT_MS [8000]         for a whole request, where LAYERS bounds it; then 504
  TLS_CERT, TLS_KEY                files in the PEM format: everything is served over TLS
  POSTGRES_CONNECTIONS [16]        over all workers
  POSTGRES_ACQUIRE_MS [1000]       how long a request waits for one of them; then 503
  STORE sqlx|diesel [sqlx]         the library that speaks to PostgreSQL
  DIESEL_POOL deadpool|bb8 [deadpool]
                                   its pool, where it is Diesel
  TX_MODE lock|serializable [lock] how transfers are kept apart
  REDIS_ACCESS manager|deadpool|bb8 [manager]
                                   one connection for all requests of a worker, or a pool
  REDIS_CONNECTIONS [8]            of a pool, over all workers
  REDIS_TIMEOUT_MS [100]           for each command; then the cache is bypassed
  CACHE_TTL_SECONDS [1]            how long an item stays in Redis
  EVENTS_QUEUE [10000]             events that may wait to be written; then 429
  TOKEN_SECRET                     signs tokens, 32 bytes or more; the default is for measurements alone
  RATE_LIMIT_PER_SECOND [100]      requests of a subject, where it is limited; then 429
  RATE_LIMIT_BURST [100]           of them at once, after a pause
  MAX_IN_FLIGHT [1024]             requests in flight, where they are bounded; then 503
  UPSTREAM_URL [http://127.0.0.1:8081]
  UPSTREAM_TIMEOUT_MS [1000]       for a whole exchange with the upstream; then 504";

/// The port of a service that was told none.
const PORT: u16 = 8080;

/// What to do, and how to tell of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) action: Action,
    pub(crate) log: LogFormat,
}

/// The variables that say how to start; the others are read where they are used.
const VARIABLES: [&str; 7] = [
    "PORT",
    "HOST",
    "LOG_FORMAT",
    "PROFILE",
    "LAYERS",
    "ANSWER_TIMEOUT_MS",
    "METRICS_PORT",
];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Serve(SocketAddr, Options),
    Config(Options),
    Audit,
    HealthCheck(SocketAddr),
    Help,
}

impl Command {
    pub(crate) fn from_env() -> Result<Self, String> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let known = |name: &str| text(name).map_err(|error| error.to_string());
        for name in VARIABLES {
            known(name)?;
        }
        Self::parse(&arguments, |name| known(name).ok().flatten())
    }

    fn parse(
        arguments: &[impl AsRef<str>],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let (mut word, mut port, mut log) = (None, None, None);
        let mut rest = arguments.iter().map(AsRef::as_ref);
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
            match argument {
                "--port" => port = Some(parse_port("--port", value()?)?),
                "--log-format" => log = Some(LogFormat::parse("--log-format", value()?)?),
                "--help" | "-h" => word = Some("--help"),
                "audit" | "config" | "healthcheck" if word.is_none() => word = Some(argument),
                other => {
                    return Err(format!("{other:?} is not understood; --help shows what is"));
                }
            }
        }
        let port = || match (port, variable("PORT")) {
            (Some(port), _) => Ok(port),
            (None, Some(text)) => parse_port("PORT", &text),
            (None, None) => Ok(PORT),
        };
        let host = || match variable("HOST") {
            None => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(text) => text
                .parse()
                .map_err(|_| format!("HOST is {text:?}; write an IP address")),
        };
        let action = match word {
            None => Action::Serve(SocketAddr::new(host()?, port()?), Options::read(&variable)?),
            Some("config") => Action::Config(Options::read(&variable)?),
            Some("audit") => Action::Audit,
            Some("healthcheck") => {
                Action::HealthCheck(SocketAddr::new(reachable(host()?), port()?))
            }
            Some(_) => Action::Help,
        };
        let log = match (log, variable("LOG_FORMAT")) {
            (Some(log), _) => log,
            (None, Some(text)) => LogFormat::parse("LOG_FORMAT", &text)?,
            (None, None) => LogFormat::Text,
        };
        Ok(Self { action, log })
    }
}

/// The address at which a service that listens on `host` can be reached from its own machine.
fn reachable(host: IpAddr) -> IpAddr {
    if host.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], variables: &[(&str, &str)], expected: Result<Action, &str>) {
        let parsed = parse(arguments, variables).map(|command| command.action);
        match (parsed, expected) {
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (parsed, expected) => {
                assert_eq!(parsed, expected.map_err(ToOwned::to_owned), "{arguments:?}");
            }
        }
    }

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, String> {
        Command::parse(arguments, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let options = Options::read(|_| None).unwrap();
        let serve = |address: &str| Ok(Action::Serve(address.parse().unwrap(), options));
        check(&[], &[], serve("127.0.0.1:8080"));
        let everywhere = [("PORT", "81"), ("HOST", "0.0.0.0")];
        check(&[], &everywhere, serve("0.0.0.0:81"));
        check(&["--port", "0"], &[("PORT", "81")], serve("127.0.0.1:0"));
        check(&["--port", "0"], &[("PORT", "no")], serve("127.0.0.1:0"));
        check(&["audit"], &[("PORT", "no")], Ok(Action::Audit));
        check(&["config"], &[], Ok(Action::Config(options)));
        check(&["config", "--help"], &[], Ok(Action::Help));
        let health = Ok(Action::HealthCheck("127.0.0.1:81".parse().unwrap()));
        check(&["healthcheck"], &everywhere, health);
        check(&["--port", "65536"], &[], Err("--port is \"65536\""));
        check(&["--port"], &[], Err("--port needs a value"));
        check(&[], &[("PORT", "x")], Err("PORT is \"x\""));
        check(&[], &[("HOST", "x")], Err("HOST is \"x\""));
        check(&[], &[("LAYERS", "x")], Err("LAYERS is \"x\""));
        check(&["serve"], &[], Err("\"serve\" is not understood"));
        check(
            &["audit", "config"],
            &[],
            Err("\"config\" is not understood"),
        );
    }

    #[test]
    fn the_log_is_text_unless_it_was_told_otherwise() {
        let json = [("LOG_FORMAT", "json")];
        for (arguments, variables, expected) in [
            (&[][..], &[][..], Ok(LogFormat::Text)),
            (&[], &json, Ok(LogFormat::Json)),
            (&["--log-format", "text"], &json, Ok(LogFormat::Text)),
            (
                &["--log-format", "xml"],
                &json,
                Err("--log-format is \"xml\"; write one of text, json".to_owned()),
            ),
        ] {
            let parsed = parse(arguments, variables).map(|command| command.log);
            assert_eq!(parsed, expected, "{arguments:?}");
        }
    }
}
