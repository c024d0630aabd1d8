//! A SQLite store in a new file, with other jobs in it when asked, and the bare loop on the same disk.

use std::ops::Deref;
use std::sync::Arc;

use tempfile::TempDir;
use windlass::bench::bare::{Bare, BareSqlite};
use windlass::bench::progress::Phase;
use windlass::bench::subject::Subject;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, JobId};

pub const PAYLOAD_BYTES: usize = 200;
/// Other jobs are enqueued so many at once.
const FILL_BATCH: usize = 10_000;
/// How many of the others are taken at once where they are to be done already.
const FILL_TAKEN: u32 = 500;

pub struct Filled {
    subject: Subject,
    /// Goes with the store.
    folder: TempDir,
}

impl Filled {
    /// With `others` jobs in two other queues: half of them ready, half completed.
    pub async fn with(others: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Clock::system();
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone())?);
        let subject = Subject { store, clock, payload_bytes: PAYLOAD_BYTES };
        for (queue, drained) in [("finished", true), ("waiting", false)] {
            let make = |subject: &Subject| subject.toy().queue(queue);
            subject.enqueue_batches_of(others / 2, FILL_BATCH, &Phase::silent(), make).await?;
            if drained {
                subject.drain_by_hand(queue, others / 2, FILL_TAKEN).await?;
            }
        }
        Ok(Self { subject, folder })
    }

    /// A bare file of its own beside the store's.
    pub fn bare(&self) -> anyhow::Result<Bare> {
        let name = format!("bare-{}.db", JobId::new(self.clock.wall()));
        Ok(Bare::Sqlite(BareSqlite::open(&self.folder.path().join(name))?))
    }
}

impl Deref for Filled {
    type Target = Subject;

    fn deref(&self) -> &Subject {
        &self.subject
    }
}
