//! One attempt at a job, here and now: without a carrier and without a worker.

use windlass_engine::context::AttemptFacts;
use windlass_engine::{Job, JobContext, JobError, NewJob, Outcome};
use windlass_jobs::Shop;

/// Runs the `nth` attempt (from 1) of a job in the shop's time.
///
/// # Errors
/// What the job itself ends with.
pub async fn attempt<J: Job<Context = Shop>>(shop: &Shop, job: J, nth: u32) -> Result<Outcome, JobError> {
    let new = NewJob::of(&job, &shop.clock);
    let now = shop.clock.now();
    let facts = AttemptFacts {
        id: new.id,
        queue: J::QUEUE.into(),
        attempt: nth,
        attempts_max: J::ATTEMPTS_MAX,
        due_at: now,
        created_at: now,
        deadline_at: None,
    };
    job.run(shop, &JobContext::new(facts, new.envelope, shop.clock.clone())).await
}
