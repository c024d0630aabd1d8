//! The job that does nothing but take room, and what watches its starts.

use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Clock, Job, JobContext, JobError, JobKind, NewJob, Outcome, Timestamp};

/// Bytes of a payload, unless a benchmark says otherwise: about what an order's step carries.
pub const PAYLOAD_BYTES: usize = 300;

/// Of those, what is not padding.
const FRAME_BYTES: usize = r#"{"wait_from_us":0,"padding":""}"#.len();

/// The kinds of a benchmark's worker and front door.
pub static KINDS: &[JobKind<Watch>] = &[JobKind::of::<Toy>()];

/// Does nothing; tells when it started where its maker wants to know.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Toy {
    /// Wall time in microseconds from which its wait is counted; 0: nobody wants to know.
    wait_from_us: i64,
    padding: String,
}

/// What the jobs of one worker tell, and how they behave.
#[derive(Debug, Default)]
pub struct Watch {
    waits_ms: Mutex<Vec<f64>>,
    holds: bool,
}

impl Watch {
    /// Its jobs do not end by themselves: for a worker that is to be killed with its hands full.
    pub fn holding() -> Self {
        Self { holds: true, ..Self::default() }
    }

    /// Milliseconds from the instant that each timed job named until it started, in the order of their starts.
    pub fn take_waits_ms(&self) -> Vec<f64> {
        std::mem::take(&mut self.waits_ms.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Job for Toy {
    const KIND: &'static str = "bench_noop";
    const QUEUE: &'static str = "bench";
    type Context = Watch;

    async fn run(self, watch: &Watch, job: &JobContext) -> Result<Outcome, JobError> {
        if self.wait_from_us > 0 {
            // Signed: a job that starts before its time must not pass for one in time.
            let waited_us = job.clock().wall().micros() - self.wait_from_us;
            let mut waits_ms = watch.waits_ms.lock().unwrap_or_else(PoisonError::into_inner);
            waits_ms.push(waited_us as f64 / 1_000.0);
        }
        if watch.holds {
            job.cancelled().await;
        }
        Ok(Outcome::done())
    }
}

impl Toy {
    /// Nobody wants to know its wait.
    pub fn plain(payload_bytes: usize) -> Self {
        Self { wait_from_us: 0, padding: "x".repeat(payload_bytes.saturating_sub(FRAME_BYTES)) }
    }

    /// Its wait is counted from `from`, an instant of the wall's time; its payload is as much longer as that takes.
    pub fn timed(from: Timestamp, payload_bytes: usize) -> Self {
        Self { wait_from_us: from.micros(), ..Self::plain(payload_bytes) }
    }

    pub fn job(&self, clock: &Clock) -> NewJob {
        NewJob::of(self, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_as_large_as_is_said() {
        let job = Toy::plain(PAYLOAD_BYTES).job(&Clock::system());
        assert_eq!(job.envelope.payload.get().len(), PAYLOAD_BYTES);
    }
}
