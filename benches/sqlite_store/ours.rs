//! The measurements of the store itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::value::to_raw_value;
use tempfile::TempDir;
use windlass_benches::{millis, per_second};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, Delivery, End, Enqueued, Settled, Settlement};
use windlass_engine::{Clock, Envelope, JobId, NewJob, Priority, Store};

pub const PACED_PER_S: u64 = 200;
const PACED_JOBS: usize = 600;
const PAYLOAD_BYTES: usize = 200;
const QUEUE: &str = "orders";

/// A store in a new file, with other jobs in it: half of them ready in another queue, half completed.
pub struct Filled {
    store: Arc<SqliteStore>,
    clock: Clock,
    /// Goes with the store.
    _folder: TempDir,
}

impl Filled {
    pub async fn with(others: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Clock::system();
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone())?);
        let filled = Self { store, clock, _folder: folder };
        for (queue, drained) in [("finished", true), ("waiting", false)] {
            for _ in 0..others / 2 / 10_000 {
                filled.store.enqueue(filled.jobs(queue, 10_000)).await?;
            }
            if drained {
                filled.drain_queue(queue, 500).await?;
            }
        }
        Ok(filled)
    }

    fn jobs(&self, queue: &str, n: usize) -> Vec<NewJob> {
        let payload = to_raw_value(&"x".repeat(PAYLOAD_BYTES)).expect("a text is JSON");
        let job = || NewJob {
            id: JobId::new(self.clock.now()),
            queue: queue.into(),
            priority: Priority::Normal,
            run_at: None,
            unique: None,
            deadline_at: None,
            envelope: Envelope::new("toy", payload.clone()),
        };
        (0..n).map(|_| job()).collect()
    }

    /// Jobs a second, one caller.
    pub async fn enqueue_batches(&self, n: usize, batch: usize) -> anyhow::Result<f64> {
        let batches: Vec<_> = (0..n / batch).map(|_| self.jobs(QUEUE, batch)).collect();
        let began = Instant::now();
        for batch in batches {
            let answers = self.store.enqueue(batch).await?;
            ensure!(answers.iter().all(|answer| *answer == Enqueued::New), "every job is new");
        }
        Ok(per_second(n, began))
    }

    /// Jobs a second over all producers, each of which waits for the answer before it goes on.
    pub async fn enqueue_singly(&self, n: usize, producers: usize) -> anyhow::Result<f64> {
        let shares: Vec<_> = (0..producers).map(|_| self.jobs(QUEUE, n / producers)).collect();
        let began = Instant::now();
        let producers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let store = Arc::clone(&self.store);
                tokio::spawn(async move {
                    for job in share {
                        store.enqueue(vec![job]).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for producer in producers {
            producer.await??;
        }
        Ok(per_second(n, began))
    }

    /// Jobs a second; about `expected` are there.
    pub async fn drain(&self, expected: usize, at_once: u32) -> anyhow::Result<f64> {
        let began = Instant::now();
        let drained = self.drain_queue(QUEUE, at_once).await?;
        ensure!(drained > expected * 9 / 10, "{drained} of {expected} jobs were there");
        Ok(per_second(drained, began))
    }

    async fn drain_queue(&self, queue: &str, at_once: u32) -> anyhow::Result<usize> {
        let (mut drained, mut taken) =
            (0, self.store.reserve(ask(queue, at_once, Duration::ZERO)).await?.deliveries);
        while !taken.is_empty() {
            drained += taken.len();
            let ends = taken.iter().map(completed).collect();
            let (settled, reserved) = tokio::join!(
                self.store.settle(queue, ends),
                self.store.reserve(ask(queue, at_once, Duration::ZERO)),
            );
            ensure!(settled?.iter().all(|settled| *settled == Settled::Done), "every end counts");
            taken = reserved?.deliveries;
        }
        Ok(drained)
    }

    /// Milliseconds from the call of enqueue until the waiting worker has the job, for jobs that come at
    /// [`PACED_PER_S`].
    pub async fn start_latencies_ms(&self) -> anyhow::Result<Vec<f64>> {
        let store = Arc::clone(&self.store);
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
        for job in self.jobs(QUEUE, PACED_JOBS) {
            pace.tick().await;
            enqueued.push((job.id.clone(), Instant::now()));
            self.store.enqueue(vec![job]).await?;
        }
        let started = worker.await??;
        Ok(enqueued.iter().map(|(id, at)| millis(started[id].duration_since(*at))).collect())
    }
}

fn ask(queue: &str, jobs_max: u32, wait: Duration) -> Ask {
    Ask { queue: queue.into(), worker: "bench".into(), jobs_max, lease: Duration::from_secs(60), wait }
}

fn completed(delivery: &Delivery) -> Settlement {
    let end = End::Completed { result: None, follow_ups: Vec::new() };
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}
