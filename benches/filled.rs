//! A store in a new file, with other jobs in it when asked, and the two ways of filling its queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::value::to_raw_value;
use tempfile::TempDir;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, Delivery, End, Enqueued, Settled, Settlement};
use windlass_engine::{Clock, Envelope, JobId, NewJob, Priority, Store};

use crate::per_second;

pub const PAYLOAD_BYTES: usize = 200;
/// Other jobs are enqueued so many at once.
const FILL_BATCH: usize = 10_000;

pub struct Filled {
    pub store: Arc<SqliteStore>,
    pub clock: Clock,
    /// Goes with the store.
    _folder: TempDir,
}

impl Filled {
    /// With `others` jobs in two other queues: half of them ready, half completed.
    pub async fn with(others: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Clock::system();
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone())?);
        let filled = Self { store, clock, _folder: folder };
        for (queue, drained) in [("finished", true), ("waiting", false)] {
            for _ in 0..others / 2 / FILL_BATCH {
                let batch = (0..FILL_BATCH).map(|_| toy_in(queue, &filled.clock)).collect();
                filled.store.enqueue(batch).await?;
            }
            if drained {
                filled.drain(queue, 500).await?;
            }
        }
        Ok(filled)
    }

    /// Jobs a second that one caller makes and enqueues.
    pub async fn enqueue_batches(
        &self,
        n: usize,
        batch: usize,
        job: impl Fn(&Clock) -> NewJob,
    ) -> anyhow::Result<f64> {
        let began = Instant::now();
        for _ in 0..n / batch {
            let jobs = (0..batch).map(|_| job(&self.clock)).collect();
            let answers = self.store.enqueue(jobs).await?;
            ensure!(answers.iter().all(|answer| *answer == Enqueued::New), "every job is new");
        }
        Ok(per_second(n, began))
    }

    /// Jobs a second over all producers, each of which waits for the answer before it makes the next.
    pub async fn enqueue_singly(
        &self,
        n: usize,
        producers: usize,
        job: fn(&Clock) -> NewJob,
    ) -> anyhow::Result<f64> {
        let began = Instant::now();
        let producers: Vec<_> = (0..producers)
            .map(|_| {
                let (store, clock, share) = (self.store.clone(), self.clock.clone(), n / producers);
                tokio::spawn(async move {
                    for _ in 0..share {
                        store.enqueue(vec![job(&clock)]).await?;
                    }
                    anyhow::Ok(share)
                })
            })
            .collect();
        let mut enqueued = 0;
        for producer in producers {
            enqueued += producer.await??;
        }
        Ok(per_second(enqueued, began))
    }

    /// Completes what is ready in the queue, settling and reserving at once; how many there were.
    pub async fn drain(&self, queue: &str, at_once: u32) -> anyhow::Result<usize> {
        let ask = || ask(queue, at_once, Duration::ZERO);
        let (mut drained, mut taken) = (0, self.store.reserve(ask()).await?.deliveries);
        while !taken.is_empty() {
            drained += taken.len();
            let ends = taken.iter().map(completed).collect();
            let (settled, reserved) = tokio::join!(self.store.settle(queue, ends), self.store.reserve(ask()));
            ensure!(settled?.iter().all(|settled| *settled == Settled::Done), "every end counts");
            taken = reserved?.deliveries;
        }
        Ok(drained)
    }
}

pub fn toy_in(queue: &str, clock: &Clock) -> NewJob {
    let payload = to_raw_value(&"x".repeat(PAYLOAD_BYTES)).expect("a text is JSON");
    NewJob {
        id: JobId::new(clock.now()),
        queue: queue.into(),
        priority: Priority::Normal,
        run_at: None,
        unique: None,
        deadline_at: None,
        envelope: Envelope::new("toy", payload),
    }
}

pub fn ask(queue: &str, jobs_max: u32, wait: Duration) -> Ask {
    Ask { queue: queue.into(), worker: "bench".into(), jobs_max, lease: Duration::from_secs(60), wait }
}

pub fn completed(delivery: &Delivery) -> Settlement {
    let end = End::Completed { result: None, follow_ups: Vec::new() };
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}
