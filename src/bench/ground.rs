//! Where is measured: on the shop's own disk or Redis, and never in the shop's own queues.
//!
//! A file in a new folder, or keys under a namespace that nobody else has; both are cleared away afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use windlass_engine::gate::GateRules;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, Job, Store};

use super::bare::{Bare, BareSqlite};
use super::subject::Subject;
use super::toy::{PAYLOAD_BYTES, Toy};

/// Longest wait for tasks that still use the store when everything is cleared away.
const LET_GO_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The store that an installation has.
#[derive(Clone, Debug)]
pub enum Target {
    /// SQLite on the disk of this folder; None: where the system keeps its temporary files.
    Sqlite { near: Option<PathBuf> },
}

/// A store of the benchmark's own, with its files or keys.
pub struct Ground {
    pub subject: Subject,
    folder: TempDir,
}

impl Ground {
    /// # Errors
    /// When the disk or the server cannot be used.
    pub async fn open(target: &Target, clock: &Clock) -> anyhow::Result<Self> {
        let Target::Sqlite { near } = target;
        let folder = new_folder(near.as_deref())?;
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone())?);
        // As a queue of the shop has one: the bound is looked at with every job.
        let rules = GateRules { backlog_max: Some(crate::platform::BACKLOG_MAX), ..GateRules::default() };
        store.set_gate(Toy::QUEUE, rules).await?;
        let subject = Subject { store, clock: clock.clone(), payload_bytes: PAYLOAD_BYTES };
        Ok(Self { subject, folder })
    }

    /// The bare thing on the same disk or server.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn bare(&self) -> anyhow::Result<Bare> {
        Ok(Bare::Sqlite(BareSqlite::open(&self.folder.path().join("bare.db"))?))
    }

    /// What is measured, in words.
    pub fn described(&self) -> String {
        let disk = self.folder.path().parent().unwrap_or(self.folder.path());
        format!("SQLite, every commit fsynced, on the disk of {}", disk.display())
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
        let Self { subject, folder } = self;
        let began = Instant::now();
        // Workers and callers that were given up let go when they notice: a beat after the clearing would stay.
        while Arc::strong_count(&subject.store) > 1 && began.elapsed() < LET_GO_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let in_use = Arc::strong_count(&subject.store) > 1;
        drop(subject);
        let path = folder.path().to_owned();
        folder.close().with_context(|| format!("files of the benchmark are left in {}", path.display()))?;
        ensure!(!in_use, "something still used the benchmark's store while it was cleared away");
        Ok(())
    }
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
