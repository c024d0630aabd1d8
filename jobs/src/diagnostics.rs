//! Jobs that do nothing for the shop: to try the platform itself, to measure it, to see it fail.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome};

use crate::shop::Shop;

const QUEUE: &str = "diagnostics";
/// The longest sleep.
pub const SLEEP_MS_MAX: u64 = 3_600_000;

/// Does nothing.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noop {}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const QUEUE: &'static str = QUEUE;
    type Context = Shop;

    async fn run(self, _: &Shop, _: &JobContext) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// Takes its time, of the wall's clock, unless it is asked to stop.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    #[schemars(range(max = 3_600_000))]
    pub ms: u64,
}

impl Job for Sleep {
    const KIND: &'static str = "sleep";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Duration = Duration::from_secs(3_700);
    type Context = Shop;

    async fn run(self, _: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let ms = self.ms.min(SLEEP_MS_MAX);
        job.progress(0, ms, "asleep");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {
                job.progress(ms, ms, "awake");
                Ok(Outcome::done())
            }
            () = job.cancelled() => Err(JobError::cancel("woken up")),
        }
    }
}

/// Fails at its first attempts, then goes well.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flaky {
    #[schemars(range(max = 1_000))]
    pub fail_attempts: u32,
}

impl Job for Flaky {
    const KIND: &'static str = "flaky";
    const QUEUE: &'static str = QUEUE;
    const BACKOFF: Backoff = Backoff { base_ms: 100, cap_ms: 5_000 };
    type Context = Shop;

    async fn run(self, _: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        if job.attempt() <= self.fail_attempts {
            let (attempt, of) = (job.attempt(), self.fail_attempts);
            return Err(JobError::retry(anyhow::anyhow!("failing on purpose: attempt {attempt} of {of}")));
        }
        Ok(Outcome::done())
    }
}

/// Panics.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Panic {}

impl Job for Panic {
    const KIND: &'static str = "panic";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS_MAX: u32 = 3;
    const BACKOFF: Backoff = Backoff { base_ms: 100, cap_ms: 1_000 };
    type Context = Shop;

    async fn run(self, _: &Shop, _: &JobContext) -> Result<Outcome, JobError> {
        panic!("panicking on purpose")
    }
}
