//! The real workers on a store, and what is measured through them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use windlass_engine::store::Retention;
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Job, JobTable, State};

use super::figures::Burst;
use super::progress::Phase;
use super::subject::Subject;
use super::toy::{KINDS, Toy, Watch};

/// Jobs that run at once while a queue is drained: more of them drain no faster on few cores.
pub const SLOTS: u32 = 64;
/// At which the start latency is measured: far below what any store can do.
pub const PACED_PER_S: u32 = 200;
/// Longest wait for jobs to end: past it something is broken, and the benchmark fails.
const END_MAX: Duration = Duration::from_secs(180);

/// Nothing is pruned while it is measured but what the carrier prunes by itself: the other jobs stay.
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
    hurry: CancellationToken,
    /// None: it was awaited.
    workers: Option<JoinHandle<()>>,
}

impl Running {
    /// Workers of the benchmark's own queue.
    pub fn on(subject: &Subject, phase: &Phase) -> Self {
        Self::of(subject, phase, &[Toy::QUEUE], SLOTS, Watch::default())
    }

    pub fn of(subject: &Subject, phase: &Phase, queues: &[&str], slots: u32, watch: Watch) -> Self {
        let (watch, phase) = (Arc::new(watch), phase.clone());
        let (count, completed) = watch::channel(0);
        let workers = Workers {
            store: subject.store.clone(),
            clock: subject.clock.clone(),
            table: Arc::new(JobTable::new(KINDS)),
            context: watch.clone(),
            settings: WorkerSettings {
                queues: queues.iter().map(|queue| ((*queue).to_owned(), slots)).collect(),
                lease: WorkerSettings::LEASE_DEFAULT,
                drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
                retention: RETENTION,
            },
            on_ended: Some(Arc::new(move |ended| {
                let completed = ended.iter().filter(|job| job.state == State::Completed).count();
                phase.step(completed);
                count.send_modify(|n| *n += completed);
            })),
            host: "bench".to_owned(),
            version: crate::platform::VERSION.to_owned(),
        };
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let workers = Some(tokio::spawn(workers.run(stop.clone(), hurry.clone())));
        Self { completed, watch, stop, hurry, workers }
    }

    /// Waits until `n` jobs in all are completed and settled.
    pub async fn until_completed(&mut self, n: usize) -> anyhow::Result<()> {
        let enough = self.completed.wait_for(|completed| *completed >= n);
        let enough = tokio::time::timeout(END_MAX, enough).await;
        enough
            .with_context(|| format!("{n} jobs did not end within {} s", END_MAX.as_secs()))?
            .context("the workers ended before the jobs")?;
        Ok(())
    }

    /// Milliseconds that the timed jobs waited, in the order of their starts.
    pub fn take_waits_ms(&self) -> Vec<f64> {
        self.watch.take_waits_ms()
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(workers) = self.workers.take() {
            workers.await.context("the workers panicked")?;
        }
        Ok(())
    }
}

impl Drop for Running {
    /// A benchmark that was given up leaves no worker behind.
    fn drop(&mut self) {
        self.stop.cancel();
        self.hurry.cancel();
    }
}

/// From the start of the workers until the last of `ready` jobs is settled.
pub async fn drain(subject: &Subject, ready: usize, phase: &Phase) -> anyhow::Result<Burst> {
    let began = Instant::now();
    let mut running = Running::on(subject, phase);
    running.until_completed(ready).await?;
    let burst = Burst::since(began, ready);
    running.stop().await?;
    subject.check_drained(Toy::QUEUE).await?;
    Ok(burst)
}

/// What goes all the way in a second: `callers` enqueue `n` jobs singly while the workers take them.
pub async fn both_ways(subject: &Subject, n: usize, callers: usize, phase: &Phase) -> anyhow::Result<Burst> {
    let mut running = Running::on(subject, phase);
    let began = Instant::now();
    let enqueued = subject.enqueue_singly(n, callers, &Phase::silent()).await?.jobs;
    running.until_completed(enqueued).await?;
    let burst = Burst::since(began, enqueued);
    running.stop().await?;
    Ok(burst)
}

/// Milliseconds from the making of a job until its code runs, for `n` jobs that come at [`PACED_PER_S`] while
/// nothing else does.
pub async fn start_waits_ms(subject: &Subject, n: usize, phase: &Phase) -> anyhow::Result<Vec<f64>> {
    let mut running = Running::on(subject, phase);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PACED_PER_S);
    // A late job must not be followed by a burst: the system would not be idle.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..n {
        pace.tick().await;
        let toy = Toy::timed(subject.clock.wall(), subject.payload_bytes);
        subject.store.enqueue(vec![toy.job(&subject.clock)]).await?;
    }
    running.until_completed(n).await?;
    let waits = running.take_waits_ms();
    running.stop().await?;
    Ok(waits)
}
