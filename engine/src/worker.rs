//! The workers of a process: one apalis worker a queue, and what they share.
//!
//! [`Workers::run`] works until it is told to stop, then drains: fetching ends at once, what was fetched and
//! not begun goes back, what runs may finish. A second signal hurries: what runs is dropped and given back. In
//! neither case does a job lose an attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apalis::prelude::{WorkerBuilder, WorkerBuilderExt};
use apalis_core::backend::BackendConfig;
use metrics::{counter, gauge};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::attempt::{FirstLooks, Runner, remember_panic_places};
use crate::backend::{BackendSettings, Hands, InHand, OnEnded, QueueBackend};
use crate::clock::{Clock, Timestamp};
use crate::job::JobTable;
use crate::measure::QueueMeasures;
use crate::pulse::WorkerPulse;
use crate::store::{Retention, Store, WorkerBeat};

/// How a worker process works.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The queues to take from and how many jobs of each run at once.
    pub queues: Vec<(String, u32)>,
    /// Wall time that a job is held without a sign of life.
    pub lease: Duration,
    /// Wall time that a drain may take before it is hurried.
    pub drain_max: Duration,
    pub retention: Retention,
}

impl WorkerSettings {
    pub const LEASE_DEFAULT: Duration = Duration::from_secs(15);
    pub const DRAIN_MAX_DEFAULT: Duration = Duration::from_secs(30);
}

/// All workers of a process.
pub struct Workers<C: 'static> {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub table: Arc<JobTable<C>>,
    pub context: Arc<C>,
    pub settings: WorkerSettings,
    /// Told of every job that ended here for good.
    pub on_ended: Option<OnEnded>,
    pub host: String,
    pub version: String,
}

/// How often a worker says that it lives, and looks for leases that ran out.
const BEAT: Duration = Duration::from_secs(5);
/// How often finished jobs are pruned.
const PRUNE: Duration = Duration::from_secs(30);

impl<C: Send + Sync + 'static> Workers<C> {
    /// Works until `stop`, then drains; `hurry` ends the drain.
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) {
        self.run_watched(stop, hurry, WorkerPulse::default()).await;
    }

    /// As [`Workers::run`], and tells `pulse` what its fetching does.
    pub async fn run_watched(self, stop: CancellationToken, hurry: CancellationToken, pulse: WorkerPulse) {
        remember_panic_places();
        let me = Arc::new(self);
        let name = me.unique_name();
        let mut workers = JoinSet::new();
        let mut hands = Vec::new();
        for (queue, slots) in &me.settings.queues {
            let settings = BackendSettings {
                queue: queue.clone(),
                worker: format!("{name}:{queue}"),
                slots: (*slots).max(1),
                lease: me.settings.lease,
            };
            let backend =
                QueueBackend::start(me.store.clone(), me.clock.clone(), settings, me.on_ended.clone(), &stop);
            hands.push(backend.hands());
            pulse.add(backend.pulse());
            workers.spawn(me.clone().work_on(backend, stop.clone(), hurry.clone()));
        }
        let shared = me.clone().look_after(name, hands);
        tokio::pin!(shared);
        let drained = me.drain(&mut workers, &stop, &hurry);
        tokio::select! {
            () = drained => {}
            () = &mut shared => {}
        }
    }

    /// One queue, until the worker has drained.
    async fn work_on(
        self: Arc<Self>,
        backend: QueueBackend,
        stop: CancellationToken,
        hurry: CancellationToken,
    ) {
        let BackendSettings { queue, worker: name, slots, .. } = backend.config().clone();
        let runner = Arc::new(Runner {
            measures: QueueMeasures::new(&queue, &self.table),
            table: self.table.clone(),
            context: self.context.clone(),
            clock: self.clock.clone(),
            hands: backend.hands(),
            acks: backend.acks(),
            queue: queue.into(),
            hurry,
        });
        let first_looks = Arc::new(FirstLooks::default());
        let worker = WorkerBuilder::new(name.as_str()).backend(backend).concurrency(slots as usize).build(
            move |in_hand: InHand| first_looks.clone().see_through(Box::pin(runner.clone().run(in_hand))),
        );
        let stopped = async move {
            stop.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        if let Err(error) = worker.run_until(stopped).await {
            tracing::error!(worker = name, %error, "a worker ended");
        }
    }

    /// Waits for the end of all workers, hurrying them when their time is over.
    async fn drain(&self, workers: &mut JoinSet<()>, stop: &CancellationToken, hurry: &CancellationToken) {
        let too_long = async {
            stop.cancelled().await;
            tokio::time::sleep(self.settings.drain_max).await;
            tracing::warn!("the drain takes too long: what still runs is given back");
            hurry.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = async { while workers.join_next().await.is_some() {} } => {}
            () = too_long => {}
        }
    }

    /// Beats, reaps and prunes until dropped.
    async fn look_after(self: Arc<Self>, name: String, hands: Vec<Hands>) {
        let started_at = self.clock.wall();
        let mut beats = tokio::time::interval(BEAT.min(self.settings.lease / 2));
        let mut prunes = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                _ = beats.tick() => {
                    self.beat(&name, started_at, &hands).await;
                    self.reap().await;
                }
                _ = prunes.tick() => self.prune().await,
            }
        }
    }

    async fn beat(&self, name: &str, started_at: Timestamp, hands: &[Hands]) {
        let slots: u32 = self.settings.queues.iter().map(|(_, slots)| slots).sum();
        let running: u32 = hands.iter().map(|hands| hands.count().saturating_sub(hands.buffered())).sum();
        gauge!("windlass_worker_slots", "state" => "busy").set(f64::from(running));
        gauge!("windlass_worker_slots", "state" => "free").set(f64::from(slots.saturating_sub(running)));
        let beat = WorkerBeat {
            name: name.to_owned(),
            host: self.host.clone(),
            version: self.version.clone(),
            started_at,
            queues: self.settings.queues.iter().map(|(queue, _)| queue.clone()).collect(),
            slots,
            running,
        };
        if let Err(error) = self.store.beat(beat).await {
            tracing::warn!(%error, "the worker could not say that it lives");
        }
    }

    async fn reap(&self) {
        match self.store.reap().await {
            Ok(reaped) if reaped.back_to_ready + reaped.poisoned > 0 => {
                counter!("windlass_jobs_reaped_total").increment(u64::from(reaped.back_to_ready));
                counter!("windlass_jobs_poisoned_total").increment(u64::from(reaped.poisoned));
                tracing::warn!(
                    back_to_ready = reaped.back_to_ready,
                    poisoned = reaped.poisoned,
                    "leases ran out: a worker died or hung"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "leases that ran out could not be looked for"),
        }
    }

    async fn prune(&self) {
        match self.store.prune(self.settings.retention).await {
            Ok(0) => {}
            Ok(pruned) => counter!("windlass_jobs_pruned_total").increment(pruned),
            Err(error) => tracing::warn!(%error, "finished jobs could not be pruned"),
        }
    }

    /// Another name at every start: a carrier may still know the one before.
    fn unique_name(&self) -> String {
        static STARTS: AtomicU64 = AtomicU64::new(0);
        let nth = STARTS.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{:x}-{nth}", self.host, std::process::id(), self.clock.wall().micros())
    }
}
