//! Servers that somebody else runs, named by URL.

use std::env;
use std::fmt::Display;

/// URLs of servers to use instead of private ones. Databases made there carry names of their own and are dropped at the
/// end; a Redis must hold no keys, since the databases handed out are emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `postgres://user:password@host:port/database`; the account must be allowed to create databases.
    pub database_url: Option<String>,
    /// `redis://…`.
    pub redis_url: Option<String>,
}

impl Given {
    /// `DATABASE_URL` and `REDIS_URL`, where they are set and not empty.
    #[must_use]
    pub fn from_environment() -> Given {
        let value = |name| env::var(name).ok().filter(|url| !url.is_empty());
        Given {
            database_url: value("DATABASE_URL"),
            redis_url: value("REDIS_URL"),
        }
    }
}

/// A server's URL without the path, which names a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerUrl {
    /// Scheme, user and host.
    before: String,
    /// The query, with its `?`, or nothing.
    after: String,
}

impl ServerUrl {
    /// A private server on this machine.
    pub(super) fn private(scheme: &str, user: &str, password: &str, port: u16) -> ServerUrl {
        let before = format!("{scheme}://{user}:{password}@127.0.0.1:{port}");
        ServerUrl {
            before,
            after: String::new(),
        }
    }

    /// `None` where `url` has no `scheme://`.
    pub(super) fn parse(url: &str) -> Option<ServerUrl> {
        let authority = url.find("://")? + 3;
        let path = url[authority..]
            .find(['/', '?', '#'])
            .map_or(url.len(), |at| authority + at);
        let query = url[path..]
            .find(['?', '#'])
            .map_or(url.len(), |at| path + at);
        Some(ServerUrl {
            before: url[..path].to_owned(),
            after: url[query..].to_owned(),
        })
    }

    /// The URL of the database `name` on this server.
    pub(super) fn database(&self, name: impl Display) -> String {
        format!("{}/{name}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_replaced_and_all_else_kept() {
        let cases = [
            (
                "postgres://u:p@h:5432/db",
                Some("postgres://u:p@h:5432/new"),
            ),
            ("postgres://h", Some("postgres://h/new")),
            ("postgres://h/", Some("postgres://h/new")),
            (
                "postgres://h/db?sslmode=disable&x=/y",
                Some("postgres://h/new?sslmode=disable&x=/y"),
            ),
            (
                "postgres://h?sslmode=disable",
                Some("postgres://h/new?sslmode=disable"),
            ),
            ("redis://:p@[::1]:6379/3", Some("redis://:p@[::1]:6379/new")),
            ("host=localhost dbname=db", None),
        ];
        for (url, expected) in cases {
            let database = ServerUrl::parse(url).map(|server| server.database("new"));
            assert_eq!(database.as_deref(), expected, "{url}");
        }
    }
}
