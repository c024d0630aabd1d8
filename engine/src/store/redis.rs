//! The carrier on Redis, for any number of processes.
//!
//! Each step of a job is one Lua script (`redis/lua/README.md` tells the keys, each script's head what it does), so a
//! step is whole or not at all, and Redis' `TIME` is the only clock of leases, gates and, where the shop's time is
//! the wall's, of due times. Calls of all tasks share one connection; waiting for work blocks on
//! another ([`wake`]); enqueues of many callers travel together ([`enqueue`]). A namespace lives on one server:
//! there is no cluster. Nothing is reaped unasked: who runs the workers calls [`Store::reap`] and [`Store::prune`];
//! only completed jobs beyond the bounds of [`RedisSettings`] go as others complete, since they are memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::enqueue::Enqueuer;
use self::lease::FullLooks;
use self::link::Link;
use self::record::stored_id;
use self::reply::Reply;
use self::reserve::Asks;
use self::settle::Ends;
use self::shared::Shared;
use self::wake::Waiters;
use crate::clock::{Clock, Timestamp};
use crate::envelope::NewJob;
use crate::gate::{GateRules, Pause};
use crate::id::JobId;
use crate::job::State;
use crate::store::prepared::{self, at_most};
use crate::store::{
    Acted, Action, Ask, Claim, ENQUEUE_ITEMS_MAX, Enqueued, Event, Filter, Held, JobView, Page, QueueAudit,
    QueueStats, Reaped, Renewed, Reserved, Retention, SETTLE_ITEMS_MAX, Settled, Settlement, Store,
    StoreError, WorkerBeat,
};

mod enqueue;
mod feed;
mod gate;
mod guard;
mod lease;
mod link;
mod list;
mod memory;
mod read;
mod record;
mod reply;
mod reserve;
mod script;
mod settle;
mod shared;
mod wake;

/// Jobs that an operator acts upon in one call.
const ACT_JOBS_MAX: usize = 500;
/// The longest name of a namespace.
pub const NAMESPACE_CHARS_MAX: usize = 40;

/// Whether a namespace may be called so: 1 to [`NAMESPACE_CHARS_MAX`] of `a-z 0-9 _ -`.
pub fn is_namespace(name: &str) -> bool {
    (1..=NAMESPACE_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// Where the carrier is, and what it keeps.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port/db`, `rediss:` with TLS.
    pub url: String,
    /// Several installations share a server under different names. 1 to 40 of `a-z 0-9 _ -`.
    pub namespace: String,
    /// Completed jobs kept in each queue; dead and cancelled ones are kept until they are pruned.
    pub completed_jobs_max: u64,
    /// Bytes of their records, about 250 a job.
    pub completed_bytes_max: u64,
    /// Until an answer comes, or the connection is held to be lost. A server that loads its file or forks for a
    /// rewrite is slow, not dead.
    pub answer_max: Duration,
}

impl RedisSettings {
    pub fn new(url: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: namespace.into(),
            completed_jobs_max: 100_000,
            completed_bytes_max: 64 * 1024 * 1024,
            answer_max: Duration::from_secs(15),
        }
    }
}

/// The carrier in a namespace of a Redis server. Clones share it and its connections.
#[derive(Clone)]
pub struct RedisStore(Arc<Parts>);

struct Parts {
    shared: Arc<Shared>,
    enqueuer: Enqueuer,
    asks: Asks,
    ends: Arc<Ends>,
    full_looks: FullLooks,
    promises: Vec<String>,
    /// Ends the task that waits for work.
    _closing: DropGuard,
}

impl RedisStore {
    /// Connects, and looks whether the server may carry jobs. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be reached or refuses us; `Invalid` when its settings would lose jobs or the
    /// namespace is no name; `Unreadable` when the namespace is of another build. The message says what to do.
    pub async fn open(settings: RedisSettings, clock: Clock) -> Result<Self, StoreError> {
        let RedisSettings { url, namespace, completed_jobs_max, completed_bytes_max, answer_max } = settings;
        if !is_namespace(&namespace) {
            return Err(StoreError::Invalid(format!(
                "{namespace:?} is no namespace: 1 to {NAMESPACE_CHARS_MAX} characters of a-z 0-9 _ -"
            )));
        }
        let prefix = format!("{{windlass:{namespace}}}:");
        let link = Link::new(&url, answer_max)?;
        let promises = guard::look_at(&link, &prefix).await?;
        link.load().await?;
        let shared = Arc::new(Shared::new(link, prefix, clock));
        shared.read_time().await?;
        let waiters = Arc::new(Waiters::default());
        let closing = CancellationToken::new();
        tokio::spawn(wake::keep_waking(shared.clone(), waiters.clone(), closing.clone()));
        let ends = Arc::new(Ends { shared: shared.clone(), completed_jobs_max, completed_bytes_max });
        Ok(Self(Arc::new(Parts {
            enqueuer: Enqueuer::start(shared.clone()),
            asks: Asks::new(shared.clone(), waiters, ends.clone()),
            ends,
            full_looks: FullLooks::default(),
            promises,
            shared,
            _closing: closing.drop_guard(),
        })))
    }

    /// What the server is, and what its settings promise, in words.
    pub fn promises(&self) -> &[String] {
        &self.0.promises
    }
}

#[async_trait]
impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.0.enqueuer.enqueue(prepared::prepare(jobs)?).await
    }

    async fn reserve(&self, ask: Ask) -> Result<Reserved, StoreError> {
        prepared::check_ask(&ask)?;
        self.0.asks.reserve(ask).await
    }

    async fn await_returns(&self) {
        self.0.asks.await_returns().await;
    }

    async fn settle(&self, queue: &str, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        self.0.ends.settle(queue, settlements).await
    }

    async fn renew(&self, queue: &str, held: Vec<Held>, lease: Duration) -> Result<Renewed, StoreError> {
        at_most("leases", held.len(), "SETTLE_ITEMS_MAX", SETTLE_ITEMS_MAX)?;
        lease::renew(&self.0.shared, queue, held, lease).await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        lease::reap(&self.0.shared, &self.0.full_looks).await
    }

    async fn act(&self, action: Action, ids: Vec<JobId>) -> Result<Vec<Acted>, StoreError> {
        at_most("jobs", ids.len(), "ENQUEUE_ITEMS_MAX", ENQUEUE_ITEMS_MAX)?;
        let reply = Reply::of("act");
        let name = match action {
            Action::Cancel => "cancel",
            Action::Retry => "retry",
            Action::Promote => "promote",
            Action::Delete => "delete",
        };
        let mut acted = Vec::with_capacity(ids.len());
        for some in ids.chunks(ACT_JOBS_MAX) {
            let mut call = self.0.shared.call(&script::ACT);
            call.arg(name);
            for id in some {
                call.text(&stored_id(id));
            }
            for answer in reply.list(self.0.shared.run(&call).await?)? {
                acted.push(match reply.text(answer)?.as_str() {
                    "done" => Acted::Done,
                    "asked" => Acted::Asked,
                    "missing" => Acted::Missing,
                    state => Acted::NotIn(record::state(state).ok_or_else(|| reply.wrong())?),
                });
            }
        }
        Ok(acted)
    }

    async fn get(&self, id: &JobId) -> Result<Option<JobView>, StoreError> {
        Ok(read::views(&self.0.shared, &[stored_id(id)]).await?.pop().flatten())
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        at_most("jobs", ids.len(), "ENQUEUE_ITEMS_MAX", ENQUEUE_ITEMS_MAX)?;
        read::states(&self.0.shared, &ids).await
    }

    async fn list(&self, filter: Filter) -> Result<Page, StoreError> {
        list::list(&self.0.shared, &filter).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, StoreError> {
        read::stats(&self.0.shared).await
    }

    async fn audit(&self) -> Result<Vec<QueueAudit>, StoreError> {
        read::audit(&self.0.shared).await
    }

    async fn pause(&self, queue: &str, pause: Option<Pause>) -> Result<(), StoreError> {
        gate::pause(&self.0.shared, queue, pause).await
    }

    async fn set_gate(&self, queue: &str, rules: GateRules) -> Result<(), StoreError> {
        gate::set_rules(&self.0.shared, queue, &rules).await
    }

    async fn beat(&self, beat: WorkerBeat) -> Result<(), StoreError> {
        feed::beat(&self.0.shared, &beat).await
    }

    async fn workers(&self, age_max: Duration) -> Result<Vec<WorkerBeat>, StoreError> {
        feed::workers(&self.0.shared, age_max).await
    }

    async fn cursor(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
        let reply = Reply::of("HGET");
        let cursors = format!("{}cursors", self.0.shared.prefix);
        let at = self.0.shared.link.ask(redis::cmd("HGET").arg(cursors).arg(schedule)).await?;
        reply.maybe_text(at)?.map(|at| reply.time(&at)).transpose()
    }

    async fn move_cursor(
        &self,
        schedule: &str,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut call = self.0.shared.call(&script::MOVE_CURSOR);
        let from = from.map(|from| from.micros().to_string()).unwrap_or_default();
        call.text(schedule).text(&from).arg(to.micros());
        Ok(Reply::of("move_cursor").number(&self.0.shared.run(&call).await?)? == 1)
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        feed::events(&self.0.shared, after, limit).await
    }

    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        let (reply, now) = (Reply::of("prune"), self.0.shared.now());
        let mut all = 0;
        for queue in read::queues(&self.0.shared).await? {
            loop {
                let mut call = self.0.shared.call(&script::PRUNE);
                call.text(&queue)
                    .arg(retention.jobs_max)
                    .arg((now - retention.completed_age_max).micros())
                    .arg((now - retention.dead_age_max).micros())
                    .arg(self.0.ends.completed_bytes_max);
                match reply.number(&self.0.shared.run(&call).await?)? {
                    0 => break,
                    slice => all += slice,
                }
            }
        }
        Ok(all)
    }

    async fn claim(&self, owner: &str) -> Result<Claim, StoreError> {
        let reply = Reply::of("claim");
        let mut call = self.0.shared.call(&script::CLAIM);
        call.text(owner);
        let mut answer = reply.list(self.0.shared.run(&call).await?)?.into_iter();
        let (Some(known), Some(fresh)) = (answer.next(), answer.next()) else { return Err(reply.wrong()) };
        match (reply.text(known)?, reply.number(&fresh)?) {
            (known, _) if known != owner => Err(StoreError::claimed_by_another(&known, owner)),
            (_, 1) => Ok(Claim::New),
            _ => Ok(Claim::Known),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.shared.run(&self.0.shared.call(&script::PING)).await.map(drop)
    }
}
