//! The measurements of the store itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use windlass_benches::filled::{Filled, ask, completed, toy_in};
use windlass_benches::{millis, per_second};
use windlass_engine::{Clock, JobId, NewJob, Store};

pub const PACED_PER_S: u64 = 200;
const PACED_JOBS: usize = 600;
const QUEUE: &str = "orders";

pub fn toy(clock: &Clock) -> NewJob {
    toy_in(QUEUE, clock)
}

/// Jobs a second over two loops, so that the store works while a loop prepares; about `expected` are there.
pub async fn drain(filled: &Filled, expected: usize, at_once: u32) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (one, other) = tokio::try_join!(filled.drain(QUEUE, at_once), filled.drain(QUEUE, at_once))?;
    let drained = one + other;
    ensure!(drained > expected * 9 / 10, "{drained} of {expected} jobs were there");
    Ok(per_second(drained, began))
}

/// Milliseconds from the call of enqueue until the waiting worker has the job, for jobs that come at
/// [`PACED_PER_S`].
pub async fn start_latencies_ms(filled: &Filled) -> anyhow::Result<Vec<f64>> {
    let store = filled.store.clone();
    let worker = tokio::spawn(async move {
        let mut started: HashMap<JobId, Instant> = HashMap::new();
        while started.len() < PACED_JOBS {
            let taken = store.reserve(ask(QUEUE, 100, Duration::from_secs(10))).await?.deliveries;
            let now = Instant::now();
            let ends = taken.iter().map(completed).collect();
            started.extend(taken.into_iter().map(|delivery| (delivery.id, now)));
            store.settle(QUEUE, ends).await?;
        }
        anyhow::Ok(started)
    });
    let mut enqueued = Vec::with_capacity(PACED_JOBS);
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PACED_PER_S));
    for _ in 0..PACED_JOBS {
        pace.tick().await;
        let job = toy(&filled.clock);
        enqueued.push((job.id.clone(), Instant::now()));
        filled.store.enqueue(vec![job]).await?;
    }
    let started = worker.await??;
    Ok(enqueued.iter().map(|(id, at)| millis(started[id].duration_since(*at))).collect())
}
