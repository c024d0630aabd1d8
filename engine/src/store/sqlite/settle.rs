//! Ending deliveries: fenced by their tokens, with everything that hangs on the end in the same transaction.

use rusqlite::{OptionalExtension, params};

use crate::clock::Timestamp;
use crate::id::{JobId, Token};
use crate::job::State;
use crate::store::prepared::{self, Backlog, Prepared, at_most};
use crate::store::sqlite::desk::{Desk, QueueNo};
use crate::store::sqlite::enqueue;
use crate::store::sqlite::row::{self, IdKey};
use crate::store::{End, FaultCause, JobFault, JobNotes, SETTLE_ITEMS_MAX, Settled, Settlement, StoreError};

/// A settlement within the bounds, with what is stored of it already written out.
#[derive(Debug)]
pub(super) struct Ending {
    id: JobId,
    token: Token,
    end: End,
    result: Option<String>,
    follow_ups: Vec<Prepared>,
    outage: bool,
    notes: Option<JobNotes>,
}

pub(super) fn prepare(settlements: Vec<Settlement>) -> Result<Vec<Ending>, StoreError> {
    at_most("settlements", settlements.len(), "SETTLE_ITEMS_MAX", SETTLE_ITEMS_MAX)?;
    settlements.into_iter().map(prepare_one).collect()
}

fn prepare_one(settlement: Settlement) -> Result<Ending, StoreError> {
    let Settlement { id, token, mut end, outage, notes } = settlement;
    let (mut kept, mut follow_ups) = (None, Vec::new());
    if let End::Completed { result, follow_ups: jobs } = &mut end {
        kept = result.take().map(|result| result.to_string());
        follow_ups = prepared::prepare(std::mem::take(jobs))?;
    }
    if let Some(result) = &kept {
        prepared::check_result(&id, result)?;
    }
    Ok(Ending { id, token, end, result: kept, follow_ups, outage, notes })
}

/// Ends deliveries of one queue; one of another queue is fenced out like any that is not held.
pub(super) fn settle(desk: &mut Desk, queue: &str, endings: &[Ending]) -> Result<Vec<Settled>, StoreError> {
    let Some(queue) = desk.queues.find(queue) else { return Ok(vec![Settled::FencedOut; endings.len()]) };
    endings.iter().map(|ending| settle_one(desk, queue, ending)).collect()
}

fn settle_one(desk: &mut Desk, queue: QueueNo, ending: &Ending) -> Result<Settled, StoreError> {
    let settled = if matches!(ending.end, End::Completed { .. }) {
        complete(desk, queue, ending)?
    } else {
        let running = running_job(desk, &ending.id, ending.token)?.filter(|job| job.queue == queue);
        running.map(|job| end_incomplete(desk, &job, ending)).transpose()?.is_some()
    };
    if !settled {
        return Ok(Settled::FencedOut);
    }
    record(desk, queue, ending);
    Ok(Settled::Done)
}

fn end_incomplete(desk: &mut Desk, job: &RunningJob, ending: &Ending) -> Result<(), StoreError> {
    match &ending.end {
        End::Retry { at, fault } => put_off(desk, job, ending, State::Retrying, *at, Some(fault)),
        End::Snoozed { until, .. } => put_off(desk, job, ending, State::Scheduled, *until, None),
        End::Released => {
            keep_notes(desk, job.seq, ending)?;
            release(desk, &ending.id, job)
        }
        End::Dead { fault } => bury(desk, job, ending, State::Dead, fault),
        End::Cancelled { fault } => bury(desk, job, ending, State::Cancelled, fault),
        End::Completed { .. } => Ok(()),
    }
}

/// Tells the queue's breaker what the end says of the other side.
fn record(desk: &mut Desk, queue: QueueNo, ending: &Ending) {
    if desk.queues.get(queue).gate.rules.breaker.is_none() {
        return;
    }
    let silent = matches!(ending.end, End::Released | End::Snoozed { .. });
    let (outages, answered) = match (ending.outage, silent) {
        (true, _) => (1, 0),
        (false, false) => (0, 1),
        (false, true) => return,
    };
    let wall = desk.wall;
    desk.queues.change(queue).gate.record(wall, outages, answered);
}

/// The one end that is common: no RETURNING, which costs SQLite a table in memory for each job. False when the
/// delivery was fenced out.
fn complete(desk: &mut Desk, queue: QueueNo, ending: &Ending) -> Result<bool, StoreError> {
    let id = IdKey::from(&ending.id);
    let settled = desk
        .conn
        .prepare_cached(
            "UPDATE job SET state = 4, done_at = ?3, lease_at = NULL, cancelling = 0
             WHERE id = ?1 AND token = ?2 AND state = 2 AND queue = ?4",
        )?
        .execute(params![id, ending.token, desk.now, queue.0])?;
    if settled == 0 {
        return Ok(false);
    }
    if ending.result.is_some() || ending.notes.is_some() {
        let mut find = desk.conn.prepare_cached("SELECT seq FROM job WHERE id = ?1")?;
        let seq: i64 = find.query_row([id], |row| row.get(0))?;
        if let Some(result) = &ending.result {
            row::set_result(&desk.conn, seq, result)?;
        }
        keep_notes(desk, seq, ending)?;
    }
    desk.move_job(queue, &ending.id, State::Running, State::Completed);
    enqueue::enqueue(desk, &ending.follow_ups, Backlog::Unbounded)?;
    Ok(true)
}

/// A running job as its end needs it.
pub(super) struct RunningJob {
    pub seq: i64,
    pub queue: QueueNo,
    pub attempt: u32,
    pub cancelling: bool,
}

/// None when the delivery is fenced out.
pub(super) fn running_job(desk: &Desk, id: &JobId, token: Token) -> Result<Option<RunningJob>, StoreError> {
    Ok(desk
        .conn
        .prepare_cached(
            "SELECT seq, queue, attempt, cancelling FROM job WHERE id = ?1 AND token = ?2 AND state = 2",
        )?
        .query_row(params![IdKey::from(id), token], |row| {
            Ok(RunningJob {
                seq: row.get(0)?,
                queue: QueueNo(row.get(1)?),
                attempt: row.get(2)?,
                cancelling: row.get(3)?,
            })
        })
        .optional()?)
}

/// Ends the attempt for good.
fn bury(
    desk: &mut Desk,
    job: &RunningJob,
    ending: &Ending,
    state: State,
    fault: &JobFault,
) -> Result<(), StoreError> {
    keep_notes(desk, job.seq, ending)?;
    row::add_fault(&desk.conn, job.seq, fault)?;
    finish(desk, &ending.id, job, state, 0)
}

/// Ends the attempt; the job comes again at `at`. A snooze, which has no fault, gives the attempt back.
fn put_off(
    desk: &mut Desk,
    job: &RunningJob,
    ending: &Ending,
    state: State,
    at: Timestamp,
    fault: Option<&JobFault>,
) -> Result<(), StoreError> {
    keep_notes(desk, job.seq, ending)?;
    if let Some(fault) = fault {
        row::add_fault(&desk.conn, job.seq, fault)?;
    }
    let given_back = u32::from(fault.is_none());
    if job.cancelling {
        return cancel_as_asked(desk, &ending.id, job, given_back);
    }
    let (state, at) = if at > desk.now { (state, at) } else { (State::Ready, desk.now) };
    desk.conn
        .prepare_cached(
            "UPDATE job SET state = ?2, run_at = ?3, attempt = attempt - ?4, lease_at = NULL, worker = NULL
             WHERE seq = ?1",
        )?
        .execute(params![job.seq, state, at, given_back])?;
    if state != State::Ready {
        desk.will_be_due(at);
    }
    desk.move_job(job.queue, &ending.id, State::Running, state);
    Ok(())
}

/// Keeps the attempt's notes; a snooze adds why it waits, for whoever asks the job why it does not run.
fn keep_notes(desk: &Desk, seq: i64, ending: &Ending) -> Result<(), StoreError> {
    let notes = prepared::notes_of(&ending.end, ending.notes.clone());
    notes.map_or(Ok(()), |notes| row::set_notes(&desk.conn, seq, &notes))
}

/// Gives a delivery back unharmed: the job stands where it stood.
pub(super) fn release(desk: &mut Desk, id: &JobId, job: &RunningJob) -> Result<(), StoreError> {
    if job.cancelling {
        return cancel_as_asked(desk, id, job, 1);
    }
    desk.conn
        .prepare_cached(
            "UPDATE job SET state = 1, attempt = attempt - 1, lease_at = NULL, worker = NULL WHERE seq = ?1",
        )?
        .execute([job.seq])?;
    desk.move_job(job.queue, id, State::Running, State::Ready);
    Ok(())
}

/// Somebody asked that the job stop while it ran: whatever would bring it back ends it instead.
pub(super) fn cancel_as_asked(
    desk: &mut Desk,
    id: &JobId,
    job: &RunningJob,
    attempts_given_back: u32,
) -> Result<(), StoreError> {
    let fault = JobFault {
        attempt: job.attempt,
        at: desk.now,
        cause: FaultCause::Cancelled,
        message: "cancelled on request while it ran".into(),
    };
    row::add_fault(&desk.conn, job.seq, &fault)?;
    finish(desk, id, job, State::Cancelled, attempts_given_back)
}

/// Running -> a terminal state.
pub(super) fn finish(
    desk: &mut Desk,
    id: &JobId,
    job: &RunningJob,
    state: State,
    attempts_given_back: u32,
) -> Result<(), StoreError> {
    desk.conn
        .prepare_cached(
            "UPDATE job SET state = ?2, done_at = ?3, attempt = attempt - ?4, lease_at = NULL, cancelling = 0
             WHERE seq = ?1",
        )?
        .execute(params![job.seq, state, desk.now, attempts_given_back])?;
    desk.move_job(job.queue, id, State::Running, state);
    Ok(())
}
