//! Against real servers, with the programs of this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::redis::AsyncCommands;
use tokio_postgres::{Client, NoTls};

use super::*;

/// The programs of this machine, whatever servers the caller's environment names.
fn options() -> Options {
    Options {
        given: Given::default(),
        ..Options::of_this_machine(Durability::Test)
    }
}

async fn sql(lease: &Lease) -> Client {
    let (client, connection) = tokio_postgres::connect(lease.database_url().unwrap(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn names(lease: &Lease) -> Vec<String> {
    let rows = sql(lease)
        .await
        .query("SELECT name FROM t ORDER BY name", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn redis_of(lease: &Lease) -> ::redis::aio::MultiplexedConnection {
    let client = ::redis::Client::open(lease.redis_url().unwrap()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// What must be gone once the stores are: their processes, by pid, and their folder.
struct Traces {
    pids: Vec<u32>,
    folder: PathBuf,
}

impl Traces {
    fn of(stores: &Stores) -> Traces {
        let servers = [
            stores.postgres.as_ref().and_then(Postgres::pid),
            stores.redis.as_ref().and_then(Redis::pid),
        ];
        let mut pids: Vec<u32> = servers.into_iter().flatten().collect();
        // PostgreSQL's own processes have sessions of their own, so they are worth a look each.
        for pid in pids.clone() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            pids.extend(
                children
                    .split_whitespace()
                    .map(|pid| pid.parse::<u32>().unwrap()),
            );
        }
        // One that served a connection or a round of autovacuum may end as it is looked at.
        pids.retain(|&pid| alive(pid));
        assert!(pids.len() > 3, "{pids:?}");
        Traces {
            pids,
            folder: stores.folder.path().to_owned(),
        }
    }

    fn assert_gone(&self) {
        assert!(!self.pids.iter().any(|&pid| alive(pid)), "{:?}", self.pids);
        assert!(!self.folder.exists(), "{}", self.folder.display());
    }
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn leases_start_from_the_template_and_see_nothing_of_each_other() {
    let stores = Stores::start(options()).await.unwrap();
    let traces = Traces::of(&stores);
    let seeded = stores.empty().await.unwrap();
    sql(&seeded)
        .await
        .batch_execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('seeded')")
        .await
        .unwrap();
    let _: () = redis_of(&seeded).await.set("seeded", 1).await.unwrap();
    stores.keep_as_template(seeded).await.unwrap();

    let first = stores.lease().await.unwrap();
    let second = stores.lease().await.unwrap();
    sql(&first)
        .await
        .batch_execute("INSERT INTO t VALUES ('first')")
        .await
        .unwrap();
    let _: () = redis_of(&first).await.set("first", 1).await.unwrap();
    assert_eq!(names(&first).await, ["first", "seeded"]);
    assert_eq!(names(&second).await, ["seeded"]);
    let keys: Vec<String> = redis_of(&second).await.keys("*").await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");

    // A target that still holds a connection does not keep its database alive.
    let held = sql(&first).await;
    let gone = first.database_url().unwrap().to_owned();
    let mut first_redis = redis_of(&first).await;
    stores.release(first).await.unwrap();
    assert!(held.batch_execute("SELECT 1").await.is_err());
    assert!(tokio_postgres::connect(&gone, NoTls).await.is_err());
    let keys: Vec<String> = first_redis.keys("*").await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");

    let empty = stores.empty().await.unwrap();
    assert!(
        sql(&empty)
            .await
            .query("SELECT name FROM t", &[])
            .await
            .is_err(),
        "an empty database has no table"
    );
    // Not everything was released, and all of it goes.
    stores.stop().await.unwrap();
    traces.assert_gone();
}

#[tokio::test]
async fn a_later_seed_replaces_the_template() {
    let stores = Stores::start(Options {
        redis: false,
        ..options()
    })
    .await
    .unwrap();
    for name in ["old", "new"] {
        let lease = stores.empty().await.unwrap();
        assert_eq!(lease.redis_url(), None);
        let seed = format!("CREATE TABLE t (name text); INSERT INTO t VALUES ('{name}')");
        sql(&lease).await.batch_execute(&seed).await.unwrap();
        stores.keep_as_template(lease).await.unwrap();
    }
    assert_eq!(names(&stores.lease().await.unwrap()).await, ["new"]);
}

#[tokio::test]
async fn dropping_leaves_nothing_behind() {
    let stores = Stores::start(options()).await.unwrap();
    let traces = Traces::of(&stores);
    let lease = stores.lease().await.unwrap();
    let held = sql(&lease).await;
    drop(stores);
    traces.assert_gone();
    assert!(held.batch_execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn the_settings_of_each_durability() {
    let cases = [
        (Durability::Relaxed, "on", "off"),
        (Durability::Strict, "on", "on"),
        (Durability::Test, "off", "off"),
    ];
    for (durability, fsync, synchronous_commit) in cases {
        let stores = Stores::start(Options {
            durability,
            ..options()
        })
        .await
        .unwrap();
        let settings = stores.settings();
        for (name, expected) in [
            ("postgres.source", "private"),
            ("postgres.fsync", fsync),
            ("postgres.synchronous_commit", synchronous_commit),
            ("postgres.shared_buffers", "128MB"),
            ("postgres.max_connections", "100"),
            ("redis.source", "private"),
            ("redis.save", ""),
            ("redis.appendonly", "no"),
        ] {
            assert_eq!(
                settings.get(name).map(String::as_str),
                Some(expected),
                "{name} in {settings:?}"
            );
        }
        assert!(
            settings["postgres.server_version"].starts_with(char::is_numeric),
            "{settings:?}"
        );
        assert!(
            settings["redis.version"].starts_with(char::is_numeric),
            "{settings:?}"
        );
        stores.stop().await.unwrap();
    }
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let stores = Stores::start(options()).await.unwrap();
    let lease = stores.lease().await.unwrap();
    let stranger = lease
        .database_url()
        .unwrap()
        .parse::<tokio_postgres::Config>()
        .unwrap()
        .password("")
        .clone();
    assert!(stranger.connect(NoTls).await.is_err());
    let (_, address) = lease.redis_url().unwrap().split_once('@').unwrap();
    let mut stranger = ::redis::Client::open(format!("redis://{address}"))
        .unwrap()
        .get_connection_with_timeout(std::time::Duration::from_secs(5));
    let refused = stranger.as_mut().map_or(true, |connection| {
        ::redis::cmd("GET")
            .arg("x")
            .query::<()>(connection)
            .is_err()
    });
    assert!(refused);
    let mode = fs::metadata(stores.folder.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let secret = |(_, url): (String, String)| {
        let (user, _) = url.split_once('@').unwrap();
        user.rsplit_once(':').unwrap().1.to_owned()
    };
    let secrets: Vec<String> = lease.env().into_iter().map(secret).collect();
    let mut seen = 0;
    for pid in Traces::of(&stores).pids {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        // A process that served one connection may have ended with it, and shows nothing any more.
        let (Ok(line), Ok(status)) = (read("cmdline"), read("status")) else {
            continue;
        };
        seen += 1;
        assert!(
            !secrets.iter().any(|secret| line.contains(secret)),
            "{line}"
        );
        if rustix::process::geteuid().is_root() {
            assert!(!status.contains("Uid:\t0"), "{status}");
            assert!(
                status.lines().any(|line| line.trim_end() == "Groups:"),
                "{status}"
            );
        }
    }
    assert!(seen >= 2, "PostgreSQL and Redis are there");
}

#[tokio::test]
async fn a_given_server_is_used_left_clean_and_left_running() {
    let theirs = Stores::start(options()).await.unwrap();
    let lent = theirs.lease().await.unwrap();
    let given = Given {
        database_url: lent.database_url().map(str::to_owned),
        redis_url: lent.redis_url().map(str::to_owned),
    };
    let stores = Stores::start(Options {
        given: given.clone(),
        search: Vec::new(),
        ..options()
    })
    .await
    .unwrap();
    assert_eq!(stores.settings()["postgres.source"], "given");
    assert_eq!(stores.settings()["redis.source"], "given");
    let seeded = stores.empty().await.unwrap();
    sql(&seeded)
        .await
        .batch_execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('seeded')")
        .await
        .unwrap();
    stores.keep_as_template(seeded).await.unwrap();
    assert_eq!(names(&stores.lease().await.unwrap()).await, ["seeded"]);
    let count = "SELECT count(*) FROM pg_database WHERE datname ~ '^tailmark_[0-9a-f]{32}_'";
    let client = sql(&lent).await;
    assert_eq!(
        client.query_one(count, &[]).await.unwrap().get::<_, i64>(0),
        2
    );
    stores.stop().await.unwrap();
    assert_eq!(
        client.query_one(count, &[]).await.unwrap().get::<_, i64>(0),
        0
    );

    // A Redis with somebody's keys in it is refused, and so is an account that may not create databases.
    let _: () = redis_of(&lent).await.set("precious", 1).await.unwrap();
    let error = Stores::start(Options {
        postgres: false,
        given: given.clone(),
        ..options()
    })
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("REDIS_URL: this Redis holds keys"),
        "{error}"
    );
    client
        .batch_execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        .await
        .unwrap();
    let (_, address) = given
        .database_url
        .as_deref()
        .unwrap()
        .split_once('@')
        .unwrap();
    let weak = Given {
        database_url: Some(format!("postgres://weak:weak@{address}")),
        redis_url: None,
    };
    let error = Stores::start(Options {
        redis: false,
        given: weak,
        ..options()
    })
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("DATABASE_URL: `weak` may not create databases"),
        "{error}"
    );
}

#[tokio::test]
async fn missing_programs_are_named_with_the_remedy() {
    let cases = [
        (true, false, ["PostgreSQL", "DATABASE_URL"]),
        (false, true, ["redis-server", "REDIS_URL"]),
    ];
    for (postgres, redis, parts) in cases {
        let error = Stores::start(Options {
            postgres,
            redis,
            search: Vec::new(),
            ..options()
        })
        .await
        .unwrap_err();
        let message = error.to_string();
        for part in parts.into_iter().chain(["make setup"]) {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("redis-server");
    fs::write(
        &program,
        "#!/bin/sh\necho cannot allocate the moon\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let search = vec![folder.path().to_owned()];
    let error = Stores::start(Options {
        postgres: false,
        search,
        ..options()
    })
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Redis did not start: it ended; its last lines:\ncannot allocate the moon"
    );
}

#[tokio::test]
async fn servers_are_paused_killed_and_started_again_with_what_they_had() {
    let mut stores = Stores::start(options()).await.unwrap();
    let lease = stores.empty().await.unwrap();
    let make = "CREATE TABLE t (name text); INSERT INTO t VALUES ('kept')";
    sql(&lease).await.batch_execute(make).await.unwrap();
    let silence = Duration::from_millis(300);
    for server in [Server::Postgres, Server::Redis] {
        stores.pause(server).unwrap();
        let asked = async {
            match server {
                Server::Postgres => drop(names(&lease).await),
                Server::Redis => {
                    let _: String = ::redis::cmd("PING")
                        .query_async(&mut redis_of(&lease).await)
                        .await
                        .unwrap();
                }
            }
        };
        let asked = tokio::time::timeout(silence, asked).await;
        assert!(asked.is_err(), "{server:?} says nothing");
        stores.resume(server).unwrap();
    }
    assert_eq!(names(&lease).await, ["kept"]);
    for server in [Server::Postgres, Server::Redis] {
        stores.kill(server).unwrap();
        stores.restart(server).await.unwrap();
    }
    assert_eq!(names(&lease).await, ["kept"]);
    let mut redis = redis_of(&lease).await;
    let () = redis.set("k", 1).await.unwrap();
    // Paused servers are stopped all the same.
    stores.pause(Server::Redis).unwrap();
    let traces = Traces::of(&stores);
    stores.stop().await.unwrap();
    traces.assert_gone();
}

#[tokio::test]
async fn servers_that_were_paused_are_not_left_behind() {
    let stores = Stores::start(options()).await.unwrap();
    let lease = stores.empty().await.unwrap();
    let _client = sql(&lease).await;
    let traces = Traces::of(&stores);
    stores.pause(Server::Postgres).unwrap();
    stores.pause(Server::Redis).unwrap();
    drop(stores);
    traces.assert_gone();
}
