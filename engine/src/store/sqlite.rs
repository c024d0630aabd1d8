//! The embedded carrier: a queue in one SQLite file, owned by one process.
//!
//! One thread writes and commits what has gathered with one fsync ([`writer`]); readers have connections of their
//! own ([`read`]). Due times, deadlines, unique windows and retention are in the shop's time, leases and gates in
//! wall time. Events and worker beats live in memory and end with the process ([`feed`]). Nothing is reaped or
//! pruned unasked: who runs the workers calls [`Store::reap`] and [`Store::prune`].

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::params;
use tokio::sync::{mpsc, oneshot};

use self::desk::Desk;
use self::feed::Feed;
use self::read::Readers;
use self::writer::{Call, Message, Waiting, Writer};
use crate::clock::{Clock, Timestamp};
use crate::envelope::NewJob;
use crate::gate::{GateRules, Pause};
use crate::id::JobId;
use crate::job::State;
use crate::store::prepared::{self, Backlog, at_most};
use crate::store::{
    Acted, Action, Ask, Claim, ENQUEUE_ITEMS_MAX, Enqueued, Event, Filter, Held, JobView, Page, QueueAudit,
    QueueStats, Reaped, Renewed, Reserved, Retention, SETTLE_ITEMS_MAX, Settled, Settlement, Store,
    StoreError, WorkerBeat,
};

mod act;
mod desk;
mod enqueue;
mod feed;
mod file;
mod lease;
mod list;
#[cfg(test)]
mod plans;
mod prune;
mod read;
mod reserve;
mod row;
mod settle;
mod writer;

/// Calls that may wait for the writer; a caller beyond waits to get in line.
const CALLS_WAITING_MAX: usize = 8_192;
/// Bytes of a page of the file: SQLite's default.
const PAGE_BYTES: u64 = 4_096;

/// The carrier in a SQLite file. Clones share it; when the last goes, what was called is committed and the file
/// is closed.
#[derive(Clone)]
pub struct SqliteStore(Arc<Shared>);

struct Shared {
    clock: Clock,
    feed: Feed,
    readers: Readers,
    /// None only while it is dropped.
    calls: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the file, or creates it; the folder must exist. What ran when the file was last used goes back to
    /// ready at once: its process is dead.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open or it cannot be written; `Unreadable` when it is something
    /// else than this build's carrier. The message says what to do.
    pub fn open(path: impl AsRef<Path>, clock: Clock) -> Result<Self, StoreError> {
        Self::open_bounded(path, clock, None)
    }

    /// The same, for a file that never grows beyond `file_bytes_max` (its log beside it not counted): when it
    /// would, calls answer `Unavailable` until something was pruned.
    pub fn open_bounded(
        path: impl AsRef<Path>,
        clock: Clock,
        file_bytes_max: Option<u64>,
    ) -> Result<Self, StoreError> {
        let path = file::resolve(path.as_ref());
        let lock = file::lock(&path)?;
        let pages_max = file_bytes_max.map(|bytes| u32::try_from(bytes / PAGE_BYTES).unwrap_or(u32::MAX));
        let conn = file::open_writer(&path, pages_max)?;
        let feed = Feed::new(clock.wall());
        let mut desk = Desk::open(conn, clock.clone(), feed.clone())?;
        let put_back = lease::put_back_all(&mut desk)?;
        if put_back.back_to_ready + put_back.poisoned > 0 {
            tracing::warn!(
                back_to_ready = put_back.back_to_ready,
                poisoned = put_back.poisoned,
                "jobs were running when the carrier was last closed"
            );
        }

        let (calls, received) = mpsc::channel(CALLS_WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| StoreError::Unavailable(format!("cannot start the carrier's writer: {e}")))?;
        let thread = std::thread::Builder::new()
            .name("carrier-writer".into())
            .spawn(move || {
                runtime.block_on(Writer::new(desk, received).run());
                drop(lock);
            })
            .map_err(|e| StoreError::Unavailable(format!("cannot start the carrier's writer: {e}")))?;
        let readers = Readers::new(path);
        Ok(Self(Arc::new(Shared { clock, feed, readers, calls: Some(calls), thread: Some(thread) })))
    }

    /// Has the writer do `work` in its next commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Desk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Step(Box::new(Call { work, answer: None, reply }))).await?;
        answer.await.map_err(|_| stopped())?
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let calls = self.0.calls.as_ref().ok_or_else(stopped)?;
        calls.send(message).await.map_err(|_| stopped())
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable(
        "the carrier's writer has stopped; see the log, and start the process again".into(),
    )
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.readers.close();
        drop(self.calls.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the carrier's writer had panicked");
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let jobs = prepared::prepare(jobs)?;
        self.write(move |desk| enqueue::enqueue(desk, &jobs, Backlog::Bounded)).await
    }

    async fn reserve(&self, ask: Ask) -> Result<Reserved, StoreError> {
        prepared::check_ask(&ask)?;
        let (reply, answer) = oneshot::channel();
        let give_up_at = self.0.clock.wall() + ask.wait;
        self.send(Message::Ask(Waiting { ask, give_up_at, reply })).await?;
        Ok(answer.await.map_err(|_| stopped())??.take())
    }

    async fn await_returns(&self) {
        // The first stands in line behind the asks, the second behind what they were handed all the same.
        for _ in 0..2 {
            if self.write(|_| Ok(())).await.is_err() {
                return;
            }
        }
    }

    async fn settle(&self, queue: &str, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let (queue, endings) = (queue.to_owned(), settle::prepare(settlements)?);
        self.write(move |desk| settle::settle(desk, &queue, &endings)).await
    }

    async fn renew(&self, _queue: &str, held: Vec<Held>, lease: Duration) -> Result<Renewed, StoreError> {
        at_most("leases", held.len(), "SETTLE_ITEMS_MAX", SETTLE_ITEMS_MAX)?;
        if held.is_empty() {
            return Ok(Renewed::default());
        }
        self.write(move |desk| {
            let until = desk.wall + lease;
            lease::renew(desk, &held, until)
        })
        .await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        let mut all = Reaped::default();
        loop {
            let (slice, full) = self
                .write(|desk| {
                    let now = desk.wall;
                    lease::reap(desk, now)
                })
                .await?;
            all.back_to_ready += slice.back_to_ready;
            all.poisoned += slice.poisoned;
            if !full {
                return Ok(all);
            }
        }
    }

    async fn act(&self, action: Action, ids: Vec<JobId>) -> Result<Vec<Acted>, StoreError> {
        at_most("jobs", ids.len(), "ENQUEUE_ITEMS_MAX", ENQUEUE_ITEMS_MAX)?;
        let mut acted = Vec::with_capacity(ids.len());
        for slice in ids.chunks(act::ACTED_MAX) {
            let slice = slice.to_vec();
            acted.extend(self.write(move |desk| act::act(desk, action, &slice)).await?);
        }
        Ok(acted)
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobView>, StoreError> {
        let id = id.clone();
        self.0.readers.read(move |conn| row::view_by_id(conn, &id)).await
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        at_most("jobs", ids.len(), "ENQUEUE_ITEMS_MAX", ENQUEUE_ITEMS_MAX)?;
        self.0.readers.read(move |conn| read::states(conn, &ids)).await
    }

    async fn list(&self, filter: Filter) -> Result<Page, StoreError> {
        list::check(&filter)?;
        self.0.readers.read(move |conn| list::list(conn, &filter)).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, StoreError> {
        let wall = self.0.clock.wall();
        self.0.readers.read(move |conn| read::stats(conn, wall)).await
    }

    async fn audit(&self) -> Result<Vec<QueueAudit>, StoreError> {
        self.0.readers.read(read::audit).await
    }

    async fn pause(&self, queue: &str, pause: Option<Pause>) -> Result<(), StoreError> {
        let queue = queue.to_owned();
        self.write(move |desk| {
            let no = desk.queues.of(&desk.conn, &queue)?;
            desk.queues.change(no).gate.paused.clone_from(&pause);
            Ok(())
        })
        .await
    }

    async fn set_gate(&self, queue: &str, rules: GateRules) -> Result<(), StoreError> {
        let queue = queue.to_owned();
        self.write(move |desk| {
            let no = desk.queues.of(&desk.conn, &queue)?;
            desk.queues.change(no).gate.rules.clone_from(&rules);
            Ok(())
        })
        .await
    }

    async fn beat(&self, beat: WorkerBeat) -> Result<(), StoreError> {
        self.0.feed.beat(beat, self.0.clock.wall());
        Ok(())
    }

    async fn workers(&self, age_max: Duration) -> Result<Vec<WorkerBeat>, StoreError> {
        Ok(self.0.feed.workers(self.0.clock.wall(), age_max))
    }

    async fn cursor(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
        let schedule = schedule.to_owned();
        self.0.readers.read(move |conn| read::cursor(conn, &schedule)).await
    }

    async fn move_cursor(
        &self,
        schedule: &str,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<bool, StoreError> {
        let schedule = schedule.to_owned();
        self.write(move |desk| {
            let moved = match from {
                None => desk
                    .conn
                    .prepare_cached(
                        "INSERT INTO schedule (name, cursor) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![schedule, to])?,
                Some(from) => desk
                    .conn
                    .prepare_cached("UPDATE schedule SET cursor = ?2 WHERE name = ?1 AND cursor = ?3")?
                    .execute(params![schedule, to, from])?,
            };
            Ok(moved == 1)
        })
        .await
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        Ok(self.0.feed.after(after, limit))
    }

    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            match self.write(move |desk| prune::prune(desk, &retention)).await? {
                0 => return Ok(all),
                slice => all += slice,
            }
        }
    }

    async fn claim(&self, owner: &str) -> Result<Claim, StoreError> {
        let owner = owner.to_owned();
        self.write(move |desk| file::claim(&desk.conn, &owner)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write(|desk| {
            desk.conn
                .prepare_cached(
                    "INSERT INTO pulse (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = excluded.at",
                )?
                .execute([desk.wall])?;
            Ok(())
        })
        .await
    }
}
