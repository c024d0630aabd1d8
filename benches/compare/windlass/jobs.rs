//! The two kinds of job that every driver has: one that does nothing, one that holds until it may end.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_benches::filled::PAYLOAD_BYTES;
use windlass_engine::{Clock, Job, JobContext, JobError, JobKind, Outcome};

use crate::reports::Reports;

pub static KINDS: &[JobKind<Reports>] = &[JobKind::of::<Noop>(), JobKind::of::<Hold>()];

/// Does nothing.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Noop {
    /// Wall time in microseconds at which it was made; 0: nobody wants to know.
    at_us: i64,
    pad: String,
}

impl Noop {
    pub fn plain() -> Self {
        Self { at_us: 0, pad: "x".repeat(PAYLOAD_BYTES) }
    }

    pub fn timed(clock: &Clock) -> Self {
        Self { at_us: clock.wall().micros(), ..Self::plain() }
    }
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const QUEUE: &'static str = "compare";
    type Context = Reports;

    async fn run(self, reports: &Reports, _: &JobContext) -> Result<Outcome, JobError> {
        reports.ran(self.at_us);
        Ok(Outcome::done())
    }
}

/// Runs until the file that holds it is gone.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    pub n: usize,
}

/// How often it looks for that file: wall time.
const LOOK: Duration = Duration::from_millis(50);

impl Job for Hold {
    const KIND: &'static str = "hold";
    const QUEUE: &'static str = Noop::QUEUE;
    /// Longer than any of the harness' waits.
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    type Context = Reports;

    async fn run(self, reports: &Reports, _: &JobContext) -> Result<Outcome, JobError> {
        reports.began(self.n)?;
        while reports.holds() {
            tokio::time::sleep(LOOK).await;
        }
        reports.ended(self.n)?;
        Ok(Outcome::done())
    }
}
