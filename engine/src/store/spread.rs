//! Several carriers as one: for what one Redis cannot carry alone.
//!
//! A job lives on the carrier that its unique key names, or else its id; a delivery's token says which one handed
//! it out. Workers take from all of them in turns. What that costs: an id is known to be taken only on the carrier
//! on which it would live (so a unique key and a chosen id do not go together), a follow-up lives beside its
//! parent, priorities and first-in-first-out hold on each carrier for itself, a rate and a cap are divided among
//! them, each has a breaker of its own, and a carrier that is away takes its share of the enqueues with it, while
//! the work of the others goes on. Carriers are neither added nor taken away while there are jobs: the order and
//! the number of them decide where a job lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::FuturesUnordered;

use crate::clock::Timestamp;
use crate::envelope::NewJob;
use crate::gate::{GateRules, Pause};
use crate::id::JobId;
use crate::job::State;
use crate::store::{
    Acted, Action, Ask, Claim, Counts, Enqueued, Event, Filter, Held, JobView, LIST_ROWS_MAX, Page,
    QueueAudit, QueueStats, Reaped, Renewed, Reserved, Retention, Settled, Settlement, Store, StoreError,
    WorkerBeat,
};

mod parts;
mod shares;

/// Carriers in one: what fits into the low bits of a token.
pub const CARRIERS_MAX: usize = 1 << CARRIER_BITS;
const CARRIER_BITS: u32 = 4;

/// Carriers, in the order that decides where a job lives.
pub struct SpreadStore {
    carriers: Vec<Arc<dyn Store>>,
    /// Which is asked for work first.
    turn: AtomicUsize,
}

impl SpreadStore {
    /// # Errors
    /// `Invalid` unless there are 2 to [`CARRIERS_MAX`].
    pub fn over(carriers: Vec<Arc<dyn Store>>) -> Result<Self, StoreError> {
        if !(2..=CARRIERS_MAX).contains(&carriers.len()) {
            return Err(StoreError::Invalid(format!(
                "{} carriers to spread over; there are 2 to CARRIERS_MAX = {CARRIERS_MAX}",
                carriers.len()
            )));
        }
        Ok(Self { carriers, turn: AtomicUsize::new(0) })
    }

    fn n(&self) -> usize {
        self.carriers.len()
    }
}

#[async_trait]
impl Store for SpreadStore {
    fn name(&self) -> &'static str {
        "spread"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        let call = |carrier: usize, jobs| self.carriers[carrier].enqueue(jobs);
        self.apart(jobs, |job| self.home_of(job), call).await
    }

    async fn reserve(&self, ask: Ask) -> Result<Reserved, StoreError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let (mut hold, mut failed) = (None, Vec::new());
        for further in 0..self.n() {
            let carrier = (first.wrapping_add(further)) % self.n();
            match self.carriers[carrier].reserve(Ask { wait: Duration::ZERO, ..ask.clone() }).await {
                Ok(reserved) if !reserved.deliveries.is_empty() => return Ok(self.mark(carrier, reserved)),
                Ok(reserved) => hold = hold.or(reserved.hold),
                Err(error) => failed.push(error),
            }
        }
        match failed.pop() {
            Some(error) if failed.len() + 1 == self.n() => return Err(error),
            _ if ask.wait.is_zero() => return Ok(Reserved { deliveries: Vec::new(), hold }),
            _ => {}
        }
        let mut waits: FuturesUnordered<_> = self
            .carriers
            .iter()
            .enumerate()
            .map(|(n, carrier)| {
                let ask = ask.clone();
                async move { (n, carrier.reserve(ask).await) }
            })
            .collect();
        while let Some((carrier, answer)) = waits.next().await {
            match answer {
                // The other asks are dropped: what they would have got goes back unharmed.
                Ok(reserved) if !reserved.deliveries.is_empty() => return Ok(self.mark(carrier, reserved)),
                Ok(reserved) => hold = reserved.hold.or(hold),
                Err(error) => tracing::debug!(%error, "one of the carriers gives no work"),
            }
        }
        Ok(Reserved { deliveries: Vec::new(), hold })
    }

    async fn await_returns(&self) {
        join_all(self.carriers.iter().map(|carrier| carrier.await_returns())).await;
    }

    async fn settle(&self, queue: &str, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        let carrier_of = |settlement: &Settlement| self.inward(settlement.token).0;
        self.apart(settlements, carrier_of, |carrier, mut some: Vec<Settlement>| {
            some.iter_mut().for_each(|settlement| settlement.token = self.inward(settlement.token).1);
            self.carriers[carrier].settle(queue, some)
        })
        .await
    }

    async fn renew(&self, queue: &str, held: Vec<Held>, lease: Duration) -> Result<Renewed, StoreError> {
        let mut all = Renewed::default();
        for (carrier, store) in self.carriers.iter().enumerate() {
            let of_it = held.iter().filter(|job| self.inward(job.token).0 == carrier);
            let inward: Vec<Held> =
                of_it.map(|job| Held { token: self.inward(job.token).1, ..job.clone() }).collect();
            if inward.is_empty() {
                continue;
            }
            let outward = |(id, token)| (id, self.outward(carrier, token));
            let told = store.renew(queue, inward, lease).await?;
            all.lost.extend(told.lost.into_iter().map(outward));
            all.cancelling.extend(told.cancelling.into_iter().map(outward));
        }
        Ok(all)
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        let all = self.those_that_answer(|carrier| async move { carrier.reap().await }).await?;
        Ok(all.into_iter().fold(Reaped::default(), |sum, reaped| Reaped {
            back_to_ready: sum.back_to_ready + reaped.back_to_ready,
            poisoned: sum.poisoned + reaped.poisoned,
        }))
    }

    async fn act(&self, action: Action, ids: Vec<JobId>) -> Result<Vec<Acted>, StoreError> {
        let missing = |acted: &Acted| *acted == Acted::Missing;
        self.wherever(ids, missing, |carrier, ids| self.carriers[carrier].act(action, ids)).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobView>, StoreError> {
        let home = self.home(&[id.as_str()]);
        for further in 0..self.n() {
            if let Some(job) = self.carriers[(home + further) % self.n()].get(id).await? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        self.wherever(ids, Option::is_none, |carrier, ids| self.carriers[carrier].states(ids)).await
    }

    async fn list(&self, filter: Filter) -> Result<Page, StoreError> {
        let unknown = || StoreError::Invalid(format!("{:?} is no cursor of this carrier", filter.cursor));
        let (mut carrier, mut inner) = match filter.cursor.as_deref() {
            None => (0, None),
            Some(cursor) => {
                let (carrier, inner) = cursor.split_once('|').ok_or_else(unknown)?;
                (
                    carrier.parse().map_err(|_| unknown())?,
                    Some(inner.to_owned()).filter(|inner| !inner.is_empty()),
                )
            }
        };
        let mut page = Page { jobs: Vec::new(), cursor: None };
        while let Some(store) = self.carriers.get(carrier) {
            let left = filter.limit.saturating_sub(page.jobs.len() as u32);
            if left == 0 && filter.limit > 0 {
                page.cursor = Some(format!("{carrier}|{}", inner.unwrap_or_default()));
                return Ok(page);
            }
            let limit = if filter.limit > LIST_ROWS_MAX { filter.limit } else { left };
            let part = store.list(Filter { cursor: inner.take(), limit, ..filter.clone() }).await?;
            page.jobs.extend(part.jobs);
            match part.cursor {
                Some(cursor) => {
                    page.cursor = Some(format!("{carrier}|{cursor}"));
                    return Ok(page);
                }
                None => carrier += 1,
            }
        }
        Ok(page)
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, StoreError> {
        let all = try_join_all(self.carriers.iter().map(|carrier| carrier.stats())).await?;
        let mut by_name = std::collections::BTreeMap::<String, Vec<QueueStats>>::new();
        for stats in all.into_iter().flatten() {
            by_name.entry(stats.queue.clone()).or_default().push(stats);
        }
        let merge = |(queue, parts): (String, Vec<QueueStats>)| {
            let mut counts = Counts::default();
            parts.iter().for_each(|part| counts += part.counts);
            let rules: Vec<GateRules> = parts.iter().map(|part| part.gate.rules.clone()).collect();
            let held_everywhere = parts.iter().all(|part| part.hold.is_some());
            let mut gate = parts.first().map(|part| part.gate.clone()).unwrap_or_default();
            gate.rules = shares::whole(&rules);
            QueueStats {
                queue,
                counts,
                oldest_ready_at: parts.iter().filter_map(|part| part.oldest_ready_at).min(),
                gate,
                hold: parts.iter().find_map(|part| part.hold).filter(|_| held_everywhere),
            }
        };
        Ok(by_name.into_iter().map(merge).collect())
    }

    /// One entry for each queue of each carrier: summed up, what one has too many could hide what another lacks.
    async fn audit(&self) -> Result<Vec<QueueAudit>, StoreError> {
        let all = try_join_all(self.carriers.iter().map(|carrier| carrier.audit())).await?;
        let mut audits: Vec<QueueAudit> = all.into_iter().flatten().collect();
        audits.sort_by(|a, b| a.queue.cmp(&b.queue));
        Ok(audits)
    }

    async fn pause(&self, queue: &str, pause: Option<Pause>) -> Result<(), StoreError> {
        try_join_all(self.carriers.iter().map(|carrier| carrier.pause(queue, pause.clone()))).await.map(drop)
    }

    async fn set_gate(&self, queue: &str, rules: GateRules) -> Result<(), StoreError> {
        if rules.concurrency_max.is_some_and(|cap| (cap as usize) < self.n()) {
            return Err(StoreError::Invalid(format!(
                "a cap below {} cannot be divided among as many carriers: each must let one job through",
                self.n()
            )));
        }
        let set = |(n, carrier): (usize, &Arc<dyn Store>)| {
            let (carrier, share) = (Arc::clone(carrier), shares::of(&rules, n, self.n()));
            async move { carrier.set_gate(queue, share).await }
        };
        try_join_all(self.carriers.iter().enumerate().map(set)).await.map(drop)
    }

    async fn beat(&self, beat: WorkerBeat) -> Result<(), StoreError> {
        let told = |carrier: Arc<dyn Store>| {
            let beat = beat.clone();
            async move { carrier.beat(beat).await }
        };
        self.those_that_answer(told).await.map(drop)
    }

    async fn workers(&self, age_max: Duration) -> Result<Vec<WorkerBeat>, StoreError> {
        let all = self.those_that_answer(|carrier| async move { carrier.workers(age_max).await }).await?;
        let mut workers: Vec<WorkerBeat> = all.into_iter().flatten().collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers.dedup_by(|a, b| a.name == b.name);
        Ok(workers)
    }

    async fn cursor(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
        self.carriers[self.home(&[schedule])].cursor(schedule).await
    }

    async fn move_cursor(
        &self,
        schedule: &str,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<bool, StoreError> {
        self.carriers[self.home(&[schedule])].move_cursor(schedule, from, to).await
    }

    /// In the order of their numbers, which are times: what a carrier whose clock is behind tells later may be missed.
    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let all = self.those_that_answer(|carrier| async move { carrier.events(after, limit).await }).await?;
        let mut events: Vec<Event> = all.into_iter().flatten().collect();
        events.sort_by_key(|event| event.seq);
        events.truncate(limit as usize);
        Ok(events)
    }

    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        Ok(self
            .those_that_answer(|carrier| async move { carrier.prune(retention).await })
            .await?
            .into_iter()
            .sum())
    }

    /// Each carrier notes its place, too: another order or number of them would look for jobs where they are not.
    async fn claim(&self, owner: &str) -> Result<Claim, StoreError> {
        let claims = self.carriers.iter().enumerate().map(|(n, carrier)| {
            let owner = format!("{owner}, carrier {} of {}", n + 1, self.n());
            let carrier = Arc::clone(carrier);
            async move { carrier.claim(&owner).await }
        });
        let all = try_join_all(claims).await?;
        // One that is new beside others that are known was wiped.
        Ok(if all.contains(&Claim::New) { Claim::New } else { Claim::Known })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        try_join_all(self.carriers.iter().map(|carrier| carrier.ping())).await.map(drop)
    }
}
