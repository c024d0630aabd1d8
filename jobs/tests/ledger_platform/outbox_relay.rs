//! What becomes of accepted jobs between the ledger and a real carrier.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{id, job};
use tokio_util::sync::CancellationToken;
use windlass_engine::gate::GateRules;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Action, Ask, End, FaultCause, JobFault, Settled, Settlement};
use windlass_engine::{JobId, NewJob, State, Store, StoreError, Unique};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::{HandedOver, OutboxCounts, OutboxState, Put, Relay, RelayError, RelaySettings};
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    accepted_jobs_are_handed_over_in_order,
    a_running_relay_hands_over_as_soon_as_a_job_is_accepted,
    a_wiped_carrier_gets_every_unfinished_job_again_and_no_finished_one,
    handing_over_twice_is_harmless,
    a_job_that_the_carrier_lost_is_handed_over_again,
    a_job_that_was_pruned_long_after_it_was_handed_over_does_not_run_again,
    a_dead_job_that_the_carrier_retries_lives_again_in_the_ledger,
    the_relay_does_not_bury_a_job_while_it_is_being_revived,
    dead_jobs_are_forgotten_after_their_time,
    the_outbox_tells_since_when_its_oldest_job_waits,
    a_full_queue_holds_up_only_its_own_jobs,
    a_key_that_another_job_holds_in_the_carrier_delays_and_does_not_lose,
    while_the_carrier_cannot_write_the_jobs_wait_in_the_ledger,
    another_program_may_insert_jobs_and_a_bad_row_stops_nobody,
}

async fn the_outbox_tells_since_when_its_oldest_job_waits(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    assert_eq!(ledger.outbox_waiting_since().await.unwrap(), None);
    let first_at = place.clock.now();
    accept(&ledger, &["first"]).await;
    place.clock.advance(Duration::from_secs(90));
    accept(&ledger, &["second"]).await;
    assert_eq!(ledger.outbox_waiting_since().await.unwrap(), Some(first_at));
    relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(ledger.outbox_waiting_since().await.unwrap(), None, "what was handed over waits no more");
}

fn carrier(place: &Place, name: &str) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(place.path(name), place.clock.clone()).unwrap())
}

fn relay(ledger: &Ledger, store: &Arc<dyn Store>) -> Relay {
    Relay::new(ledger.clone(), store.clone(), RelaySettings::default())
}

async fn accept(ledger: &Ledger, ids: &[&str]) {
    let puts = ledger.accept(ids.iter().map(|id| job(id)).collect()).await.unwrap();
    assert_eq!(puts, vec![Put::New; ids.len()]);
}

/// Runs the next job to its end. The id of the job.
async fn run_one(store: &Arc<dyn Store>, end: impl Fn() -> End) -> JobId {
    let ask = Ask {
        queue: "orders".to_owned(),
        worker: "w".to_owned(),
        jobs_max: 1,
        lease: Duration::from_secs(15),
        wait: Duration::from_secs(10),
    };
    let delivery = store.reserve(ask).await.unwrap().deliveries.pop().expect("a job is ready");
    let settlement =
        Settlement { id: delivery.id.clone(), token: delivery.token, end: end(), outage: false, notes: None };
    assert_eq!(store.settle("orders", vec![settlement]).await.unwrap(), [Settled::Done]);
    delivery.id
}

fn completed() -> End {
    End::Completed { result: None, follow_ups: Vec::new() }
}

fn dead() -> End {
    let (attempt, at, cause) = (1, windlass_testing::NOON, FaultCause::Error);
    End::Dead { fault: JobFault { attempt, at, cause, message: "no".to_owned() } }
}

async fn states(store: &Arc<dyn Store>, ids: &[&str]) -> Vec<Option<State>> {
    store.states(ids.iter().map(|text| id(text)).collect()).await.unwrap()
}

async fn accepted_jobs_are_handed_over_in_order(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    let ids: Vec<String> = (0..700).map(|n| format!("j{n}")).collect();
    for id in &ids[..3] {
        accept(&ledger, &[id]).await;
    }
    accept(&ledger, &ids[3..].iter().map(String::as_str).collect::<Vec<_>>()).await;
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { taken: 700, ..HandedOver::default() });
    for expected in &ids {
        assert_eq!(run_one(&store, completed).await.as_str(), expected);
    }
    assert_eq!(
        ledger.outbox_counts().await.unwrap(),
        OutboxCounts { handed_over: 700, ..Default::default() }
    );
}

async fn a_running_relay_hands_over_as_soon_as_a_job_is_accepted(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["before"]).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(relay(&ledger, &store).run(stop.clone()));
    assert_eq!(run_one(&store, completed).await.as_str(), "before");
    let began = place.clock.wall();
    for n in 0..20 {
        let name = format!("j{n}");
        if n % 2 == 0 {
            accept(&ledger, &[&name]).await;
        } else {
            let mut tx = ledger.begin().await.unwrap();
            tx.enqueue(&job(&name)).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert_eq!(run_one(&store, completed).await.as_str(), name);
    }
    let took = place.clock.wall().since(began);
    assert!(
        took < Duration::from_secs(10),
        "woken, not found by looks of which each is a second apart: {took:?}"
    );
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
}

async fn a_wiped_carrier_gets_every_unfinished_job_again_and_no_finished_one(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["reported", "found", "dead", "open", "late"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    let reported = run_one(&store, completed).await;
    ledger.finished(vec![reported]).await.unwrap();
    // Nobody reports these two: the sweep finds out.
    run_one(&store, completed).await;
    run_one(&store, dead).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(
        ledger.outbox_counts().await.unwrap(),
        OutboxCounts { handed_over: 2, dead: 1, ..Default::default() }
    );

    let wiped = carrier(&place, "fresh.db");
    let handed = relay(&ledger, &wiped).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { taken: 2, ..HandedOver::default() });
    assert_eq!(
        states(&wiped, &["reported", "found", "dead", "open", "late"]).await,
        [None, None, None, Some(State::Ready), Some(State::Ready)]
    );
    // And the dead one when somebody wants it again, although the carrier has forgotten it.
    assert!(ledger.revive(&id("dead")).await.unwrap());
    hand_over_until(&ledger, &wiped, &["dead"]).await;
}

async fn handing_over_twice_is_harmless(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["a", "b", "c"]).await;
    // A relay that died before it could write down what the carrier had taken; one job is over since.
    store.enqueue(vec![job("a"), job("b")]).await.unwrap();
    assert_eq!(run_one(&store, completed).await.as_str(), "a");
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { taken: 1, known: 2, over: 1, ..HandedOver::default() });
    assert!(ledger.outbox_job(&id("a")).await.unwrap().is_none());
    let (first, second) = (relay(&ledger, &store), relay(&ledger, &store));
    let (first, second) = tokio::join!(first.hand_over_all(), second.hand_over_all());
    assert_eq!(first.unwrap().taken + second.unwrap().taken, 0);
    assert_eq!(store.stats().await.unwrap()[0].counts.accepted, 3);
}

async fn a_job_that_the_carrier_lost_is_handed_over_again(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["lost", "kept"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    // The carrier's mark survives and a job does not: as Redis does that lost its last second of writes.
    store.act(Action::Cancel, vec![id("lost")]).await.unwrap();
    store.act(Action::Delete, vec![id("lost")]).await.unwrap();
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { lost: 1, taken: 1, ..HandedOver::default() });
    assert_eq!(states(&store, &["lost", "kept"]).await, [Some(State::Ready), Some(State::Ready)]);
}

async fn a_job_that_was_pruned_long_after_it_was_handed_over_does_not_run_again(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["a"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    // It completes, the report is lost, and everything is switched off until the carrier has pruned it.
    run_one(&store, completed).await;
    place.clock.advance(RelaySettings::default().kept_age_min + Duration::from_secs(1));
    store.act(Action::Delete, vec![id("a")]).await.unwrap();
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { over: 1, ..HandedOver::default() });
    assert_eq!(states(&store, &["a"]).await, [None]);
    assert!(ledger.outbox_job(&id("a")).await.unwrap().is_none());
}

async fn a_dead_job_that_the_carrier_retries_lives_again_in_the_ledger(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["a"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    ledger.died(vec![run_one(&store, dead).await]).await.unwrap();
    assert_eq!(ledger.outbox_job(&id("a")).await.unwrap().unwrap().state, OutboxState::Dead);
    store.act(Action::Retry, vec![id("a")]).await.unwrap();
    relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(ledger.outbox_job(&id("a")).await.unwrap().unwrap().state, OutboxState::Live);
    relay(&ledger, &carrier(&place, "fresh.db")).hand_over_all().await.unwrap();
    let counts = ledger.outbox_counts().await.unwrap();
    assert_eq!(counts, OutboxCounts { handed_over: 1, ..Default::default() });
}

async fn the_relay_does_not_bury_a_job_while_it_is_being_revived(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["a"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    ledger.died(vec![run_one(&store, dead).await]).await.unwrap();
    assert!(ledger.revive(&id("a")).await.unwrap());
    relay(&ledger, &store).hand_over_all().await.unwrap();
    store.act(Action::Retry, vec![id("a")]).await.unwrap();
    let handed_over = async {
        while ledger.outbox_job(&id("a")).await.unwrap().unwrap().handed_at.is_none() {
            relay(&ledger, &store).hand_over_all().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), handed_over).await.expect("the grace ends");
    assert_eq!(ledger.outbox_job(&id("a")).await.unwrap().unwrap().state, OutboxState::Live);
    assert_eq!(states(&store, &["a"]).await, [Some(State::Ready)]);
}

async fn dead_jobs_are_forgotten_after_their_time(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    accept(&ledger, &["a"]).await;
    relay(&ledger, &store).hand_over_all().await.unwrap();
    ledger.died(vec![run_one(&store, dead).await]).await.unwrap();
    place.clock.advance(RelaySettings::default().dead_age_max - Duration::from_secs(1));
    relay(&ledger, &store).hand_over_all().await.unwrap();
    assert!(ledger.outbox_job(&id("a")).await.unwrap().is_some());
    place.clock.advance(Duration::from_secs(2));
    relay(&ledger, &store).hand_over_all().await.unwrap();
    assert!(ledger.outbox_job(&id("a")).await.unwrap().is_none());
}

async fn a_full_queue_holds_up_only_its_own_jobs(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    store.set_gate("orders", GateRules { backlog_max: Some(1), ..GateRules::default() }).await.unwrap();
    accept(&ledger, &["a", "b"]).await;
    ledger.accept(vec![job("m").queue("mail")]).await.unwrap();
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { taken: 2, held_up: 1, ..HandedOver::default() });
    assert_eq!(states(&store, &["a", "b", "m"]).await, [Some(State::Ready), None, Some(State::Ready)]);
    run_one(&store, completed).await;
    hand_over_until(&ledger, &store, &["b"]).await;
}

async fn a_key_that_another_job_holds_in_the_carrier_delays_and_does_not_lose(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    let keyed =
        |text: &str| NewJob { unique: Some(Unique { key: "SO-1".to_owned(), window: None }), ..job(text) };
    store.enqueue(vec![keyed("holder")]).await.unwrap();
    ledger.accept(vec![keyed("a")]).await.unwrap();
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { held_up: 1, ..HandedOver::default() });
    assert_eq!(run_one(&store, completed).await.as_str(), "holder");
    hand_over_until(&ledger, &store, &["a"]).await;
}

/// Held-up and revived rows are tried again after a moment of wall time.
async fn hand_over_until(ledger: &Ledger, store: &Arc<dyn Store>, ids: &[&str]) {
    let all_there = async {
        loop {
            relay(ledger, store).hand_over_all().await.unwrap();
            if states(store, ids).await.iter().all(Option::is_some) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_there).await.expect("the rows go once they can");
}

async fn while_the_carrier_cannot_write_the_jobs_wait_in_the_ledger(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let big = |n: u32| NewJob {
        envelope: windlass_engine::Envelope::new(
            "check_order",
            serde_json::value::to_raw_value(&"x".repeat(32 * 1024)).unwrap(),
        ),
        ..job(&format!("j{n}"))
    };
    ledger.accept((0..64).map(big).collect()).await.unwrap();
    {
        let full = SqliteStore::open_bounded(place.path("queue.db"), place.clock.clone(), Some(1024 * 1024));
        let full: Arc<dyn Store> = Arc::new(full.unwrap());
        let failed = relay(&ledger, &full).hand_over_all().await;
        assert!(matches!(failed, Err(RelayError::Carrier(StoreError::Unavailable(_)))), "{failed:?}");
        assert_eq!(ledger.outbox_counts().await.unwrap(), OutboxCounts { waiting: 64, ..Default::default() });
    }
    let roomy = carrier(&place, "roomy.db");
    assert_eq!(relay(&ledger, &roomy).hand_over_all().await.unwrap().taken, 64);
}

async fn another_program_may_insert_jobs_and_a_bad_row_stops_nobody(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place, "queue.db"));
    let mut tx = ledger.begin().await.unwrap();
    for (id, envelope) in [
        ("bad-json", "{"),
        ("bad id", r#"{"v":1,"kind":"noop","payload":{}}"#),
        ("good", r#"{"v":1,"kind":"noop","payload":{"from":"django"}}"#),
    ] {
        sqlx::query("INSERT INTO outbox (id, kind, queue, envelope) VALUES ($1, 'noop', 'orders', $2)")
            .bind(id)
            .bind(envelope)
            .execute(tx.conn())
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let handed = relay(&ledger, &store).hand_over_all().await.unwrap();
    assert_eq!(handed, HandedOver { taken: 1, refused: 2, ..HandedOver::default() });
    assert_eq!(states(&store, &["good"]).await, [Some(State::Ready)]);
    let counts = OutboxCounts { handed_over: 1, refused: 2, ..Default::default() };
    assert_eq!(ledger.outbox_counts().await.unwrap(), counts);
}
