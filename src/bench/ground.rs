//! Where is measured: on the shop's own disk or Redis, and never in the shop's own queues.
//!
//! A file in a new folder, or keys under a namespace that nobody else has; both are cleared away afterwards. What
//! is killed meanwhile (SIGKILL) leaves them behind: folders `windlass-bench-*`, keys `{windlass:bench-*`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use windlass_engine::gate::GateRules;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, Job, Store};

use super::bare::{Bare, BareRedis, BareSqlite};
use super::subject::Subject;
use super::toy::{PAYLOAD_BYTES, Toy};

mod keys;

use self::keys::Keys;

/// Longest wait for tasks that still use the store when everything is cleared away.
const LET_GO_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The store that an installation has.
#[derive(Clone, Debug)]
pub enum Target {
    /// SQLite on the disk of this folder; None: where the system keeps its temporary files.
    Sqlite { near: Option<PathBuf> },
    /// The Redis at this address.
    Redis { url: String },
}

/// A store of the benchmark's own, with its files or keys.
pub struct Ground {
    pub subject: Subject,
    folder: TempDir,
    /// None: it is SQLite, and all is in the folder.
    keys: Option<Keys>,
    described: String,
}

impl Ground {
    /// # Errors
    /// When the disk or the server cannot be used.
    pub async fn open(target: &Target, clock: &Clock) -> anyhow::Result<Self> {
        let ground = match target {
            Target::Sqlite { near } => Self::on_disk(near.as_deref(), clock)?,
            Target::Redis { url } => Self::on_redis(url, clock).await?,
        };
        // As a queue of the shop has one: the bound is looked at with every job.
        let rules = GateRules { backlog_max: Some(crate::platform::BACKLOG_MAX), ..GateRules::default() };
        ground.subject.store.set_gate(Toy::QUEUE, rules).await?;
        Ok(ground)
    }

    fn on_disk(near: Option<&Path>, clock: &Clock) -> anyhow::Result<Self> {
        let folder = new_folder(near)?;
        let store = SqliteStore::open(folder.path().join("queue.db"), clock.clone())?;
        let disk = near.map_or_else(std::env::temp_dir, Path::to_owned);
        let described = format!("SQLite, every commit fsynced, on the disk of {}", disk.display());
        Ok(Self { subject: subject(Arc::new(store), clock), folder, keys: None, described })
    }

    async fn on_redis(url: &str, clock: &Clock) -> anyhow::Result<Self> {
        let namespace = format!("bench-{}-{:x}", std::process::id(), clock.wall().micros());
        let keys = Keys::of(url, &namespace).await?;
        let store = RedisStore::open(RedisSettings::new(url, namespace), clock.clone()).await?;
        let described = store.promises().join("\n");
        Ok(Self {
            subject: subject(Arc::new(store), clock),
            folder: new_folder(None)?,
            keys: Some(keys),
            described,
        })
    }

    /// The bare thing on the same disk or server.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn bare(&self) -> anyhow::Result<Bare> {
        match &self.keys {
            Some(keys) => Ok(Bare::Redis(BareRedis::open(keys.url(), &keys.prefix_of_bare()).await?)),
            None => Ok(Bare::Sqlite(BareSqlite::open(&self.folder.path().join("bare.db"))?)),
        }
    }

    /// What is measured, in words.
    pub fn described(&self) -> &str {
        &self.described
    }

    /// A folder for files that are wanted as long as the ground is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Clears everything away, once nothing uses the store any more.
    ///
    /// # Errors
    /// When something is left behind, with where it is.
    pub async fn clear(self) -> anyhow::Result<()> {
        let Self { subject, folder, keys, .. } = self;
        let began = Instant::now();
        // Workers and callers that were given up let go when they notice: a beat after the clearing would stay.
        while Arc::strong_count(&subject.store) > 1 && began.elapsed() < LET_GO_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let in_use = Arc::strong_count(&subject.store) > 1;
        drop(subject);
        let path = folder.path().to_owned();
        folder.close().with_context(|| format!("files of the benchmark are left in {}", path.display()))?;
        if let Some(keys) = keys {
            keys.clear().await?;
        }
        ensure!(!in_use, "something still used the benchmark's store while it was cleared away");
        Ok(())
    }
}

fn subject(store: Arc<dyn Store>, clock: &Clock) -> Subject {
    Subject { store, clock: clock.clone(), payload_bytes: PAYLOAD_BYTES }
}

fn new_folder(near: Option<&Path>) -> anyhow::Result<TempDir> {
    let mut new = tempfile::Builder::new();
    new.prefix("windlass-bench-");
    let made = near.map_or_else(|| new.tempdir(), |near| new.tempdir_in(near));
    made.with_context(|| {
        let place = near.map_or_else(std::env::temp_dir, Path::to_owned);
        format!("cannot make a folder for the benchmark in {}", place.display())
    })
}
