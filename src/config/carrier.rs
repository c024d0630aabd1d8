//! Where the queue and the ledger are kept.
//!
//! This build has SQLite only; what names another store is refused and never taken for a file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// `sqlite:` and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl(PathBuf);

impl StoreUrl {
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn is_within(&self, folder: &Path) -> bool {
        self.0.starts_with(folder)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

/// The carrier: by default `queue.db` in the data folder.
pub(super) fn queue(env: &mut Environment, data: &Path) -> Option<StoreUrl> {
    let (url, host) = (env.text("QUEUE_URL"), env.text("REDIS_HOST"));
    // Read although no part of them is used before Redis is: a wrong port is told now.
    let _: (Option<u16>, _) = (env.parsed("REDIS_PORT", "a port"), env.secret("REDIS_PASSWORD"));
    match (url, host) {
        (Some(url), _) => sqlite(env, "QUEUE_URL", &url),
        (None, Some(_)) => {
            env.problem("REDIS_HOST", not_in_this_build("Redis as the carrier", "QUEUE_URL=sqlite:queue.db"));
            None
        }
        (None, None) => Some(StoreUrl(data.join("queue.db"))),
    }
}

/// The ledger: by default `ledger.db` in the data folder.
pub(super) fn database(env: &mut Environment, data: &Path) -> Option<StoreUrl> {
    let (url, host) = (env.text("DATABASE_URL"), env.text("POSTGRES_HOST"));
    let _: Option<u16> = env.parsed("POSTGRES_PORT", "a port");
    let parts = ["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"].map(|part| env.text(part).is_some());
    match (url, host.is_some() || parts.contains(&true)) {
        (Some(url), _) => sqlite(env, "DATABASE_URL", &url),
        (None, true) => {
            let instead = "DATABASE_URL=sqlite:ledger.db";
            env.problem("POSTGRES_HOST", not_in_this_build("PostgreSQL as the ledger", instead));
            None
        }
        (None, false) => Some(StoreUrl(data.join("ledger.db"))),
    }
}

fn sqlite(env: &mut Environment, name: &str, url: &str) -> Option<StoreUrl> {
    let what = match url.split_once(':') {
        Some(("sqlite", path)) => {
            // sqlite:///srv/x is an absolute path, sqlite:x a relative one, as elsewhere.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() && !path.contains('?') {
                return Some(StoreUrl(PathBuf::from(path)));
            }
            "sqlite: is followed by the path of a file and nothing else".to_owned()
        }
        Some(("redis" | "rediss" | "valkey", _)) => not_in_this_build("Redis", "sqlite:PATH"),
        Some(("postgres" | "postgresql", _)) => not_in_this_build("PostgreSQL", "sqlite:PATH"),
        // The address may hold a password: it is not repeated.
        _ => "no address of a store: write sqlite:PATH".to_owned(),
    };
    env.problem(name, what);
    None
}

fn not_in_this_build(what: &str, instead: &str) -> String {
    format!("not in this build yet: {what}; use {instead}")
}
