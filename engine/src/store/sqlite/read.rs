//! Reading, beside the writer: connections of their own that cannot write, each answer one snapshot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Semaphore;

use crate::clock::Timestamp;
use crate::id::JobId;
use crate::job::State;
use crate::store::sqlite::desk::read_gate;
use crate::store::sqlite::file;
use crate::store::sqlite::row::{IdKey, count};
use crate::store::{Counts, QueueAudit, QueueStats, StoreError};

/// Connections that read at once.
const READERS_MAX: usize = 4;

#[derive(Clone)]
pub(super) struct Readers(Arc<Pool>);

struct Pool {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        let permits = Semaphore::new(READERS_MAX);
        Self(Arc::new(Pool { path, permits, idle: Mutex::default() }))
    }

    /// Runs `work` on a thread that may block, over one snapshot of the file.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = |_| StoreError::Unavailable("the carrier is closed".into());
        let _permit = self.0.permits.acquire().await.map_err(gone)?;
        let pool = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = idle.map_or_else(|| file::open_reader(&pool.path), Ok)?;
            let snapshot = conn.unchecked_transaction()?;
            let answer = work(&conn);
            snapshot.finish()?;
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            answer
        });
        reading.await.map_err(|e| StoreError::Unavailable(format!("reading the carrier failed: {e}")))?
    }

    /// Closes the connections that nobody uses.
    pub fn close(&self) {
        self.0.permits.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn states(conn: &Connection, ids: &[JobId]) -> Result<Vec<Option<State>>, StoreError> {
    let mut find = conn.prepare_cached("SELECT state FROM job WHERE id = ?1")?;
    let state = |id: &JobId| Ok(find.query_row([IdKey::from(id)], |row| row.get(0)).optional()?);
    ids.iter().map(state).collect()
}

pub(super) fn cursor(conn: &Connection, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
    let mut find = conn.prepare_cached("SELECT cursor FROM schedule WHERE name = ?1")?;
    Ok(find.query_row([schedule], |row| row.get(0)).optional()?)
}

/// `wall` tells which gates hold.
pub(super) fn stats(conn: &Connection, wall: Timestamp) -> Result<Vec<QueueStats>, StoreError> {
    let mut queues = kept(conn)?;
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    queues
        .into_iter()
        .map(|Kept { no, name, counts, gate }| {
            let gate = read_gate(&gate)?;
            let running = u32::try_from(counts.running).unwrap_or(u32::MAX);
            let hold = gate.hold(wall, running);
            Ok(QueueStats { queue: name, counts, oldest_ready_at: oldest_ready(conn, no)?, gate, hold })
        })
        .collect()
}

fn oldest_ready(conn: &Connection, queue: i64) -> Result<Option<Timestamp>, StoreError> {
    let mut first = conn.prepare_cached(
        "SELECT run_at FROM job WHERE queue = ?1 AND priority = ?2 AND state = 1 ORDER BY run_at, seq LIMIT 1",
    )?;
    let mut oldest: Option<Timestamp> = None;
    for priority in 0..4 {
        let at = first.query_row([queue, priority], |row| row.get::<_, Timestamp>(0)).optional()?;
        oldest = oldest.into_iter().chain(at).min();
    }
    Ok(oldest)
}

/// One text for each partial index, each of which holds all that is counted.
pub(super) const COUNTING: [&str; 5] = [
    "SELECT queue, 0, COUNT(*) FROM job WHERE state = 0 GROUP BY queue",
    "SELECT queue, 1, COUNT(*) FROM job WHERE state = 1 GROUP BY queue",
    "SELECT queue, 2, COUNT(*) FROM job WHERE state = 2 GROUP BY queue",
    "SELECT queue, 3, COUNT(*) FROM job WHERE state = 3 GROUP BY queue",
    "SELECT queue, state, COUNT(*) FROM job WHERE done_at IS NOT NULL GROUP BY queue, state",
];

pub(super) fn audit(conn: &Connection) -> Result<Vec<QueueAudit>, StoreError> {
    let mut audits: Vec<(i64, QueueAudit)> = kept(conn)?
        .into_iter()
        .map(|Kept { no, name, counts, .. }| {
            // What has no rows to count is taken as kept.
            let counted = Counts { accepted: counts.accepted, pruned: counts.pruned, ..Counts::default() };
            (no, QueueAudit { queue: name, kept: counts, counted })
        })
        .collect();
    for sql in COUNTING {
        let mut counting = conn.prepare_cached(sql)?;
        let mut rows = counting.query([])?;
        while let Some(row) = rows.next()? {
            let (no, state, n): (i64, State, u64) = (row.get(0)?, row.get(1)?, count(row, 2)?);
            if let Some((_, audit)) = audits.iter_mut().find(|(queue, _)| *queue == no) {
                *of_state(&mut audit.counted, state) = n;
            }
        }
    }
    let mut audits: Vec<QueueAudit> = audits.into_iter().map(|(_, audit)| audit).collect();
    audits.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(audits)
}

fn of_state(counts: &mut Counts, state: State) -> &mut u64 {
    match state {
        State::Scheduled => &mut counts.scheduled,
        State::Ready => &mut counts.ready,
        State::Running => &mut counts.running,
        State::Retrying => &mut counts.retrying,
        State::Completed => &mut counts.completed,
        State::Dead => &mut counts.dead,
        State::Cancelled => &mut counts.cancelled,
    }
}

struct Kept {
    no: i64,
    name: String,
    counts: Counts,
    gate: String,
}

fn kept(conn: &Connection) -> Result<Vec<Kept>, StoreError> {
    let mut all = conn.prepare_cached(
        "SELECT no, name, gate, accepted, scheduled, ready, running, retrying, completed, dead, cancelled, pruned
         FROM queue",
    )?;
    let rows = all.query_map([], |row| {
        let counts = Counts {
            accepted: count(row, 3)?,
            scheduled: count(row, 4)?,
            ready: count(row, 5)?,
            running: count(row, 6)?,
            retrying: count(row, 7)?,
            completed: count(row, 8)?,
            dead: count(row, 9)?,
            cancelled: count(row, 10)?,
            pruned: count(row, 11)?,
        };
        Ok(Kept { no: row.get(0)?, name: row.get(1)?, gate: row.get(2)?, counts })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
