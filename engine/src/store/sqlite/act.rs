//! What an operator does to single jobs.

use rusqlite::{OptionalExtension, params};

use crate::id::JobId;
use crate::job::State;
use crate::store::sqlite::desk::{Desk, QueueNo};
use crate::store::sqlite::row::{IdKey, add_fault};
use crate::store::{Acted, Action, FaultCause, JobFault, StoreError};

/// Jobs acted upon in one transaction.
pub(super) const ACTED_MAX: usize = 500;

struct Target {
    seq: i64,
    queue: QueueNo,
    state: State,
    attempt: u32,
}

pub(super) fn act(desk: &mut Desk, action: Action, ids: &[JobId]) -> Result<Vec<Acted>, StoreError> {
    ids.iter()
        .map(|id| match target(desk, id)? {
            None => Ok(Acted::Missing),
            Some(job) => match action {
                Action::Cancel => cancel(desk, id, &job),
                Action::Retry => retry(desk, id, &job),
                Action::Promote => promote(desk, id, &job),
                Action::Delete => delete(desk, &job),
            },
        })
        .collect()
}

fn target(desk: &Desk, id: &JobId) -> Result<Option<Target>, StoreError> {
    Ok(desk
        .conn
        .prepare_cached("SELECT seq, queue, state, attempt FROM job WHERE id = ?1")?
        .query_row([IdKey::from(id)], |row| {
            Ok(Target {
                seq: row.get(0)?,
                queue: QueueNo(row.get(1)?),
                state: row.get(2)?,
                attempt: row.get(3)?,
            })
        })
        .optional()?)
}

fn cancel(desk: &mut Desk, id: &JobId, job: &Target) -> Result<Acted, StoreError> {
    match job.state {
        State::Running => {
            desk.conn.prepare_cached("UPDATE job SET cancelling = 1 WHERE seq = ?1")?.execute([job.seq])?;
            Ok(Acted::Asked)
        }
        State::Scheduled | State::Ready | State::Retrying => {
            desk.conn
                .prepare_cached("UPDATE job SET state = 6, done_at = ?2 WHERE seq = ?1")?
                .execute(params![job.seq, desk.now])?;
            let fault = JobFault {
                attempt: job.attempt,
                at: desk.now,
                cause: FaultCause::Cancelled,
                message: "cancelled on request before it ran".into(),
            };
            add_fault(&desk.conn, job.seq, &fault)?;
            desk.move_job(job.queue, id, job.state, State::Cancelled);
            Ok(Acted::Done)
        }
        state => Ok(Acted::NotIn(state)),
    }
}

/// Its attempts and crashes count from none and its faults stay. Its deadline goes: who retries a job by hand
/// wants it done although it is late. Refused while another live job holds its unique key.
fn retry(desk: &mut Desk, id: &JobId, job: &Target) -> Result<Acted, StoreError> {
    if !matches!(job.state, State::Dead | State::Cancelled) {
        return Ok(Acted::NotIn(job.state));
    }
    let moved = desk
        .conn
        .prepare_cached(
            "UPDATE OR IGNORE job SET state = 1, attempt = 0, crashes = 0, run_at = ?2, done_at = NULL,
               deadline_at = NULL, worker = NULL WHERE seq = ?1",
        )?
        .execute(params![job.seq, desk.now])?;
    if moved == 0 {
        return Ok(Acted::NotIn(job.state));
    }
    desk.move_job(job.queue, id, job.state, State::Ready);
    Ok(Acted::Done)
}

fn promote(desk: &mut Desk, id: &JobId, job: &Target) -> Result<Acted, StoreError> {
    if !matches!(job.state, State::Scheduled | State::Retrying) {
        return Ok(Acted::NotIn(job.state));
    }
    desk.conn
        .prepare_cached("UPDATE job SET state = 1, run_at = ?2 WHERE seq = ?1")?
        .execute(params![job.seq, desk.now])?;
    desk.move_job(job.queue, id, job.state, State::Ready);
    Ok(Acted::Done)
}

fn delete(desk: &mut Desk, job: &Target) -> Result<Acted, StoreError> {
    if !job.state.is_terminal() {
        return Ok(Acted::NotIn(job.state));
    }
    forget(desk, job.seq)?;
    desk.forget(job.queue, job.state, 1);
    Ok(Acted::Done)
}

/// Removes every row of a job.
pub(super) fn forget(desk: &Desk, seq: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM job WHERE seq = ?1",
        "DELETE FROM body WHERE seq = ?1",
        "DELETE FROM outcome WHERE seq = ?1",
    ] {
        desk.conn.prepare_cached(sql)?.execute([seq])?;
    }
    Ok(())
}
