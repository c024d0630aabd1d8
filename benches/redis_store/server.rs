//! The private redis-server, the stores on it, and what it tells of itself.

use std::sync::Arc;

use anyhow::Context;
use windlass::bench::bare::BareRedis;
use windlass::bench::subject::Subject;
use windlass::bench::toy::PAYLOAD_BYTES;
use windlass_benches::process::Process;
use windlass_engine::Clock;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_servers::Redis;

use crate::Fsync;

pub struct Server(Redis);

impl Server {
    pub fn start(fsync: Fsync) -> Self {
        let fsync = match fsync {
            Fsync::Everysec => "everysec",
            Fsync::Always => "always",
        };
        // As the production guide says: a queue writes much and holds little, and at the default of 64 MB a busy one is
        // rewritten all the time.
        Self(Redis::with(&["--appendfsync", fsync, "--auto-aof-rewrite-min-size", "1gb"]))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    /// A store in a namespace of its own.
    pub async fn subject(&self, namespace: &str) -> anyhow::Result<Subject> {
        subject(&self.url(), namespace).await
    }

    pub async fn bare(&self) -> anyhow::Result<BareRedis> {
        BareRedis::open(&self.url(), "{bare}:").await
    }

    /// A number of `INFO`.
    pub fn info(&self, section: &str, field: &str) -> anyhow::Result<f64> {
        let told = self.0.cli(&["info", section]);
        let value = told.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.with_context(|| format!("INFO {section} has no {field}"))?;
        value.trim().parse().with_context(|| format!("{field} is no number: {value}"))
    }

    pub fn process(&self) -> anyhow::Result<Process> {
        self.0.pid().map(Process::of).context("the redis-server has ended")
    }
}

/// A store in a namespace of whatever server.
pub async fn subject(url: &str, namespace: &str) -> anyhow::Result<Subject> {
    let clock = Clock::system();
    let store = RedisStore::open(RedisSettings::new(url, namespace), clock.clone()).await?;
    Ok(Subject { store: Arc::new(store), clock, payload_bytes: PAYLOAD_BYTES })
}
