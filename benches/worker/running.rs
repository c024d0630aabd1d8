//! Workers on a store, and what is measured through them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_benches::filled::Filled;
use windlass_benches::per_second;
use windlass_engine::store::Retention;
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Job, JobTable, State, Store};

use crate::toy::{KINDS, Noop, Watch, plain, timed};

pub const PACED_PER_S: u64 = 200;
const PACED_JOBS: u64 = 600;
/// As the product's own default.
const SLOTS: u32 = 32;
/// Longest wait for jobs to end: past it the benchmark fails.
const END_MAX: Duration = Duration::from_secs(60);

/// Nothing is pruned while it is measured: the other jobs stay.
const RETENTION: Retention = Retention {
    jobs_max: 100_000_000,
    completed_age_max: Duration::from_secs(7 * 24 * 3_600),
    dead_age_max: Duration::from_secs(90 * 24 * 3_600),
};

/// The workers of one process, as the product runs them: leases, beats, the hook for ended jobs.
pub struct Running {
    completed: watch::Receiver<usize>,
    watch: Arc<Watch>,
    stop: CancellationToken,
    workers: JoinHandle<()>,
}

impl Running {
    pub fn on(filled: &Filled) -> Self {
        let watch = Arc::new(Watch::default());
        let (count, completed) = watch::channel(0);
        let workers = Workers {
            store: filled.store.clone(),
            clock: filled.clock.clone(),
            table: Arc::new(JobTable::new(KINDS)),
            context: watch.clone(),
            settings: WorkerSettings {
                queues: vec![(Noop::QUEUE.to_owned(), SLOTS)],
                lease: WorkerSettings::LEASE_DEFAULT,
                drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
                retention: RETENTION,
            },
            on_ended: Some(Arc::new(move |ended| {
                let completed = ended.iter().filter(|job| job.state == State::Completed).count();
                count.send_modify(|n| *n += completed);
            })),
            host: "bench".to_owned(),
            version: "0".to_owned(),
        };
        let stop = CancellationToken::new();
        let workers = tokio::spawn(workers.run(stop.clone(), CancellationToken::new()));
        Self { completed, watch, stop, workers }
    }

    /// Waits until `n` jobs in all are completed and settled.
    pub async fn until_completed(&mut self, n: usize) -> anyhow::Result<()> {
        let enough =
            tokio::time::timeout(END_MAX, self.completed.wait_for(|completed| *completed >= n)).await;
        enough.context("the jobs do not end")?.context("the workers ended")?;
        Ok(())
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.workers.await?;
        Ok(())
    }
}

/// Jobs a second from the start of the workers until the last of `ready` jobs is settled.
pub async fn drain(filled: &Filled, ready: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut running = Running::on(filled);
    running.until_completed(ready).await?;
    let rate = per_second(ready, began);
    running.stop().await?;
    let audit = filled.store.audit().await?;
    ensure!(audit.iter().all(|queue| queue.balanced()), "the books balance: {audit:?}");
    ensure!(
        audit.iter().filter(|queue| queue.queue == Noop::QUEUE).all(|queue| queue.counted.live() == 0),
        "every job is done: {audit:?}"
    );
    Ok(rate)
}

/// Jobs a second that go all the way, enqueued singly by producers while the workers take them.
pub async fn both_ways(filled: &Filled, n: usize, producers: usize) -> anyhow::Result<f64> {
    let mut running = Running::on(filled);
    let enqueued = n / producers * producers;
    let began = Instant::now();
    filled.enqueue_singly(n, producers, plain).await?;
    running.until_completed(enqueued).await?;
    let rate = per_second(enqueued, began);
    running.stop().await?;
    Ok(rate)
}

/// Milliseconds from the making of a job until its code runs, for jobs that come at [`PACED_PER_S`].
pub async fn start_latencies_ms(filled: &Filled) -> anyhow::Result<Vec<f64>> {
    let mut running = Running::on(filled);
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PACED_PER_S));
    for _ in 0..PACED_JOBS {
        pace.tick().await;
        filled.store.enqueue(vec![timed(&filled.clock)]).await?;
    }
    running.until_completed(PACED_JOBS as usize).await?;
    let waits = running.watch.take();
    running.stop().await?;
    Ok(waits)
}
