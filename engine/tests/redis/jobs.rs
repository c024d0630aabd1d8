//! Stores, jobs and what is asked of them, as these tests use them.

use std::time::Duration;

use serde_json::value::to_raw_value;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::{Ask, Delivery, End, Enqueued, Held, Settled, Settlement};
use windlass_engine::{Clock, Envelope, JobId, NewJob, Priority, State, Store, StoreError};
use windlass_servers::Redis;

pub const QUEUE: &str = "orders";
/// Longer than any test takes: a lease that does not end, a wait that something else ends.
pub const LONG: Duration = Duration::from_secs(600);
/// A promise that is kept at once is kept within this; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// In a namespace that no other test has.
pub fn settings(url: impl Into<String>) -> RedisSettings {
    RedisSettings::new(url, Redis::fresh_namespace())
}

pub async fn open(settings: RedisSettings) -> RedisStore {
    RedisStore::open(settings, Clock::system()).await.unwrap()
}

pub fn id_of(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

pub fn job(id: &str) -> NewJob {
    sized_job(id, 10)
}

pub fn sized_job(id: &str, payload_bytes: usize) -> NewJob {
    NewJob {
        id: id_of(id),
        queue: QUEUE.into(),
        priority: Priority::Normal,
        run_at: None,
        unique: None,
        deadline_at: None,
        envelope: Envelope::new("toy", to_raw_value(&"x".repeat(payload_bytes)).unwrap()),
    }
}

/// Jobs `prefix-0` and so on.
pub fn jobs(prefix: &str, n: usize) -> Vec<NewJob> {
    (0..n).map(|k| job(&format!("{prefix}-{k}"))).collect()
}

/// Hands them in, each of which is new.
pub async fn add(store: &RedisStore, jobs: Vec<NewJob>) {
    for answer in store.enqueue(jobs).await.unwrap() {
        assert_eq!(answer, Enqueued::New);
    }
}

/// An ask that does not wait and whose lease does not end.
pub fn ask(jobs_max: u32) -> Ask {
    Ask { queue: QUEUE.into(), worker: "w1".into(), jobs_max, lease: LONG, wait: Duration::ZERO }
}

pub async fn take(store: &RedisStore, jobs_max: u32) -> Vec<Delivery> {
    store.reserve(ask(jobs_max)).await.unwrap().deliveries
}

pub async fn take_one(store: &RedisStore) -> Delivery {
    let mut taken = take(store, 1).await;
    assert_eq!(taken.len(), 1, "a job is ready");
    taken.remove(0)
}

pub fn completed(delivery: &Delivery) -> Settlement {
    let end = End::Completed { result: None, follow_ups: Vec::new() };
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}

pub async fn complete(store: &RedisStore, taken: &[Delivery]) -> Vec<Settled> {
    store.settle(QUEUE, taken.iter().map(completed).collect()).await.unwrap()
}

pub fn held(delivery: &Delivery) -> Held {
    Held { id: delivery.id.clone(), token: delivery.token, notes: None }
}

pub async fn state(store: &RedisStore, id: &str) -> Option<State> {
    store.states(vec![id_of(id)]).await.unwrap()[0]
}

pub fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
}

/// Asks as a worker does: again and again, also when the carrier cannot be reached, until there is a job.
pub async fn ask_until_there_is_one(store: RedisStore) -> Delivery {
    loop {
        match store.reserve(Ask { wait: LONG, ..ask(1) }).await {
            Ok(mut reserved) if !reserved.deliveries.is_empty() => return reserved.deliveries.remove(0),
            Ok(reserved) => panic!("the ask ended with nothing: {reserved:?}"),
            Err(StoreError::Unavailable(_)) => a_moment().await,
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub async fn assert_balanced(store: &RedisStore) {
    for audit in store.audit().await.unwrap() {
        assert!(audit.balanced(), "the books do not balance: {audit:?}");
    }
}

/// Between two looks at something that others change.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// Waits until `claim` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut claim: impl FnMut() -> F) {
    let waiting = async {
        while !claim().await {
            a_moment().await;
        }
    };
    soon(what, waiting).await;
}

/// What `promise` answers, which must come.
pub async fn soon<T>(what: &str, promise: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, promise).await {
        Ok(kept) => kept,
        Err(_) => panic!("in vain: {what}"),
    }
}
