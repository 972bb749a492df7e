//! The command line, which is the same for every service.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: SERVICE [--port N]      serve; --port, else PORT, else 8080; 0 takes a free port and prints it
       SERVICE audit           compare the counts on standard input with the database; prints JSON, exits 0 or 1
       SERVICE healthcheck     ask the service on PORT whether it is ready; exits 0 or 1

Environment: DATABASE_URL, REDIS_URL; PORT [8080], HOST [127.0.0.1], RUST_LOG [warn]
  POSTGRES_CONNECTIONS [16]        over all workers
  POSTGRES_ACQUIRE_MS [1000]       how long a request waits for one of them; then 503
  TX_MODE lock|serializable [lock] how transfers are kept apart
  REDIS_ACCESS manager|deadpool|bb8 [manager]
                                   one connection for all requests of a worker, or a pool
  REDIS_CONNECTIONS [8]            of a pool, over all workers
  REDIS_TIMEOUT_MS [100]           for each command; then the cache is bypassed
  CACHE_TTL_SECONDS [1]            how long an item stays in Redis
  EVENTS_QUEUE [10000]             events that may wait to be written; then 429
  TOKEN_SECRET                     signs tokens, 32 bytes or more; the default is for measurements alone
  RATE_LIMIT_PER_SECOND [100]      requests of a subject to the gateway; then 429
  RATE_LIMIT_BURST [100]           of them at once, after a pause
  MAX_IN_FLIGHT [1024]             requests in flight; then 503
  UPSTREAM_URL [http://127.0.0.1:8081]
  UPSTREAM_TIMEOUT_MS [1000]       for a whole exchange with the upstream; then 504";

/// The port of a service that was told none.
const PORT: u16 = 8080;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve(SocketAddr),
    Audit,
    HealthCheck(SocketAddr),
    Help,
}

impl Command {
    pub(crate) fn from_env() -> Result<Self, String> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self::parse(
            &arguments,
            env::var("PORT").ok().as_deref(),
            env::var("HOST").ok().as_deref(),
        )
    }

    fn parse(arguments: &[&str], port: Option<&str>, host: Option<&str>) -> Result<Self, String> {
        let port = port.map_or(Ok(PORT), |text| parse_port("PORT", text));
        let host = host.map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), |text| {
            text.parse()
                .map_err(|_| format!("HOST is {text:?}; write an IP address"))
        });
        match arguments {
            [] => Ok(Self::Serve(SocketAddr::new(host?, port?))),
            ["--port", text] => Ok(Self::Serve(SocketAddr::new(
                host?,
                parse_port("--port", text)?,
            ))),
            ["audit"] => Ok(Self::Audit),
            ["healthcheck"] => Ok(Self::HealthCheck(SocketAddr::new(reachable(host?), port?))),
            ["--help" | "-h"] => Ok(Self::Help),
            other => Err(format!(
                "{:?} is not understood; --help shows what is",
                other.join(" ")
            )),
        }
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

fn parse_port(name: &str, text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("{name} is {text:?}; write a number from 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        arguments: &[&str],
        port: Option<&str>,
        host: Option<&str>,
        expected: Result<Command, &str>,
    ) {
        let parsed = Command::parse(arguments, port, host);
        match (parsed, expected) {
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (parsed, expected) => {
                assert_eq!(parsed, expected.map_err(ToOwned::to_owned), "{arguments:?}");
            }
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let serve = |address: &str| Ok(Command::Serve(address.parse().unwrap()));
        check(&[], None, None, serve("127.0.0.1:8080"));
        check(&[], Some("81"), Some("0.0.0.0"), serve("0.0.0.0:81"));
        check(&["--port", "0"], Some("81"), None, serve("127.0.0.1:0"));
        check(&["--port", "0"], Some("no"), None, serve("127.0.0.1:0"));
        check(&["audit"], None, None, Ok(Command::Audit));
        let health = Ok(Command::HealthCheck("127.0.0.1:81".parse().unwrap()));
        check(&["healthcheck"], Some("81"), Some("0.0.0.0"), health);
        check(&["--port", "65536"], None, None, Err("--port is \"65536\""));
        check(&[], Some("x"), None, Err("PORT is \"x\""));
        check(&[], None, Some("x"), Err("HOST is \"x\""));
        check(&["serve"], None, None, Err("\"serve\" is not understood"));
    }
}
