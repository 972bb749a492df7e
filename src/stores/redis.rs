//! Redis: a private or given server, and its numbered databases.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use rustix::process::Signal;

use super::given::ServerUrl;
use super::server::{Daemon, Recipe};
use super::{Place, StoresError, binaries, server};
use crate::child::Step;

/// Redis's default number of databases, which a given server has too.
const DATABASES: usize = 16;

/// What a private server needs.
pub(super) const PROGRAMS: &[&str] = &["redis-server"];

/// Redis ends at once: it has nothing to save.
const ESCALATION: &[Step] = &[(Signal::TERM, Duration::from_secs(5))];

/// How long connecting, and one answer, may take. The client's own default, 0.5 s, is short for emptying a full database.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A server, and who has which of its databases.
#[derive(Debug)]
pub(super) struct Redis {
    /// `None` for a given server.
    daemon: Option<Daemon>,
    server: ServerUrl,
    lent: Mutex<Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    lent: [bool; DATABASES],
    next: usize,
}

/// A database that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) url: String,
    number: usize,
}

impl Redis {
    pub(super) async fn start(place: Place<'_>) -> Result<Redis, StoresError> {
        let program = binaries::folder_with(place.search, PROGRAMS)
            .ok_or(StoresError::Missing {
                server: "Redis",
                programs: "`redis-server` was",
                variable: "REDIS_URL",
                package: "redis-server",
            })?
            .join("redis-server");
        let password = server::random_hex()?;
        // In a file, because every account of the machine can read a command line.
        let settings = place.folder.join("redis.conf");
        server::write_private(&settings, &configuration(place.folder, &password), place)?;
        let recipe = Recipe::new("Redis", place, ESCALATION, move |port| {
            let mut command = Command::new(&program);
            command.arg(&settings).arg("--port").arg(port.to_string());
            command
        });
        let ping = async |port| ping(&server_url(&password, port).database(0)).await;
        let daemon = recipe.start(ping).await?;
        let port = daemon.port;
        Ok(Redis {
            daemon: Some(daemon),
            server: server_url(&password, port),
            lent: Mutex::default(),
        })
    }

    pub(super) async fn given(url: &str) -> Result<Redis, StoresError> {
        let refused = |problem: String| StoresError::Given {
            variable: "REDIS_URL",
            problem,
        };
        let server = ServerUrl::parse(url)
            .ok_or_else(|| refused("not a URL; write redis://host:port".to_owned()))?;
        let redis = Redis {
            daemon: None,
            server,
            lent: Mutex::default(),
        };
        let mut connection = connect(url)
            .await
            .map_err(|error| refused(format!("cannot connect: {error}")))?;
        let keyspace: String = redis::cmd("INFO")
            .arg("keyspace")
            .query_async(&mut connection)
            .await
            .map_err(doing("ask whether the given server is empty"))?;
        if keyspace.lines().any(|line| line.starts_with("db")) {
            return Err(refused(
                "this Redis holds keys, and tailmark empties the databases it hands out; name an empty server, or \
                 unset REDIS_URL for a private one"
                    .to_owned(),
            ));
        }
        Ok(redis)
    }

    pub(super) async fn settings(&self) -> Result<Vec<(String, String)>, StoresError> {
        let mut connection = connect(&self.server.database(0))
            .await
            .map_err(doing("connect"))?;
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut connection)
            .await
            .map_err(doing("ask for its version"))?;
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"))
            .unwrap_or("unknown");
        let source = if self.daemon.is_some() {
            "private"
        } else {
            "given"
        };
        let mut settings = vec![
            ("source".to_owned(), source.to_owned()),
            ("version".to_owned(), version.to_owned()),
        ];
        for name in ["save", "appendonly", "maxmemory", "io-threads"] {
            // A given server may forbid CONFIG; then the setting stays unknown.
            let answer: Result<Vec<String>, RedisError> = redis::cmd("CONFIG")
                .arg("GET")
                .arg(name)
                .query_async(&mut connection)
                .await;
            settings.extend(
                answer
                    .ok()
                    .and_then(|pair| <[String; 2]>::try_from(pair).ok())
                    .map(|[name, value]| (name, value)),
            );
        }
        Ok(settings
            .into_iter()
            .map(|(name, value)| (format!("redis.{name}"), value))
            .collect())
    }

    /// Lends the next database in turn, empty.
    pub(super) async fn lend(&self) -> Result<Lent, StoresError> {
        let number = self.turn().take().ok_or(StoresError::RedisExhausted)?;
        let lent = Lent {
            url: self.server.database(number),
            number,
        };
        if let Err(error) = empty(&lent.url).await {
            self.turn().lent[number] = false;
            return Err(error);
        }
        Ok(lent)
    }

    pub(super) async fn take_back(&self, lent: &Lent) -> Result<(), StoresError> {
        empty(&lent.url).await?;
        self.turn().lent[lent.number] = false;
        Ok(())
    }

    /// Ends a private server. A given one keeps nothing of ours beyond what an unreleased lease wrote. Blocks.
    pub(super) fn stop(&mut self) -> Result<(), StoresError> {
        match &mut self.daemon {
            Some(daemon) => daemon.stop(),
            None => Ok(()),
        }
    }

    /// The server, where it is ours.
    pub(super) fn daemon(&self) -> Option<&Daemon> {
        self.daemon.as_ref()
    }

    /// The server, where it is ours.
    pub(super) fn daemon_mut(&mut self) -> Option<&mut Daemon> {
        self.daemon.as_mut()
    }

    /// Starts a private server again, after its end; there when it answers.
    pub(super) async fn restart(&mut self) -> Result<(), StoresError> {
        let url = self.server.database(0);
        match &mut self.daemon {
            Some(daemon) => daemon.restart(async |_| ping(&url).await).await,
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn take(&mut self) -> Option<usize> {
        let number = (0..DATABASES)
            .map(|step| (self.next + step) % DATABASES)
            .find(|&number| !self.lent[number])?;
        self.lent[number] = true;
        self.next = (number + 1) % DATABASES;
        Some(number)
    }
}

fn configuration(folder: &Path, password: &str) -> String {
    format!(
        "bind 127.0.0.1\nrequirepass {password}\ndir \"{}\"\nsave \"\"\nappendonly no\ndatabases {DATABASES}\ndaemonize no\n",
        folder.display()
    )
}

fn server_url(password: &str, port: u16) -> ServerUrl {
    ServerUrl::private("redis", "", password, port)
}

async fn ping(url: &str) -> Result<(), RedisError> {
    redis::cmd("PING")
        .query_async(&mut connect(url).await?)
        .await
}

async fn empty(url: &str) -> Result<(), StoresError> {
    let mut connection = connect(url).await.map_err(doing("connect"))?;
    redis::cmd("FLUSHDB")
        .query_async(&mut connection)
        .await
        .map_err(doing("empty a database"))
}

async fn connect(url: &str) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

fn doing(doing: &str) -> impl FnOnce(RedisError) -> StoresError {
    let doing = doing.to_owned();
    |source| StoresError::Redis { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_lent_in_turn_and_never_twice() {
        let mut turn = Turn::default();
        assert_eq!((turn.take(), turn.take()), (Some(0), Some(1)));
        turn.lent[0] = false;
        // A database that came back waits for its next turn.
        let rest: Vec<usize> = std::iter::from_fn(|| turn.take()).collect();
        assert_eq!(rest, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0]);
    }
}
