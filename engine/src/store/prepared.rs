//! What every carrier does with what it is handed, before it stores anything: the bounds of a call and of a job, and
//! what is written down of an attempt. And how an envelope is read back.

use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::context::LOG_LINES_MAX;
use crate::envelope::{Envelope, NewJob, Unique};
use crate::id::JobId;
use crate::job::Priority;
use crate::store::{
    Ask, ENQUEUE_ITEMS_MAX, ENVELOPE_BYTES_MAX, End, JobFault, JobNotes, NAME_BYTES_MAX, RESERVE_JOBS_MAX,
    StoreError,
};

/// Bytes of a fault's message.
const FAULT_MESSAGE_BYTES_MAX: usize = 8 * 1024;

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

/// A fault with a message within its bound.
pub(super) fn bounded(fault: &JobFault) -> JobFault {
    let mut fault = fault.clone();
    fault.message.truncate(fault.message.floor_char_boundary(FAULT_MESSAGE_BYTES_MAX));
    fault
}

/// The attempt's notes as they are kept; a snooze adds why it waits, for whoever asks the job why it does not run.
pub(super) fn notes_of(end: &End, notes: Option<JobNotes>) -> Option<JobNotes> {
    let mut notes = notes;
    if let End::Snoozed { until, why } = end {
        let log = &mut notes.get_or_insert_default().log;
        log.push(format!("snoozed until {until}: {why}"));
        log.drain(..log.len().saturating_sub(LOG_LINES_MAX));
    }
    notes
}

/// The envelope; of one that this build cannot read, its kind with the whole text as its payload, so that the job can
/// still be looked at. `kind`: what else is known of it.
pub(super) fn envelope(text: &str, kind: Option<&str>) -> Envelope {
    #[derive(serde::Deserialize)]
    struct Named {
        kind: String,
    }
    serde_json::from_str(text).unwrap_or_else(|_| {
        let payload =
            RawValue::from_string(text.to_owned()).or_else(|_| serde_json::value::to_raw_value(text));
        let told = || serde_json::from_str::<Named>(text).ok().map(|named| named.kind);
        let kind = kind.map(str::to_owned).or_else(told).unwrap_or_else(|| "?".to_owned());
        Envelope::new(kind, payload.expect("a text is JSON once it is quoted"))
    })
}
