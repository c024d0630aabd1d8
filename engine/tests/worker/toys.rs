//! Toy jobs, one for each way that an attempt can go.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use windlass_engine::{Backoff, Job, JobContext, JobError, JobKind, NewJob, Outcome};

pub static TOYS: &[JobKind<Toybox>] = &[
    JobKind::of::<Count>(),
    JobKind::of::<Fail>(),
    JobKind::of::<Hang>(),
    JobKind::of::<Spawn>(),
    JobKind::of::<Tell>(),
];

/// A worker that is one release behind.
pub static OLD_TOYS: &[JobKind<Toybox>] = &[JobKind::of::<Fail>()];

pub struct Toybox {
    pub counted: AtomicU32,
    pub started: AtomicU32,
    /// Lets [`Hang`] and [`Tell`] go on.
    pub go: Semaphore,
}

impl Default for Toybox {
    fn default() -> Self {
        Self { counted: AtomicU32::new(0), started: AtomicU32::new(0), go: Semaphore::new(0) }
    }
}

/// Counts itself.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub by: u32,
}

impl Job for Count {
    const KIND: &'static str = "count";
    const QUEUE: &'static str = "toys";
    type Context = Toybox;

    async fn run(self, toys: &Toybox, _: &JobContext) -> Result<Outcome, JobError> {
        let before = toys.counted.fetch_add(self.by, Ordering::Relaxed);
        Ok(Outcome::result(before + self.by))
    }
}

/// No job's fault.
#[derive(Debug)]
pub struct Quake;

impl std::fmt::Display for Quake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the ground shakes")
    }
}

impl std::error::Error for Quake {}

/// Ends as it is told, each time.
#[derive(Serialize, Deserialize, JsonSchema)]
pub enum Fail {
    Plainly,
    Panicking,
    ForGood,
    Snoozing,
    RetryAfterHour,
    Unwanted,
    Shaken,
    ShakenForGood,
}

impl Job for Fail {
    const KIND: &'static str = "fail";
    const QUEUE: &'static str = "toys";
    const ATTEMPTS_MAX: u32 = 3;
    const BACKOFF: Backoff = Backoff { base_ms: 1_000, cap_ms: 10_000 };
    type Context = Toybox;

    async fn run(self, toys: &Toybox, _: &JobContext) -> Result<Outcome, JobError> {
        toys.started.fetch_add(1, Ordering::Relaxed);
        let hour = Duration::from_secs(3_600);
        match self {
            Self::Plainly => Err(std::io::Error::other("no such luck"))?,
            Self::Panicking => panic!("the roof is on fire"),
            Self::ForGood => Err(JobError::fail(anyhow::anyhow!("never again"))),
            Self::Snoozing => Err(JobError::snooze(hour, "not yet")),
            Self::RetryAfterHour => Err(JobError::retry_after(hour, anyhow::anyhow!("too busy"))),
            Self::Unwanted => Err(JobError::cancel("nobody wants it")),
            Self::Shaken => Err(Quake)?,
            Self::ShakenForGood => Err(JobError::fail(Quake)),
        }
    }
}

/// Waits for its turn; sees a cancellation if it is polite.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Hang {
    pub polite: bool,
}

impl Job for Hang {
    const KIND: &'static str = "hang";
    const QUEUE: &'static str = "toys";
    type Context = Toybox;

    async fn run(self, toys: &Toybox, job: &JobContext) -> Result<Outcome, JobError> {
        toys.started.fetch_add(1, Ordering::Relaxed);
        if !self.polite {
            toys.go.acquire().await?.forget();
            return Ok(Outcome::done());
        }
        tokio::select! {
            go = toys.go.acquire() => { go?.forget(); Ok(Outcome::done()) }
            () = job.cancelled() => Err(JobError::cancel("was asked to")),
        }
    }
}

/// Has children.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Spawn {
    pub children: u32,
}

impl Job for Spawn {
    const KIND: &'static str = "spawn";
    const QUEUE: &'static str = "toys";
    type Context = Toybox;

    async fn run(self, _: &Toybox, job: &JobContext) -> Result<Outcome, JobError> {
        let children = (0..self.children).map(|_| NewJob::of(&Count { by: 1 }, job.clock()));
        Ok(children.fold(Outcome::done(), Outcome::then))
    }
}

/// Says how far it is, then waits for its turn.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Tell {}

impl Job for Tell {
    const KIND: &'static str = "tell";
    const QUEUE: &'static str = "toys";
    type Context = Toybox;

    async fn run(self, toys: &Toybox, job: &JobContext) -> Result<Outcome, JobError> {
        job.progress(3, 10, "chunks");
        job.log("the third chunk was large");
        toys.go.acquire().await?.forget();
        Ok(Outcome::done())
    }
}
