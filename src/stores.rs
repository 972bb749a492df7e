//! PostgreSQL and Redis for targets, private and disposable.
//!
//! A target gets a [`Lease`]: a database of its own, made from the seeded template, and an empty Redis database, so that
//! no launch sees what another wrote. The servers are given by URL, or started from this machine's own binaries in
//! one temporary folder; when [`Stores`] stops, by [`Stores::stop`] or by being dropped, no process and no file is left. What
//! a process leaves behind that is killed, the next start of tailmark clears away.
//!
//! **Access.** The private servers listen on 127.0.0.1 alone, on free ports, and ask for a random password (PostgreSQL by
//! SCRAM, Redis by `requirepass`). Any account of a shared machine reaches the loopback device, and a superuser of
//! PostgreSQL runs programs as the account of the server, so `trust` would lend that account to everybody.
//! The passwords stand only in the URLs of a lease and in files of the temporary folder, which is closed to others.

mod binaries;
mod given;
mod outage;
mod postgres;
mod redis;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use self::binaries::Account;
pub use self::given::Given;
pub use self::outage::Server;
use self::postgres::Postgres;
use self::redis::Redis;
use crate::child::Scratch;

/// What to start, and from where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a PostgreSQL is wanted.
    pub postgres: bool,
    /// Whether a Redis is wanted.
    pub redis: bool,
    /// What a private PostgreSQL promises about a crash.
    pub durability: Durability,
    /// Servers to use instead of private ones.
    pub given: Given,
    /// The folders in which programs are looked for, the best first.
    pub search: Vec<PathBuf>,
}

impl Options {
    /// Both stores, as this machine offers them: `DATABASE_URL` and `REDIS_URL` where set, else the programs in PATH, else
    /// those in `/usr/lib/postgresql/*/bin`, the newest version first.
    #[must_use]
    pub fn of_this_machine(durability: Durability) -> Options {
        Options {
            postgres: true,
            redis: true,
            durability,
            given: Given::from_environment(),
            search: binaries::search_path(),
        }
    }
}

/// Where a server comes from on this machine, in words: the variable that names one, or the folder of its programs. None where
/// there is neither.
///
/// # Errors
/// When its programs are there, and it cannot be run as this user.
pub fn origin(server: Server) -> Result<Option<String>, StoresError> {
    let options = Options {
        postgres: server == Server::Postgres,
        redis: server == Server::Redis,
        ..Options::of_this_machine(Durability::default())
    };
    let (url, variable, programs) = match server {
        Server::Postgres => (
            &options.given.database_url,
            "DATABASE_URL",
            postgres::PROGRAMS,
        ),
        Server::Redis => (&options.given.redis_url, "REDIS_URL", redis::PROGRAMS),
    };
    if url.is_some() {
        return Ok(Some(format!("named by {variable}")));
    }
    account(&options)?;
    let folder = binaries::folder_with(&options.search, programs);
    Ok(folder.map(|folder| folder.display().to_string()))
}

/// What a private PostgreSQL promises about a crash. Redis never writes to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `fsync` on, `synchronous_commit` off: a crash may lose the last moments, and corrupts nothing.
    #[default]
    Relaxed,
    /// Both on: what was committed is on disk.
    Strict,
    /// Both off: for tests, whose data nobody misses.
    Test,
}

/// Running stores.
#[derive(Debug)]
pub struct Stores {
    // Dropped in this order: the servers end before their folder goes.
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    folder: Scratch,
    settings: BTreeMap<String, String>,
}

impl Stores {
    /// Starts or reaches what `options` asks for, and waits until it answers (at most 10 s each, beside `initdb`).
    ///
    /// # Errors
    /// Fails where a program is missing, a server does not start (with the last lines of its log), or a given server
    /// lacks a right. What was started until then is stopped.
    pub async fn start(options: Options) -> Result<Stores, StoresError> {
        let account = account(&options)?;
        let folder = private_folder(account)?;
        let place = Place {
            folder: folder.path(),
            account,
            search: &options.search,
        };
        let (postgres, redis) = tokio::try_join!(
            async {
                match (&options.given.database_url, options.postgres) {
                    (_, false) => Ok(None),
                    (Some(url), true) => Postgres::given(url).await.map(Some),
                    (None, true) => Postgres::start(place, options.durability).await.map(Some),
                }
            },
            async {
                match (&options.given.redis_url, options.redis) {
                    (_, false) => Ok(None),
                    (Some(url), true) => Redis::given(url).await.map(Some),
                    (None, true) => Redis::start(place).await.map(Some),
                }
            },
        )?;
        let mut settings = BTreeMap::new();
        if let Some(postgres) = &postgres {
            settings.extend(postgres.settings().await?);
        }
        if let Some(redis) = &redis {
            settings.extend(redis.settings().await?);
        }
        Ok(Stores {
            postgres,
            redis,
            folder,
            settings,
        })
    }

    /// An empty database and an empty Redis database, for the seed command.
    ///
    /// # Errors
    /// As [`Stores::lease`].
    pub async fn empty(&self) -> Result<Lease, StoresError> {
        self.lend(Content::Empty).await
    }

    /// Makes the database of `lease` the template of every later [`Stores::lease`], vacuumed and analysed so that no
    /// launch is the first to pay for that. Its Redis database is emptied: Redis has no templates.
    ///
    /// # Errors
    /// Fails where a store does.
    pub async fn keep_as_template(&self, lease: Lease) -> Result<(), StoresError> {
        if let (Some(postgres), Some(lent)) = (&self.postgres, &lease.database) {
            postgres.keep_as_template(lent.name.clone()).await?;
        }
        self.release_redis(&lease).await
    }

    /// A database made from the template (an empty one as long as there is no template), and an empty Redis database.
    /// What was written so far is checkpointed, so that no launch pays for its predecessor.
    ///
    /// # Errors
    /// Fails where a store does, or where all 16 Redis databases are lent.
    pub async fn lease(&self) -> Result<Lease, StoresError> {
        self.lend(Content::Template).await
    }

    /// Takes `lease` back: its database is dropped, whoever is still connected, and its Redis database emptied.
    ///
    /// # Errors
    /// Fails where a store does.
    pub async fn release(&self, lease: Lease) -> Result<(), StoresError> {
        if let (Some(postgres), Some(lent)) = (&self.postgres, &lease.database) {
            postgres.discard(&lent.name).await?;
        }
        self.release_redis(&lease).await
    }

    /// What a record keeps about the stores: versions, where they come from, and the settings that bear on times. Keys
    /// are `postgres.…` and `redis.…`; no address and no password is among them.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.settings.clone()
    }

    /// Stops what was started, removes its folder, and drops what was made on given servers.
    ///
    /// # Errors
    /// Fails where a process or the folder is still there; everything else is removed all the same.
    pub async fn stop(self) -> Result<(), StoresError> {
        tokio::task::spawn_blocking(move || self.stop_blocking())
            .await
            .map_err(|source| {
                StoresError::files("stop the stores", Path::new("."), io::Error::other(source))
            })?
    }

    fn stop_blocking(self) -> Result<(), StoresError> {
        let Stores {
            mut postgres,
            mut redis,
            folder,
            ..
        } = self;
        let postgres = postgres.as_mut().map_or(Ok(()), Postgres::stop);
        let redis = redis.as_mut().map_or(Ok(()), Redis::stop);
        let path = folder.path().to_owned();
        let folder = folder
            .close()
            .map_err(|source| StoresError::files("remove", &path, source));
        postgres.and(redis).and(folder)
    }

    async fn lend(&self, content: Content) -> Result<Lease, StoresError> {
        let database = match &self.postgres {
            Some(postgres) => Some(postgres.create(content).await?),
            None => None,
        };
        let redis = match &self.redis {
            Some(redis) => Some(redis.lend().await?),
            None => None,
        };
        Ok(Lease { database, redis })
    }

    async fn release_redis(&self, lease: &Lease) -> Result<(), StoresError> {
        match (&self.redis, &lease.redis) {
            (Some(redis), Some(lent)) => redis.take_back(lent).await,
            _ => Ok(()),
        }
    }
}

/// One launch's share of the stores. Handing it back is [`Stores::release`]'s; a lease that is merely dropped keeps its
/// databases until the stores stop.
#[derive(Debug)]
pub struct Lease {
    database: Option<postgres::Lent>,
    redis: Option<redis::Lent>,
}

impl Lease {
    /// `postgres://user:password@host:port/database`, where a PostgreSQL was wanted.
    #[must_use]
    pub fn database_url(&self) -> Option<&str> {
        self.database.as_ref().map(|lent| lent.url.as_str())
    }

    /// `redis://:password@host:port/number`, where a Redis was wanted.
    #[must_use]
    pub fn redis_url(&self) -> Option<&str> {
        self.redis.as_ref().map(|lent| lent.url.as_str())
    }

    /// The same as a target's environment: `DATABASE_URL`, `REDIS_URL`.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("DATABASE_URL", self.database_url()),
            ("REDIS_URL", self.redis_url()),
        ]
        .into_iter()
        .filter_map(|(name, url)| Some((name.to_owned(), url?.to_owned())))
        .collect()
    }
}

/// What could not be done with the stores.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// Neither a URL nor a program.
    #[error(
        "no {server}: {variable} is not set, and {programs} not found in PATH or /usr/lib/postgresql/*/bin; \
         run `make setup`, or install Debian's package {package}"
    )]
    Missing {
        /// `PostgreSQL` or `Redis`.
        server: &'static str,
        /// The programs that were looked for.
        programs: &'static str,
        /// The environment variable that would name a server.
        variable: &'static str,
        /// The Debian package that has the programs.
        package: &'static str,
    },
    /// We are root, PostgreSQL refuses root, and there is nobody else to be.
    #[error(
        "postgres refuses to run as root, and there is no account `postgres`; create it, or do not run as root"
    )]
    NoAccount,
    /// A server did not come up.
    #[error("{server} did not start: {reason}; its last lines:\n{log}")]
    Start {
        /// `PostgreSQL`, `initdb` or `Redis`.
        server: &'static str,
        /// How it failed.
        reason: String,
        /// The last lines of its log.
        log: String,
    },
    /// A given server cannot be used.
    #[error("{variable}: {problem}")]
    Given {
        /// The environment variable that names the server.
        variable: &'static str,
        /// What is wrong, and what would help.
        problem: String,
    },
    /// PostgreSQL refused a command.
    #[error("PostgreSQL: cannot {doing}")]
    Postgres {
        /// What was being done.
        doing: String,
        /// What PostgreSQL or the connection said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Redis refused a command.
    #[error("Redis: cannot {doing}")]
    Redis {
        /// What was being done.
        doing: String,
        /// What Redis or the connection said.
        #[source]
        source: ::redis::RedisError,
    },
    /// A given server was to be stopped.
    #[error("{0} was given by URL: it is not ours to stop")]
    NotOurs(&'static str),
    /// All of Redis's databases are lent.
    #[error("all 16 Redis databases are in use; release a lease first")]
    RedisExhausted,
    /// A file, folder or process could not be handled.
    #[error("cannot {doing} {}", path.display())]
    Files {
        /// What was being done.
        doing: String,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoresError {
    fn files(doing: &str, path: &Path, source: io::Error) -> StoresError {
        StoresError::Files {
            doing: doing.to_owned(),
            path: path.to_owned(),
            source,
        }
    }
}

/// What a new database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Empty,
    Template,
}

/// Where and as whom a private server is started.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    folder: &'a Path,
    account: Option<Account>,
    search: &'a [PathBuf],
}

/// The account for the servers: our own (`None`) unless we are root.
fn account(options: &Options) -> Result<Option<Account>, StoresError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let account = Account::postgres()
        .map_err(|source| StoresError::files("read", Path::new("/etc/passwd"), source))?;
    let needed = options.postgres && options.given.database_url.is_none();
    if needed
        && account.is_none()
        && binaries::folder_with(&options.search, postgres::PROGRAMS).is_some()
    {
        return Err(StoresError::NoAccount);
    }
    Ok(account)
}

/// A folder that only we, or the servers' account, can look into.
fn private_folder(account: Option<Account>) -> Result<Scratch, StoresError> {
    let parent = std::env::temp_dir();
    let folder = Scratch::new("stores");
    let folder =
        folder.map_err(|source| StoresError::files("make a folder in", &parent, source))?;
    if let Some(account) = account {
        account
            .own(folder.path())
            .map_err(|source| StoresError::files("give away", folder.path(), source))?;
    }
    Ok(folder)
}
