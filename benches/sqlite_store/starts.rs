//! How soon a loop that waits in the store has a job that comes in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use windlass::bench::subject::completed;
use windlass::bench::toy::Toy;
use windlass_benches::filled::Filled;
use windlass_benches::millis;
use windlass_engine::store::Ask;
use windlass_engine::{Job, JobId};

pub const PACED_PER_S: u32 = 200;
const PACED_JOBS: usize = 600;

/// Milliseconds from the call of enqueue until the waiting loop has the job, for jobs that come at
/// [`PACED_PER_S`].
pub async fn latencies_ms(filled: &Filled) -> anyhow::Result<Vec<f64>> {
    let store = filled.store.clone();
    let waiting = tokio::spawn(async move {
        let mut started: HashMap<JobId, Instant> = HashMap::new();
        while started.len() < PACED_JOBS {
            let taken = store.reserve(ask()).await?.deliveries;
            let now = Instant::now();
            let ends = taken.iter().map(completed).collect();
            started.extend(taken.into_iter().map(|delivery| (delivery.id, now)));
            store.settle(Toy::QUEUE, ends).await?;
        }
        anyhow::Ok(started)
    });
    let mut enqueued = Vec::with_capacity(PACED_JOBS);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PACED_PER_S);
    for _ in 0..PACED_JOBS {
        pace.tick().await;
        let job = filled.toy();
        enqueued.push((job.id.clone(), Instant::now()));
        filled.store.enqueue(vec![job]).await?;
    }
    let started = waiting.await??;
    Ok(enqueued.iter().map(|(id, at)| millis(started[id].duration_since(*at))).collect())
}

fn ask() -> Ask {
    Ask {
        queue: Toy::QUEUE.to_owned(),
        worker: "bench".to_owned(),
        jobs_max: 100,
        lease: Duration::from_secs(60),
        wait: Duration::from_secs(10),
    }
}
