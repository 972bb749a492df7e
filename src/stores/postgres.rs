//! PostgreSQL: a private or given server, and the databases made on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::given::ServerUrl;
use super::server::{Daemon, Recipe};
use super::{Content, Durability, Place, StoresError, binaries, server};
use crate::child::{Step, last_lines};

/// What must be found in one folder.
pub(super) const PROGRAMS: &[&str] = &["postgres", "initdb"];

/// Fast shutdown ends the sessions and writes a checkpoint; where a slow disk makes that long, immediate shutdown leaves
/// the checkpoint out. The data are deleted next either way.
const ESCALATION: &[Step] = &[
    (Signal::INT, Duration::from_secs(5)),
    (Signal::QUIT, Duration::from_secs(5)),
];

/// initdb removes what it made when it is terminated.
const INITDB_ESCALATION: &[Step] = &[(Signal::TERM, Duration::from_secs(5))];

/// initdb takes about 1 s; a minute says that the disk is not fit for measuring.
const INITDB_WITHIN: Duration = Duration::from_secs(60);

/// How long connecting to a running server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The superuser of a private server.
const USER: &str = "tailmark";

/// The settings that bear on times, kept in every record.
const RECORDED: &str = "'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', \
     'max_connections', 'wal_level', 'autovacuum', 'data_checksums', 'lc_collate'";

/// A server, and the databases that were made on it.
#[derive(Debug)]
pub(super) struct Postgres {
    /// `None` for a given server.
    daemon: Option<Daemon>,
    server: ServerUrl,
    /// The database from which others are made and dropped.
    admin: Config,
    /// The beginning of every name we give, so that no database of another user is met.
    prefix: String,
    count: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The databases that exist, or were about to.
    made: BTreeSet<String>,
    template: Option<String>,
}

/// A database that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) name: String,
    pub(super) url: String,
}

impl Postgres {
    pub(super) async fn start(
        place: Place<'_>,
        durability: Durability,
    ) -> Result<Postgres, StoresError> {
        let programs =
            binaries::folder_with(place.search, PROGRAMS).ok_or(StoresError::Missing {
                server: "PostgreSQL",
                programs: "`postgres` and `initdb` were",
                variable: "DATABASE_URL",
                package: "postgresql",
            })?;
        let password = server::random_hex()?;
        let data = place.folder.join("postgres");
        initdb(&programs, place, &data, &password).await?;
        let url = |port| server_url(&password, port).database("postgres");
        let recipe = Recipe::new("PostgreSQL", place, ESCALATION, move |port| {
            postgres(&programs, &data, durability, port)
        });
        let ping = async |port| connect(&config(&url(port))?).await.map(drop);
        let daemon = recipe.start(ping).await?;
        let port = daemon.port;
        let admin = config(&url(port)).map_err(doing("read our own URL"))?;
        Ok(Postgres::over(
            Some(daemon),
            server_url(&password, port),
            admin,
            "tailmark".to_owned(),
        ))
    }

    pub(super) async fn given(url: &str) -> Result<Postgres, StoresError> {
        let refused = |problem: String| StoresError::Given {
            variable: "DATABASE_URL",
            problem,
        };
        let server = ServerUrl::parse(url).ok_or_else(|| {
            refused("not a URL; write postgres://user:password@host:port/database".to_owned())
        })?;
        let admin =
            config(url).map_err(|error| refused(format!("not a URL of PostgreSQL: {error}")))?;
        let client = connect(&admin)
            .await
            .map_err(|error| refused(format!("cannot connect: {}", chain(&error))))?;
        let role = client
            .query_one("SELECT current_user::text, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user", &[])
            .await
            .map_err(doing("ask for the rights of the given user"))?;
        let (user, may_create): (String, bool) = (role.get(0), role.get(1));
        if !may_create {
            return Err(refused(format!(
                "`{user}` may not create databases, and every launch needs one of its own; ALTER ROLE {user} CREATEDB, \
                 or unset DATABASE_URL for a private server"
            )));
        }
        Ok(Postgres::over(
            None,
            server,
            admin,
            format!("tailmark_{}", server::random_hex()?),
        ))
    }

    fn over(daemon: Option<Daemon>, server: ServerUrl, admin: Config, prefix: String) -> Postgres {
        Postgres {
            daemon,
            server,
            admin,
            prefix,
            count: AtomicU32::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) async fn settings(&self) -> Result<Vec<(String, String)>, StoresError> {
        let client = self.connect().await?;
        let query = format!(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ({RECORDED})"
        );
        let rows = client
            .query(&query, &[])
            .await
            .map_err(doing("read the settings"))?;
        let mut settings: Vec<(String, String)> = rows
            .iter()
            .map(|row| (format!("postgres.{}", row.get::<_, String>(0)), row.get(1)))
            .collect();
        let source = if self.daemon.is_some() {
            "private"
        } else {
            "given"
        };
        settings.push(("postgres.source".to_owned(), source.to_owned()));
        Ok(settings)
    }

    /// Makes a database. An empty one comes from `template0`, which nobody can have written to.
    pub(super) async fn create(&self, content: Content) -> Result<Lent, StoresError> {
        let name = format!(
            "{}_{}",
            self.prefix,
            self.count.fetch_add(1, Ordering::Relaxed)
        );
        let template = {
            let mut state = self.state();
            state.made.insert(name.clone());
            match content {
                Content::Empty => None,
                Content::Template => state.template.clone(),
            }
        };
        let template = template.as_deref().unwrap_or("template0");
        let client = self.connect().await?;
        client
            .batch_execute(&format!(
                "CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""
            ))
            .await
            .map_err(doing("create a database"))?;
        checkpoint(&client).await?;
        Ok(Lent {
            url: self.server.database(&name),
            name,
        })
    }

    pub(super) async fn keep_as_template(&self, name: String) -> Result<(), StoresError> {
        let mut inside = self.admin.clone();
        let client = connect(inside.dbname(&name))
            .await
            .map_err(doing("reach the seeded database"))?;
        // Frozen and analysed here, so that neither autovacuum nor the first readers do it during a measurement.
        client
            .batch_execute("VACUUM (FREEZE, ANALYZE)")
            .await
            .map_err(doing("vacuum the seeded database"))?;
        drop(client);
        let client = self.connect().await?;
        // A database with a session in it cannot be copied.
        client
            .batch_execute(&format!(
                "ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ))
            .await
            .map_err(doing("close the seeded database"))?;
        let former = self.state().template.replace(name);
        match former {
            Some(former) => self.discard(&former).await,
            None => Ok(()),
        }
    }

    pub(super) async fn discard(&self, name: &str) -> Result<(), StoresError> {
        let client = self.connect().await?;
        drop_database(&client, name).await?;
        self.state().made.remove(name);
        Ok(())
    }

    /// Ends a private server; on a given one, drops what we made. Blocks.
    pub(super) fn stop(&mut self) -> Result<(), StoresError> {
        if let Some(daemon) = &mut self.daemon {
            let stopped = daemon.stop();
            self.state().made.clear();
            return stopped;
        }
        let made = std::mem::take(&mut self.state().made);
        if made.is_empty() {
            return Ok(());
        }
        let admin = self.admin.clone();
        // A runtime cannot be entered from within another one, so this one gets a thread of its own.
        std::thread::spawn(move || drop_all(&admin, &made))
            .join()
            .unwrap_or(Ok(()))
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
        let admin = self.admin.clone();
        match &mut self.daemon {
            Some(daemon) => {
                daemon
                    .restart(async |_| connect(&admin).await.map(drop))
                    .await
            }
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    async fn connect(&self) -> Result<Client, StoresError> {
        connect(&self.admin).await.map_err(doing("connect"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nobody is left to be told; `stop` is the way to hear of a failure.
        let _ = self.stop();
    }
}

async fn initdb(
    programs: &Path,
    place: Place<'_>,
    data: &Path,
    password: &str,
) -> Result<(), StoresError> {
    let secret = place.folder.join("password");
    server::write_private(&secret, password, place)?;
    let log = place.folder.join("initdb.log");
    let mut command = Command::new(programs.join("initdb"));
    command
        .args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            "--username",
            USER,
        ])
        .arg("--pwfile")
        .arg(&secret)
        .arg("--pgdata")
        .arg(data);
    let mut child = server::spawn(
        without_settings(&mut command),
        place,
        &log,
        INITDB_ESCALATION,
    )?;
    let ended = tokio::time::timeout(INITDB_WITHIN, child.ended()).await;
    let stopped = child
        .stop()
        .map_err(|source| StoresError::files("wait for", &programs.join("initdb"), source))?;
    let reason = match ended {
        Ok(Ok(())) if stopped.success() => None,
        Ok(Ok(())) => Some(stopped.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it took over {} s", INITDB_WITHIN.as_secs())),
    };
    match reason {
        None => {
            fs::remove_file(&secret).map_err(|source| StoresError::files("remove", &secret, source))
        }
        Some(reason) => Err(StoresError::Start {
            server: "initdb",
            reason,
            log: last_lines(&log, 10).join("\n"),
        }),
    }
}

fn postgres(programs: &Path, data: &Path, durability: Durability, port: u16) -> Command {
    let (fsync, synchronous_commit) = match durability {
        Durability::Relaxed => ("on", "off"),
        Durability::Strict => ("on", "on"),
        Durability::Test => ("off", "off"),
    };
    let mut command = Command::new(programs.join("postgres"));
    command.arg("-D").arg(data);
    for (name, value) in [
        ("port", port.to_string().as_str()),
        ("listen_addresses", "127.0.0.1"),
        // TCP alone: a socket's path must be short, and temporary folders need not be.
        ("unix_socket_directories", ""),
        ("cluster_name", "tailmark"),
        ("fsync", fsync),
        ("synchronous_commit", synchronous_commit),
        ("shared_buffers", "128MB"),
        ("max_connections", "100"),
    ] {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    without_settings(&mut command);
    command
}

/// Keeps the caller's `PGPORT`, `PGDATA` and the like from reaching a private server.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG")) {
            command.env_remove(name);
        }
    }
    command
}

fn server_url(password: &str, port: u16) -> ServerUrl {
    ServerUrl::private("postgres", USER, password, port)
}

fn config(url: &str) -> Result<Config, tokio_postgres::Error> {
    let mut config: Config = url.parse()?;
    config
        .connect_timeout(CONNECT_WITHIN)
        .application_name("tailmark");
    Ok(config)
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends when the client is dropped; what goes wrong before, the client's own calls report.
    tokio::spawn(connection);
    Ok(client)
}

/// Writes dirty pages out, where we are allowed to: on a given server that takes a right we may lack.
async fn checkpoint(client: &Client) -> Result<(), StoresError> {
    match client.batch_execute("CHECKPOINT").await {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(()),
        outcome => outcome.map_err(doing("write a checkpoint")),
    }
}

async fn drop_database(client: &Client, name: &str) -> Result<(), StoresError> {
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))
        .await
        .map_err(doing("drop a database"))
}

fn drop_all(admin: &Config, names: &BTreeSet<String>) -> Result<(), StoresError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StoresError::files("start", Path::new("a runtime"), source))?;
    runtime.block_on(async {
        let client = connect(admin).await.map_err(doing("connect"))?;
        for name in names {
            drop_database(&client, name).await?;
        }
        Ok(())
    })
}

fn doing(doing: &str) -> impl FnOnce(tokio_postgres::Error) -> StoresError {
    let doing = doing.to_owned();
    |source| StoresError::Postgres { doing, source }
}

/// An error with its causes: tokio-postgres keeps the telling part in the source.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
