//! Schedules: jobs that come by themselves, at instants that a file names.
//!
//! [`Schedules`] reads the files and tells everything that is wrong with them at once; [`Entry`] knows its
//! instants, and from them the names of its jobs; [`Scheduler`] hands the jobs over, any number of schedulers at
//! once. It knows no kinds (a caller lends it a [`Lane`] for each) and runs no job.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::envelope::{Envelope, FiredBy, NewJob, Unique};
use crate::id::JobId;
use crate::job::Priority;

mod accept;
mod due;
mod files;
mod instants;
mod lane;
mod length;
mod overlap;
mod pause;
mod payload;
mod problem;
mod reader;
mod scheduler;

pub use accept::{Accept, AcceptByCarrier};
pub use files::{FILE_BYTES_MAX, SCHEDULES_MAX, Schedules};
pub use instants::{BadRhythm, Rhythm};
pub use lane::{Lane, Misfit, nearest};
pub use length::{BadLength, length_of, written};
pub use pause::{pause, paused_since, resume};
pub use problem::{Problem, ScheduleProblems};
pub use scheduler::Scheduler;

/// Instants that one look at the calendar answers at most.
pub const INSTANTS_MAX: usize = 10_000;
/// What `catch_up = "all"` fires at most when the entry does not say.
pub const CATCH_UP_MAX_DEFAULT: u32 = 100;
/// The most that `catch_up_max` may ask for.
pub const CATCH_UP_MAX_MAX: u32 = 1_000;

/// One schedule: which job comes when.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The stored name: the cursor, the jobs' ids and the metrics carry it.
    pub name: String,
    /// For people; empty: there is none.
    pub description: String,
    pub rhythm: Rhythm,
    /// The kind of the job.
    pub job: String,
    pub payload: Box<RawValue>,
    pub queue: String,
    pub priority: Priority,
    /// The unique key that the kind gives to this payload.
    pub unique_key: Option<String>,
    pub overlap: Overlap,
    pub catch_up: CatchUp,
    /// Each job becomes due up to this much after its instant.
    pub jitter: Duration,
    /// A job that has not started so long after it was handed over is dead as `expired`; None: it waits. Shorter than
    /// the time between two instants.
    pub expires: Option<Duration>,
    pub enabled: bool,
    pub tags: Vec<String>,
}

/// What happens at an instant while a job of the schedule is not terminal yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The instant passes without a job.
    #[default]
    Skip,
    /// The job comes, and may run beside the other.
    Allow,
    /// The newest such instant waits, at most one, and its job comes when the other has ended.
    QueueOne,
}

/// What happens to instants that nobody handed over in time: no scheduler ran, or the carrier was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are gone.
    None,
    /// The newest of them gets its job.
    One,
    /// The newest `max` of them get their jobs, oldest first.
    All { max: u32 },
}

impl Entry {
    /// The first instant after `after`, in the shop's time. None: there is none before the year 2101.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.rhythm.next_after(after)
    }

    /// The instants in (`from`, `to`], oldest first: the first `max` of them, and never more than
    /// [`INSTANTS_MAX`].
    pub fn between(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        self.rhythm.between(from, to, max.min(INSTANTS_MAX))
    }

    /// The instants in (`from`, `to`], oldest first: the last `max` of them, and never more than [`INSTANTS_MAX`].
    pub fn newest(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        self.rhythm.newest(from, to, max.min(INSTANTS_MAX))
    }

    /// The name of the job of an instant: the same from every scheduler and at every try.
    pub fn job_id(&self, instant: Timestamp) -> JobId {
        JobId::derived(&["schedule", &self.name, &instant.to_rfc3339()])
    }

    /// The job of an instant. It does not expire: that counts from its hand-over, which the scheduler knows.
    pub fn job(&self, instant: Timestamp) -> NewJob {
        let mut envelope = Envelope::new(&self.job, self.payload.clone());
        envelope.tags.clone_from(&self.tags);
        envelope.enqueued_by = Some(format!("schedule:{}", self.name));
        envelope.schedule = Some(FiredBy { name: self.name.clone(), instant });
        NewJob {
            id: self.job_id(instant),
            queue: self.queue.clone(),
            priority: self.priority,
            run_at: Some(instant + self.delay(instant)),
            unique: self.unique_key.clone().map(|key| Unique { key, window: None }),
            deadline_at: None,
            envelope,
        }
    }

    /// How long after its instant the job becomes due: spread evenly below `jitter`, and the same wherever it
    /// is asked, so that several schedulers make the same job.
    pub fn delay(&self, instant: Timestamp) -> Duration {
        // FNV-1a, then a mix: neighbouring instants must not get neighbouring delays.
        let text = format!("{}@{}", self.name, instant.micros());
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let jitter_us = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        // The high half of a 128-bit product maps the hash onto 0..jitter without a bias.
        Duration::from_micros(((u128::from(mixed) * u128::from(jitter_us)) >> 64) as u64)
    }
}
