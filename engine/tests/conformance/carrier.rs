//! A carrier to try, with a clock that stands still until a test moves it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use tempfile::TempDir;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{
    Ask, Counts, Delivery, End, Enqueued, FaultCause, JobFault, JobView, QueueStats, Reserved, Settled,
    Settlement,
};
use windlass_engine::{Clock, Envelope, JobId, NewJob, Priority, State, Store, Timestamp};
use windlass_servers::Redis;

pub const QUEUE: &str = "orders";
pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);
/// Longer than any test takes: a lease that does not end.
pub const LONG: Duration = Duration::from_secs(600);
pub const MINUTE: Duration = Duration::from_secs(60);

pub struct Carrier {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Whether a job stands among those of its priority by when it was due; otherwise by when it became ready.
    pub orders_by_due_time: bool,
    /// Goes with the test.
    _folder: Option<TempDir>,
}

impl Carrier {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(NOON);
        let store = SqliteStore::open(folder.path().join("queue.db"), clock.clone()).unwrap();
        Self { store: Arc::new(store), clock, orders_by_due_time: true, _folder: Some(folder) }
    }

    /// In a namespace of its own on a server that the tests of the process share.
    pub async fn redis() -> Self {
        let clock = Clock::by_hand(NOON);
        let settings = RedisSettings::new(Redis::shared(), Redis::fresh_namespace());
        let store = RedisStore::open(settings, clock.clone()).await.unwrap();
        Self { store: Arc::new(store), clock, orders_by_due_time: false, _folder: None }
    }

    pub async fn add(&self, job: NewJob) -> Enqueued {
        self.store.enqueue(vec![job]).await.unwrap().remove(0)
    }

    /// Adds jobs of the queue under the given ids, each of which is new.
    pub async fn add_all(&self, ids: &[&str]) {
        for answer in self.store.enqueue(ids.iter().map(|id| job(id)).collect()).await.unwrap() {
            assert_eq!(answer, Enqueued::New);
        }
    }

    pub async fn ask(&self, ask: Ask) -> Reserved {
        self.store.reserve(ask).await.unwrap()
    }

    pub async fn take(&self, jobs_max: u32) -> Vec<Delivery> {
        self.ask(ask(jobs_max)).await.deliveries
    }

    pub async fn take_one(&self) -> Delivery {
        let mut taken = self.take(1).await;
        assert_eq!(taken.len(), 1, "a job is ready");
        taken.remove(0)
    }

    pub async fn end(&self, delivery: &Delivery, end: End) -> Settled {
        self.settle(settlement(delivery, end)).await
    }

    pub async fn settle(&self, settlement: Settlement) -> Settled {
        self.store.settle(QUEUE, vec![settlement]).await.unwrap()[0]
    }

    pub async fn view(&self, id: &str) -> JobView {
        self.store.get(&id_of(id)).await.unwrap().expect("the job is known")
    }

    pub async fn state(&self, id: &str) -> Option<State> {
        self.store.states(vec![id_of(id)]).await.unwrap()[0]
    }

    pub async fn stats(&self) -> QueueStats {
        let all = self.store.stats().await.unwrap();
        all.into_iter().find(|stats| stats.queue == QUEUE).expect("the queue is known")
    }

    pub async fn counts(&self) -> Counts {
        self.stats().await.counts
    }

    pub async fn assert_balanced(&self) {
        for audit in self.store.audit().await.unwrap() {
            assert!(audit.balanced(), "the books do not balance: {audit:?}");
        }
    }
}

pub fn id_of(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

pub fn job(id: &str) -> NewJob {
    NewJob {
        id: id_of(id),
        queue: QUEUE.into(),
        priority: Priority::Normal,
        run_at: None,
        unique: None,
        deadline_at: None,
        envelope: Envelope::new("toy", to_raw_value(&serde_json::json!({ "toy": id })).unwrap()),
    }
}

/// An ask that does not wait and whose lease does not end.
pub fn ask(jobs_max: u32) -> Ask {
    Ask { queue: QUEUE.into(), worker: "w1".into(), jobs_max, lease: LONG, wait: Duration::ZERO }
}

pub fn settlement(delivery: &Delivery, end: End) -> Settlement {
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}

pub fn completed() -> End {
    End::Completed { result: None, follow_ups: Vec::new() }
}

pub fn fault(message: &str) -> JobFault {
    JobFault { attempt: 1, at: NOON, cause: FaultCause::Error, message: message.into() }
}

pub fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
}

/// Waits until `claim` holds; a test that waits in vain fails after ten seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut claim: impl FnMut() -> F) {
    let waiting = async {
        while !claim().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "in vain: {what}");
}
