//! Group commit: what many callers want written to the outbox shares one transaction and one fsync.
//!
//! One task gathers what waits, writes it, and answers after COMMIT. A write that fails does not fail its
//! neighbours: the group is undone and each is tried alone. A group that met another process's transaction (a
//! deadlock on PostgreSQL) or a connection that had died is written again, which by the jobs' ids is harmless.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::{Notify, mpsc, oneshot};
use windlass_engine::{Clock, JobId, NewJob};

use super::{Put, put};
use crate::ledger::{LedgerError, Positions, Writer};

/// Rows that one transaction writes.
pub const ACCEPT_ROWS_MAX: usize = 500;
/// How often a group is written before its callers hear that it cannot be.
const TRIES_MAX: u32 = 4;
/// Writes that may wait; whoever comes later waits before the door.
const WAITING_MAX: usize = 4_096;

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

pub(crate) enum Write {
    Put { jobs: Vec<NewJob>, answer: Answer<Vec<Put>> },
    Finished { ids: Vec<JobId>, answer: Answer<()> },
    Died { ids: Vec<JobId>, answer: Answer<()> },
}

/// What a write did, before it is known to be durable.
enum Written {
    Put(Vec<Put>),
    Ended,
}

impl Write {
    fn rows(&self) -> usize {
        match self {
            Self::Put { jobs, .. } => jobs.len(),
            Self::Finished { ids, .. } | Self::Died { ids, .. } => ids.len(),
        }
    }

    /// Rows that it changes and another process may be changing.
    fn ended(&self) -> &[JobId] {
        match self {
            Self::Put { .. } => &[],
            Self::Finished { ids, .. } | Self::Died { ids, .. } => ids,
        }
    }

    fn answer(self, written: Result<Written, LedgerError>) {
        // A caller that no longer waits misses nothing: the same call again is harmless.
        match (self, written) {
            (Self::Put { answer, .. }, Ok(Written::Put(puts))) => drop(answer.send(Ok(puts))),
            (Self::Put { answer, .. }, Ok(Written::Ended)) => drop(answer.send(Ok(Vec::new()))),
            (Self::Put { answer, .. }, Err(error)) => drop(answer.send(Err(error))),
            (Self::Finished { answer, .. } | Self::Died { answer, .. }, written) => {
                drop(answer.send(written.map(|_| ())));
            }
        }
    }
}

/// Starts the task; it ends when the last [`Ledger`](crate::ledger::Ledger) is gone.
pub(crate) fn start(
    writer: Writer,
    clock: Clock,
    positions: Arc<Positions>,
    wake: Arc<Notify>,
    rows_max: u64,
) -> mpsc::Sender<Write> {
    let (writes, waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(Flusher { writer, clock, positions, wake, rows_max, room: Room::default() }.run(waiting));
    writes
}

struct Flusher {
    writer: Writer,
    clock: Clock,
    positions: Arc<Positions>,
    wake: Arc<Notify>,
    rows_max: u64,
    room: Room,
}

/// Rows that may be put before they are counted again: counting is cheap, but not for every job.
#[derive(Default)]
struct Room(AtomicU64);

impl Room {
    /// Whether `rows` more may be put, as far as was counted.
    fn take(&self, rows: u64) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(rows)).is_ok()
    }
}

impl Flusher {
    async fn run(self, mut waiting: mpsc::Receiver<Write>) {
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(write) => write,
                None => match waiting.recv().await {
                    Some(write) => write,
                    None => return,
                },
            };
            let mut rows = first.rows();
            let mut group = vec![first];
            while rows < ACCEPT_ROWS_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                if rows + next.rows() > ACCEPT_ROWS_MAX {
                    left_over = Some(next);
                    break;
                }
                rows += next.rows();
                group.push(next);
            }
            self.flush(group).await;
        }
    }

    async fn flush(&self, group: Vec<Write>) {
        metrics::histogram!("windlass_ledger_group_writes").record(group.len() as f64);
        match self.commit(&group).await {
            Ok(written) => {
                for (write, written) in group.into_iter().zip(written) {
                    write.answer(Ok(written));
                }
            }
            Err(error) if group.len() == 1 || error.is_unavailable() => {
                for write in group {
                    write.answer(Err(error.clone()));
                }
            }
            Err(_) => {
                for write in group {
                    let alone = self.commit(std::slice::from_ref(&write)).await;
                    write.answer(alone.map(|mut written| written.pop().unwrap_or(Written::Ended)));
                }
            }
        }
    }

    async fn commit(&self, group: &[Write]) -> Result<Vec<Written>, LedgerError> {
        let mut tries = 1;
        loop {
            // A ledger that is away is waited for once, here: not again and again.
            let tx = self.writer.begin().await?;
            match self.write_all(tx, group).await {
                Err(error) if error.is_unavailable() && tries < TRIES_MAX => tries += 1,
                written => return written,
            }
        }
    }

    async fn write_all(
        &self,
        mut tx: Transaction<'static, Any>,
        group: &[Write],
    ) -> Result<Vec<Written>, LedgerError> {
        let ended = group.iter().flat_map(Write::ended).map(JobId::as_str);
        put::lock(&mut tx, ended).await?;
        let mut written = Vec::with_capacity(group.len());
        for write in group {
            written.push(self.write(&mut tx, write).await?);
        }
        tx.commit().await?;
        if group.iter().any(|write| matches!(write, Write::Put { .. })) {
            self.wake.notify_one();
        }
        Ok(written)
    }

    /// Counts what waits when the room that was found last is used up.
    async fn make_room(&self, conn: &mut AnyConnection, rows: u64) -> Result<(), LedgerError> {
        if self.room.take(rows) {
            return Ok(());
        }
        // Two counts over small indexes, instead of one over all envelopes.
        let (waiting, handed): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM outbox WHERE handed_at IS NULL AND state = 'live') AS waiting, \
                    (SELECT COUNT(*) FROM outbox WHERE handed_at IS NOT NULL AND state = 'live') AS handed",
        )
        .fetch_one(conn)
        .await?;
        let left = self.rows_max.saturating_sub((waiting + handed).max(0) as u64);
        // Other processes put rows too: only a part of what is left is ours to give without looking again.
        self.room.0.store((left / 4).max(left.min(ACCEPT_ROWS_MAX as u64)), Ordering::Relaxed);
        if self.room.take(rows) { Ok(()) } else { Err(LedgerError::Full { rows_max: self.rows_max }) }
    }

    async fn write(&self, conn: &mut AnyConnection, write: &Write) -> Result<Written, LedgerError> {
        let texts = |ids: &[JobId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        match write {
            Write::Put { jobs, .. } => {
                self.make_room(conn, jobs.len() as u64).await?;
                put::put(conn, &self.clock, &self.positions, jobs).await.map(Written::Put)
            }
            Write::Finished { ids, .. } => put::remove(conn, &texts(ids)).await.map(|_| Written::Ended),
            Write::Died { ids, .. } => {
                put::bury(conn, &texts(ids), self.clock.now().micros()).await.map(|_| Written::Ended)
            }
        }
    }
}
