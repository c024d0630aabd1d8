//! Several carriers as one: each job on one of them, found again wherever it is, and no less safe.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use windlass_engine::gate::{GateRules, Rate};
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::spread::SpreadStore;
use windlass_engine::store::{
    Acted, Action, Ask, Delivery, End, Enqueued, Filter, Held, Settled, Settlement, StoreError,
};
use windlass_engine::{Clock, Envelope, JobId, NewJob, Priority, State, Store, Unique};
use windlass_servers::Redis;

const QUEUE: &str = "orders";
const LEASE: Duration = Duration::from_secs(600);

async fn carrier(url: &str) -> Arc<dyn Store> {
    let settings = RedisSettings::new(url, Redis::fresh_namespace());
    Arc::new(RedisStore::open(settings, Clock::system()).await.unwrap())
}

/// Three carriers, apart and as one.
async fn three() -> (Vec<Arc<dyn Store>>, SpreadStore) {
    let mut carriers = Vec::new();
    for _ in 0..3 {
        carriers.push(carrier(Redis::shared()).await);
    }
    let spread = SpreadStore::over(carriers.clone()).unwrap();
    (carriers, spread)
}

fn id(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

fn job(name: &str) -> NewJob {
    NewJob {
        id: id(name),
        queue: QUEUE.into(),
        priority: Priority::Normal,
        run_at: None,
        unique: None,
        deadline_at: None,
        envelope: Envelope::new("toy", to_raw_value(&name).unwrap()),
    }
}

fn jobs(n: usize) -> Vec<NewJob> {
    (0..n).map(|n| job(&format!("j{n}"))).collect()
}

fn ask(jobs_max: u32, wait: Duration) -> Ask {
    Ask { queue: QUEUE.into(), worker: "w1".into(), jobs_max, lease: LEASE, wait }
}

fn done(delivery: &Delivery) -> Settlement {
    let end = End::Completed { result: None, follow_ups: Vec::new() };
    Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
}

async fn take_all(store: &dyn Store) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let some = store.reserve(ask(50, Duration::ZERO)).await.unwrap().deliveries;
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_carrier_has_its_share_and_every_job_is_done_once() {
    let (carriers, spread) = three().await;
    let answers = spread.enqueue(jobs(300)).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == Enqueued::New));
    for carrier in &carriers {
        let ready = carrier.stats().await.unwrap()[0].counts.ready;
        assert!((60..140).contains(&ready), "{ready} of 300 jobs on one of three");
    }
    let taken = take_all(&spread).await;
    let distinct: BTreeSet<&str> = taken.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!((taken.len(), distinct.len()), (300, 300));

    let ends: Vec<Settlement> = taken.iter().map(done).collect();
    assert_eq!(spread.settle(QUEUE, ends.clone()).await.unwrap(), vec![Settled::Done; 300]);
    assert_eq!(
        spread.settle(QUEUE, ends).await.unwrap(),
        vec![Settled::FencedOut; 300],
        "an end counts once"
    );
    assert_eq!(spread.stats().await.unwrap()[0].counts.completed, 300);
    assert!(spread.audit().await.unwrap().iter().all(|audit| audit.balanced()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_goes_where_the_first_went() {
    let (_, spread) = three().await;
    spread.enqueue(jobs(50)).await.unwrap();
    let again = spread.enqueue(jobs(50)).await.unwrap();
    assert!(again.iter().all(|answer| matches!(answer, Enqueued::Exists { state: State::Ready, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_is_held_over_all_carriers_and_its_job_is_found() {
    let (_, spread) = three().await;
    for key in 0..20 {
        let unique = |name: String| NewJob {
            unique: Some(Unique { key: format!("k{key}"), window: None }),
            ..job(&name)
        };
        let first = unique(format!("first-{key}"));
        assert_eq!(spread.enqueue(vec![first.clone()]).await.unwrap(), [Enqueued::New]);
        let second = spread.enqueue(vec![unique(format!("second-{key}"))]).await.unwrap();
        assert_eq!(second, [Enqueued::Duplicate { of: first.id.clone() }]);
        // It lives where its key says, not where its id would.
        assert_eq!(spread.get(&first.id).await.unwrap().unwrap().state, State::Ready);
        assert_eq!(
            spread.act(Action::Cancel, vec![first.id.clone(), id("nobody")]).await.unwrap(),
            [Acted::Done, Acted::Missing]
        );
        assert_eq!(
            spread.states(vec![id("nobody"), first.id]).await.unwrap(),
            [None, Some(State::Cancelled)]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_that_waits_is_woken_from_any_carrier() {
    let (_, spread) = three().await;
    let spread = Arc::new(spread);
    for n in 0..12 {
        let waiter = tokio::spawn({
            let spread = Arc::clone(&spread);
            async move { spread.reserve(ask(10, LEASE)).await }
        });
        spread.enqueue(vec![job(&format!("j{n}"))]).await.unwrap();
        let taken = tokio::time::timeout(Duration::from_secs(20), waiter).await.unwrap().unwrap().unwrap();
        assert_eq!(taken.deliveries.len(), 1);
        spread.settle(QUEUE, vec![done(&taken.deliveries[0])]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_where_they_were_given() {
    let (_, spread) = three().await;
    spread.enqueue(jobs(30)).await.unwrap();
    let taken = take_all(&spread).await;
    spread.settle(QUEUE, vec![done(&taken[0])]).await.unwrap();
    let held = |delivery: &Delivery| Held { id: delivery.id.clone(), token: delivery.token, notes: None };
    let renewed = spread.renew(QUEUE, taken.iter().map(held).collect(), LEASE).await.unwrap();
    assert_eq!(renewed.lost, [(taken[0].id.clone(), taken[0].token)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_through_all_carriers() {
    let (_, spread) = three().await;
    spread.enqueue(jobs(40)).await.unwrap();
    let mut filter = Filter { limit: 7, ..Filter::default() };
    let mut seen = BTreeSet::new();
    loop {
        let page = spread.list(filter.clone()).await.unwrap();
        assert!(page.jobs.len() <= 7);
        seen.extend(page.jobs.into_iter().map(|job| job.id.to_string()));
        let Some(cursor) = page.cursor else { break };
        filter.cursor = Some(cursor);
    }
    assert_eq!(seen.len(), 40);
    let made_up = Filter { limit: 1, cursor: Some("yesterday".into()), ..Filter::default() };
    assert!(matches!(spread.list(made_up).await, Err(StoreError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_is_divided_and_told_whole() {
    let (carriers, spread) = three().await;
    let rules = GateRules {
        rate: Some(Rate { jobs: 30, per_ms: 1_000, burst: 9 }),
        concurrency_max: Some(7),
        backlog_max: Some(100),
        breaker: None,
    };
    spread.set_gate(QUEUE, rules.clone()).await.unwrap();
    assert_eq!(spread.stats().await.unwrap()[0].gate.rules, rules);
    let caps: Vec<u32> = {
        let mut caps = Vec::new();
        for carrier in &carriers {
            caps.push(carrier.stats().await.unwrap()[0].gate.rules.concurrency_max.unwrap());
        }
        caps
    };
    assert_eq!((caps.iter().sum::<u32>(), caps.iter().min()), (7, Some(&2)));
    let too_small = GateRules { concurrency_max: Some(2), ..GateRules::default() };
    assert!(matches!(spread.set_gate(QUEUE, too_small).await, Err(StoreError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_away_takes_only_its_share_with_it() {
    let (mut one, other) = (Redis::start(), Redis::start());
    let spread = SpreadStore::over(vec![carrier(&one.url()).await, carrier(&other.url()).await]).unwrap();
    spread.enqueue(jobs(40)).await.unwrap();
    one.kill();
    let mut taken = 0;
    for _ in 0..20 {
        let some = spread.reserve(ask(10, Duration::ZERO)).await.unwrap().deliveries;
        taken += some.len();
        spread.settle(QUEUE, some.iter().map(done).collect()).await.unwrap();
    }
    assert!((5..40).contains(&taken), "{taken} jobs of the one that is there");
    assert!(spread.ping().await.is_err());
    one.start_again();
    let rest = async {
        while taken < 40 {
            let some = spread.reserve(ask(10, Duration::from_millis(200))).await.unwrap().deliveries;
            taken += some.len();
            spread.settle(QUEUE, some.iter().map(done).collect()).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_claimed_on_every_carrier() {
    let (carriers, spread) = three().await;
    spread.claim("ledger-1").await.unwrap();
    for carrier in &carriers {
        assert!(matches!(carrier.claim("ledger-2").await, Err(StoreError::Invalid(_))));
    }
    let swapped =
        SpreadStore::over(vec![carriers[1].clone(), carriers[0].clone(), carriers[2].clone()]).unwrap();
    assert!(swapped.claim("ledger-1").await.is_err(), "their order decides where a job lives");
    assert!(SpreadStore::over(carriers[..2].to_vec()).unwrap().claim("ledger-1").await.is_err());
    assert!(SpreadStore::over(carriers[..1].to_vec()).is_err());
}
