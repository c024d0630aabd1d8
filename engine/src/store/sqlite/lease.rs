//! Leases: prolonged while a worker lives, and what becomes of its jobs when it does not.

use rusqlite::{OptionalExtension, params};

use crate::clock::Timestamp;
use crate::id::JobId;
use crate::job::State;
use crate::store::sqlite::desk::{Desk, QueueNo, TransactError};
use crate::store::sqlite::row::{self, IdKey};
use crate::store::sqlite::settle::{self, RunningJob};
use crate::store::{CRASHES_MAX, FaultCause, Held, JobFault, Reaped, Renewed, StoreError};

/// Jobs put back in one transaction.
const REAPED_MAX: usize = 1_000;

/// Prolongs leases until `until` (wall time). One that ran out is not revived: the job may be on its way to
/// somebody else.
pub(super) fn renew(desk: &mut Desk, held: &[Held], until: Timestamp) -> Result<Renewed, StoreError> {
    let mut renewed = Renewed::default();
    for Held { id, token, notes } in held {
        let live: Option<(i64, bool)> = desk
            .conn
            .prepare_cached(
                "SELECT seq, cancelling FROM job WHERE id = ?1 AND token = ?2 AND state = 2 AND lease_at >= ?3",
            )?
            .query_row(params![IdKey::from(id), token, desk.wall], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((seq, cancelling)) = live else {
            renewed.lost.push((id.clone(), *token));
            continue;
        };
        desk.conn
            .prepare_cached("UPDATE job SET lease_at = MAX(lease_at, ?2) WHERE seq = ?1")?
            .execute(params![seq, until])?;
        if let Some(notes) = notes {
            row::set_notes(&desk.conn, seq, notes)?;
        }
        if cancelling {
            renewed.cancelling.push((id.clone(), *token));
        }
    }
    Ok(renewed)
}

/// Puts back a slice of the jobs whose lease ended before `before` (wall time): at most [`REAPED_MAX`]. True when
/// the slice was full, so that there may be more.
pub(super) fn reap(desk: &mut Desk, before: Timestamp) -> Result<(Reaped, bool), StoreError> {
    struct Orphan {
        id: JobId,
        job: RunningJob,
        crashes: u32,
        worker: Option<String>,
    }
    let orphans: Vec<Orphan> = desk
        .conn
        .prepare_cached(
            "SELECT seq, id, queue, attempt, crashes, cancelling, worker FROM job
             WHERE state = 2 AND lease_at < ?1 ORDER BY lease_at LIMIT ?2",
        )?
        .query_map(params![before, REAPED_MAX as i64], |row| {
            let job = RunningJob {
                seq: row.get(0)?,
                queue: QueueNo(row.get(2)?),
                attempt: row.get(3)?,
                cancelling: row.get(5)?,
            };
            Ok(Orphan { id: row.get(1)?, job, crashes: row.get(4)?, worker: row.get(6)? })
        })?
        .collect::<rusqlite::Result<_>>()?;

    let full = orphans.len() == REAPED_MAX;
    let mut reaped = Reaped::default();
    for Orphan { id, job, crashes, worker } in orphans {
        let crashes = crashes + 1;
        let worker = worker.as_deref().unwrap_or("unnamed");
        let fault = JobFault {
            attempt: job.attempt,
            at: desk.now,
            cause: FaultCause::Crashed,
            message: format!("worker {worker} died or lost its lease"),
        };
        row::add_fault(&desk.conn, job.seq, &fault)?;
        desk.conn
            .prepare_cached("UPDATE job SET crashes = ?2 WHERE seq = ?1")?
            .execute(params![job.seq, crashes])?;
        if job.cancelling {
            settle::cancel_as_asked(desk, &id, &job, 0)?;
        } else if crashes >= CRASHES_MAX {
            settle::finish(desk, &id, &job, State::Dead, 0)?;
            tracing::warn!(job = %id, crashes, "a job is dead: every worker that took it died");
            reaped.poisoned += 1;
        } else {
            desk.conn
                .prepare_cached("UPDATE job SET state = 1, lease_at = NULL, worker = NULL WHERE seq = ?1")?
                .execute([job.seq])?;
            desk.move_job(job.queue, &id, State::Running, State::Ready);
            reaped.back_to_ready += 1;
        }
    }
    Ok((reaped, full))
}

/// Puts back everything that runs: whoever ran it died with the process that had the file before.
pub(super) fn put_back_all(desk: &mut Desk) -> Result<Reaped, StoreError> {
    let mut all = Reaped::default();
    loop {
        let outcome = desk.transact(|desk| reap(desk, Timestamp::from_micros(i64::MAX)));
        let (slice, full) = outcome.map_err(TransactError::into_inner)?;
        all.back_to_ready += slice.back_to_ready;
        all.poisoned += slice.poisoned;
        if !full {
            return Ok(all);
        }
    }
}
