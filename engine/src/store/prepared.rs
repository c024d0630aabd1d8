//! What every carrier checks before it stores anything: the bounds of a call and of a job.

use crate::clock::Timestamp;
use crate::envelope::{NewJob, Unique};
use crate::id::JobId;
use crate::job::Priority;
use crate::store::{
    Ask, ENQUEUE_ITEMS_MAX, ENVELOPE_BYTES_MAX, NAME_BYTES_MAX, RESERVE_JOBS_MAX, StoreError,
};

/// A job that is within the bounds, with its envelope already written out: the caller's thread pays for that.
#[derive(Debug)]
pub(super) struct Prepared {
    pub id: JobId,
    pub queue: String,
    pub kind: String,
    pub priority: Priority,
    pub run_at: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    pub unique: Option<Unique>,
    pub envelope: String,
}

/// Whether the queue's backlog bound applies. It does not to follow-ups: their parent has done its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backlog {
    Bounded,
    Unbounded,
}

pub(super) fn prepare(jobs: Vec<NewJob>) -> Result<Vec<Prepared>, StoreError> {
    at_most("jobs", jobs.len(), "ENQUEUE_ITEMS_MAX", ENQUEUE_ITEMS_MAX)?;
    jobs.into_iter().map(prepare_one).collect()
}

fn prepare_one(job: NewJob) -> Result<Prepared, StoreError> {
    let envelope = job.envelope.to_json();
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(StoreError::Invalid(format!(
            "the envelope of {} has {} bytes; ENVELOPE_BYTES_MAX is {ENVELOPE_BYTES_MAX}",
            job.id,
            envelope.len()
        )));
    }
    let key = job.unique.as_ref().map_or("", |unique| &unique.key);
    for (what, name) in [("queue", &*job.queue), ("kind", &*job.envelope.kind), ("unique key", key)] {
        if name.len() > NAME_BYTES_MAX {
            return Err(StoreError::Invalid(format!(
                "the {what} of {} has {} bytes; NAME_BYTES_MAX is {NAME_BYTES_MAX}",
                job.id,
                name.len()
            )));
        }
    }
    Ok(Prepared {
        id: job.id,
        queue: job.queue,
        kind: job.envelope.kind,
        priority: job.priority,
        run_at: job.run_at,
        deadline_at: job.deadline_at,
        unique: job.unique,
        envelope,
    })
}

pub(super) fn at_most(what: &str, n: usize, bound: &str, max: usize) -> Result<(), StoreError> {
    if n > max {
        return Err(StoreError::Invalid(format!("{n} {what} in one call; {bound} is {max}")));
    }
    Ok(())
}

pub(super) fn check_ask(ask: &Ask) -> Result<(), StoreError> {
    if ask.jobs_max == 0 || ask.jobs_max > RESERVE_JOBS_MAX {
        return Err(StoreError::Invalid(format!(
            "an ask for {} jobs; it is for 1 to RESERVE_JOBS_MAX = {RESERVE_JOBS_MAX}",
            ask.jobs_max
        )));
    }
    Ok(())
}

/// The result of a job as it is stored.
pub(super) fn check_result(id: &JobId, result: &str) -> Result<(), StoreError> {
    if result.len() > ENVELOPE_BYTES_MAX {
        return Err(StoreError::Invalid(format!(
            "the result of {id} has {} bytes; ENVELOPE_BYTES_MAX is {ENVELOPE_BYTES_MAX}",
            result.len()
        )));
    }
    Ok(())
}
