//! The ceiling: the least that a store must do to keep jobs and hand each out once, on this machine in this minute.
//!
//! Rows or records with a lease and nothing else: no gate, no books, no priorities, no fence, no unique keys, no
//! events, no retention. It makes its jobs, batches them and decodes them as ours do, and runs in turns with ours.
//! It is no store: nothing but a benchmark may use it.

mod redis;
mod sqlite;

pub use redis::{BareRedis, connect};
pub use sqlite::BareSqlite;

use super::figures::Burst;
use super::progress::Phase;
use super::subject::Subject;

/// Jobs that a drain takes at once: the most that a worker of ours asks for (`RESERVE_JOBS_MAX`), which it does as
/// soon as jobs end fast.
pub const DRAIN_BATCH: u16 = 500;
/// Loops that drain: a worker of ours has two calls in flight, one that reserves and one that settles.
pub const DRAIN_LOOPS: usize = 2;

/// The bare thing beside a store.
pub enum Bare {
    Redis(BareRedis),
    Sqlite(BareSqlite),
}

impl Bare {
    /// One caller that makes and enqueues `n` jobs as `subject`'s are made, `batch` in a call.
    pub async fn enqueue(
        &self,
        subject: &Subject,
        n: usize,
        batch: usize,
        phase: &Phase,
    ) -> anyhow::Result<Burst> {
        match self {
            Self::Redis(redis) => redis.enqueue(subject, n, batch, phase).await,
            Self::Sqlite(sqlite) => sqlite.enqueue(subject, n, batch, phase).await,
        }
    }

    /// From the first call until the last of `ready` jobs is gone.
    pub async fn drain(&self, ready: usize, phase: &Phase) -> anyhow::Result<Burst> {
        match self {
            Self::Redis(redis) => redis.drain(ready, phase).await,
            Self::Sqlite(sqlite) => sqlite.drain(ready, phase).await,
        }
    }

    /// What was run, in words.
    pub const fn described(&self) -> &'static str {
        match self {
            Self::Redis(_) => {
                "the bare loop on the same server (RPOP, ZADD, HMGET; ZREM, HDEL), two loops of 500"
            }
            Self::Sqlite(_) => {
                "a bare loop on the same disk (insert; update, select, delete), as many fsyncs, batches of 500"
            }
        }
    }
}
