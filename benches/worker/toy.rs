//! The job that does nothing, and what watches it.

use std::sync::Mutex;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_benches::filled::PAYLOAD_BYTES;
use windlass_engine::{Clock, Job, JobContext, JobError, JobKind, NewJob, Outcome, Timestamp};

pub static KINDS: &[JobKind<Watch>] = &[JobKind::of::<Noop>()];

/// Does nothing; tells when it started where its maker wants to know.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Noop {
    /// Wall time in microseconds; 0: nobody wants to know.
    enqueued_at_us: i64,
    padding: String,
}

/// How long the timed jobs waited from enqueue to start, in milliseconds.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Vec<f64>>);

impl Watch {
    pub fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().expect("nothing panics while it is held"))
    }
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const QUEUE: &'static str = "orders";
    type Context = Watch;

    async fn run(self, watch: &Watch, job: &JobContext) -> Result<Outcome, JobError> {
        if self.enqueued_at_us > 0 {
            let waited = job.clock().wall().since(Timestamp::from_micros(self.enqueued_at_us));
            watch.0.lock().expect("nothing panics while it is held").push(windlass_benches::millis(waited));
        }
        Ok(Outcome::done())
    }
}

pub fn plain(clock: &Clock) -> NewJob {
    new(0, clock)
}

pub fn timed(clock: &Clock) -> NewJob {
    new(clock.wall().micros(), clock)
}

fn new(enqueued_at_us: i64, clock: &Clock) -> NewJob {
    NewJob::of(&Noop { enqueued_at_us, padding: "x".repeat(PAYLOAD_BYTES) }, clock)
}
