//! The store that is measured, and the ways of filling it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;
use windlass_engine::store::{Ask, Delivery, End, Enqueued, Settled, Settlement};
use windlass_engine::{Clock, NewJob, Store, StoreError};

use super::figures::Burst;
use super::progress::Phase;
use super::toy::Toy;

/// Wall time after which a phase of single jobs ends, however few there were: a slow disk must not hold up the rest.
const SINGLES_MAX: Duration = Duration::from_secs(20);

/// A store, the clock that its jobs are made with, and how large they are. Clones share the store.
#[derive(Clone)]
pub struct Subject {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub payload_bytes: usize,
}

impl Subject {
    pub fn toy(&self) -> NewJob {
        Toy::plain(self.payload_bytes).job(&self.clock)
    }

    /// One caller that makes and enqueues `n` jobs, `batch` in a call, one call after the other.
    pub async fn enqueue_batches(&self, n: usize, batch: usize, phase: &Phase) -> anyhow::Result<Burst> {
        self.enqueue_batches_of(n, batch, phase, |subject| subject.toy()).await
    }

    /// As [`Subject::enqueue_batches`], with jobs that the caller makes.
    pub async fn enqueue_batches_of(
        &self,
        n: usize,
        batch: usize,
        phase: &Phase,
        make: impl Fn(&Self) -> NewJob,
    ) -> anyhow::Result<Burst> {
        let began = Instant::now();
        let mut left = n;
        while left > 0 {
            let jobs: Vec<_> = (0..left.min(batch)).map(|_| make(self)).collect();
            let asked = jobs.len();
            let answers = self.store.enqueue(jobs).await?;
            ensure!(all_new(&answers, asked), "a job that nobody made before was not taken as new");
            left -= asked;
            phase.step(asked);
        }
        Ok(Burst::since(began, n))
    }

    /// `callers` that enqueue `n` jobs in all, each a job a call, and the next only when the last is answered.
    pub async fn enqueue_singly(&self, n: usize, callers: usize, phase: &Phase) -> anyhow::Result<Burst> {
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for share in shares(n, callers) {
            let (subject, phase) = (self.clone(), phase.clone());
            calling.spawn(async move {
                let mut enqueued = 0;
                while enqueued < share && began.elapsed() < SINGLES_MAX {
                    let answers = subject.store.enqueue(vec![subject.toy()]).await?;
                    ensure!(all_new(&answers, 1), "a job that nobody made before was not taken as new");
                    enqueued += 1;
                    phase.step(1);
                }
                Ok(enqueued)
            });
        }
        let mut enqueued = 0;
        while let Some(caller) = calling.join_next().await {
            enqueued += caller??;
        }
        Ok(Burst::since(began, enqueued))
    }

    /// Completes at most `n` jobs that are ready, without a worker: settles what it has while it reserves the next
    /// `at_once`. How many there were.
    pub async fn drain_by_hand(&self, queue: &str, n: usize, at_once: u32) -> anyhow::Result<usize> {
        let mut drained = 0;
        let mut taken = self.take(queue, n, at_once).await?;
        while !taken.is_empty() {
            drained += taken.len();
            let ends = taken.iter().map(completed).collect();
            let (settled, next) =
                tokio::join!(self.store.settle(queue, ends), self.take(queue, n - drained, at_once));
            ensure!(settled?.iter().all(|settled| *settled == Settled::Done), "an end did not count");
            taken = next?;
        }
        Ok(drained)
    }

    async fn take(&self, queue: &str, left: usize, at_once: u32) -> Result<Vec<Delivery>, StoreError> {
        let jobs_max = at_once.min(u32::try_from(left).unwrap_or(u32::MAX));
        if jobs_max == 0 {
            return Ok(Vec::new());
        }
        let (queue, worker) = (queue.to_owned(), "bench".to_owned());
        let ask = Ask { queue, worker, jobs_max, lease: Duration::from_secs(60), wait: Duration::ZERO };
        Ok(self.store.reserve(ask).await?.deliveries)
    }

    /// Checks that the books balance and nothing is left to do in `queue`.
    pub async fn check_drained(&self, queue: &str) -> anyhow::Result<()> {
        let audit = self.store.audit().await?;
        ensure!(audit.iter().all(|queue| queue.balanced()), "the books do not balance: {audit:?}");
        let left = audit.iter().find(|audit| audit.queue == queue).map_or(0, |audit| audit.counted.live());
        ensure!(left == 0, "{left} jobs were left over");
        Ok(())
    }
}

/// `n` in as many parts as there are callers, as equal as they can be.
pub fn shares(n: usize, callers: usize) -> impl Iterator<Item = usize> {
    (0..callers).map(move |nth| n / callers + usize::from(nth < n % callers))
}

fn all_new(answers: &[Enqueued], asked: usize) -> bool {
    answers.len() == asked && answers.iter().all(|answer| *answer == Enqueued::New)
}

/// The delivery is done, with no result.
pub fn completed(delivery: &Delivery) -> Settlement {
    let end = End::Completed { result: None, follow_ups: Vec::new() };
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        let parts: Vec<_> = shares(200, 64).collect();
        assert_eq!((parts.len(), parts.iter().sum::<usize>()), (64, 200));
        assert!(parts.iter().all(|part| [3, 4].contains(part)));
    }
}
