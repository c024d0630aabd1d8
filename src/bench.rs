//! What an installation can do: enqueue, drain, latency, with the ceiling of the same machine beside them.
//!
//! `windlass bench` is its command line, and the benchmarks in `benches/` are made of the same parts. It measures
//! through the real store, the real workers and the real front door, and knows nothing of the shop's own queues.

pub mod bare;
pub mod figures;
pub mod ground;
pub mod http;
pub mod progress;
pub mod subject;
pub mod toy;
pub mod workers;

use self::bare::Bare;
use self::figures::{Pairs, Taken, grouped};
use self::ground::Ground;
use self::http::Served;
use self::progress::Phase;
use self::subject::Subject;
use crate::telemetry::Metrics;

/// Jobs in one call of a caller that has many.
pub const BATCH: usize = 1_000;
/// Callers that enqueue at the same time.
pub const CALLERS: usize = 64;
/// Jobs whose latency is taken, at most: five seconds of them.
const PACED_JOBS_MAX: usize = 1_000;
/// One caller waits for the disk at every job: so many fewer jobs are enough.
const SINGLE_SHARE: usize = 20;
/// A request costs more than a job in a batch: so many fewer are enough.
const HTTP_SHARE: usize = 5;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Jobs of each measurement; some need fewer.
    pub jobs: usize,
    /// How often ours and the bare thing run in turns.
    pub pairs: usize,
}

/// Measures everything, one thing after another.
///
/// # Errors
/// When a store, worker or door does not do what it must: figures of something broken are none.
pub async fn measure(ground: &Ground, plan: Plan, metrics: Metrics) -> anyhow::Result<Taken> {
    let subject = &ground.subject;
    let bare = ground.bare().await?;
    let singles = (plan.jobs / SINGLE_SHARE).max(1);
    let phase = Phase::begin("enqueue, one caller", singles);
    let single = subject.enqueue_singly(singles, 1, &phase).await?;
    phase.end(&rate(single.per_s));

    let phase = Phase::begin("enqueue, 64 callers", plan.jobs);
    let concurrent = subject.enqueue_singly(plan.jobs, CALLERS, &phase).await?;
    phase.end(&rate(concurrent.per_s));
    workers::drain(subject, single.jobs + concurrent.jobs, &Phase::silent()).await?;

    let paced = plan.jobs.min(PACED_JOBS_MAX);
    let phase = Phase::begin("enqueue to start, 200 jobs/s", paced);
    let waits_ms = workers::start_waits_ms(subject, paced, &phase).await?;
    phase.end(&format!("{:.2} ms p50", figures::percentile(&waits_ms, 0.5)));

    let phase = Phase::begin("batches and drain, in pairs", plan.jobs * 4 * plan.pairs);
    let (batch, drain) = in_pairs(subject, &bare, plan, &phase).await?;
    phase.end(&format!("{} and {}", rate(batch.ours.median()), rate(drain.ours.median())));

    let posts = (plan.jobs / HTTP_SHARE).max(1);
    let phase = Phase::begin("enqueue over HTTP, in pairs", posts * 2 * plan.pairs);
    let http = over_http(ground, metrics, posts, plan.pairs, &phase).await?;
    phase.end(&rate(http.ours.median()));
    Ok(Taken { single, concurrent, waits_ms, batch, drain, http })
}

/// Fills and drains the store and the bare thing in turns; each goes first every other time.
///
/// # Errors
/// As [`measure`].
pub async fn in_pairs(
    subject: &Subject,
    bare: &Bare,
    plan: Plan,
    phase: &Phase,
) -> anyhow::Result<(Pairs, Pairs)> {
    let Plan { jobs, pairs } = plan;
    let (mut batch, mut drain) = (Pairs::default(), Pairs::default());
    let ours = async || {
        let enqueued = subject.enqueue_batches(jobs, BATCH, phase).await?;
        anyhow::Ok((enqueued.per_s, workers::drain(subject, jobs, phase).await?.per_s))
    };
    let theirs = async || {
        let enqueued = bare.enqueue(subject, jobs, BATCH, phase).await?;
        anyhow::Ok((enqueued.per_s, bare.drain(jobs, phase).await?.per_s))
    };
    for pair in 0..pairs {
        let (ours, theirs) = in_turns(pair, ours, theirs).await?;
        batch.add(ours.0, theirs.0);
        drain.add(ours.1, theirs.1);
    }
    Ok((batch, drain))
}

async fn over_http(
    ground: &Ground,
    metrics: Metrics,
    posts: usize,
    pairs: usize,
    phase: &Phase,
) -> anyhow::Result<Pairs> {
    let subject = &ground.subject;
    let (door, idle) = (Served::door(ground, metrics).await?, Served::idle().await?);
    let load = async |served: &Served| Ok(served.load(posts, subject.payload_bytes, phase).await?.per_s);
    let mut taken = Pairs::default();
    for pair in 0..pairs {
        let (ours, theirs) = in_turns(pair, || load(&door), || load(&idle)).await?;
        taken.add(ours, theirs);
    }
    door.close().await?;
    idle.close().await?;
    workers::drain(subject, posts * pairs, &Phase::silent()).await?;
    Ok(taken)
}

/// Runs both, one after the other; which is first depends on the pair, so that neither always meets what the other
/// left (dirty pages, a warm cache).
///
/// # Errors
/// Those of the two.
pub async fn in_turns<T>(
    pair: usize,
    ours: impl AsyncFnOnce() -> anyhow::Result<T>,
    theirs: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, T)> {
    if pair.is_multiple_of(2) {
        let ours = ours().await?;
        return Ok((ours, theirs().await?));
    }
    let theirs = theirs().await?;
    Ok((ours().await?, theirs))
}

fn rate(per_s: f64) -> String {
    format!("{}/s", grouped(per_s))
}
