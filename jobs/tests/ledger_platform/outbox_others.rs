//! Rows that another program puts into the outbox: `docs/guides/outbox.md`.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{id, job};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Priority, State, Store};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::{HandedOver, OutboxState, Put, Relay, RelaySettings};
use windlass_servers::psql;
use windlass_testing::{Engine, NOON, Place, on_every_engine};

on_every_engine! {
    id_kind_and_payload_make_a_job_of_its_kind,
    a_row_may_say_more_than_it_must,
    a_row_that_is_no_job_is_set_aside_with_the_reason_and_stops_nobody,
    jobs_of_one_key_wait_for_each_other,
    a_row_with_the_id_of_an_accepted_job_is_that_job,
}

async fn insert(ledger: &Ledger, columns: &str, values: &str) {
    let mut tx = ledger.begin().await.unwrap();
    let text = format!("INSERT INTO outbox ({columns}) VALUES ({values})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
}

fn carrier(place: &Place) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(place.path("queue.db"), place.clock.clone()).unwrap())
}

async fn hand_over(ledger: &Ledger, store: &Arc<dyn Store>) -> HandedOver {
    Relay::new(ledger.clone(), store.clone(), RelaySettings::default()).hand_over_all().await.unwrap()
}

async fn id_kind_and_payload_make_a_job_of_its_kind(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place));
    insert(&ledger, "id, kind, payload", r#"'django-1', 'sleep', '{"ms": 50}'"#).await;
    assert_eq!(hand_over(&ledger, &store).await, HandedOver { taken: 1, ..HandedOver::default() });
    let job = store.get(&id("django-1")).await.unwrap().unwrap();
    assert_eq!((job.queue.as_str(), job.state), ("diagnostics", State::Ready));
    assert_eq!(job.envelope.payload.get(), r#"{"ms": 50}"#);
    assert!(job.envelope.in_outbox, "its worker tells the outbox of its end");
    let row = ledger.outbox_job(&id("django-1")).await.unwrap().unwrap();
    assert_eq!((row.state, row.created_at), (OutboxState::Live, NOON));
    ledger.finished(vec![id("django-1")]).await.unwrap();
    assert!(ledger.outbox_job(&id("django-1")).await.unwrap().is_none());
}

async fn a_row_may_say_more_than_it_must(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place));
    let due = NOON + Duration::from_secs(60);
    let values = format!("'a', 'noop', '{{}}', 'mail', 'high', {}", due.micros());
    insert(&ledger, "id, kind, payload, queue, priority, run_at", &values).await;
    // A kind that another build knows.
    insert(&ledger, "id, kind, payload, queue", "'b', 'from_tomorrow', '[1]', 'orders'").await;
    let envelope = r#"'c', 'noop', '{"v":1,"kind":"noop","payload":{},"tags":["order:SO-1"]}'"#;
    insert(&ledger, "id, kind, envelope", envelope).await;
    assert_eq!(hand_over(&ledger, &store).await.taken, 3);
    let a = store.get(&id("a")).await.unwrap().unwrap();
    assert_eq!((a.queue.as_str(), a.priority, a.run_at), ("mail", Priority::High, due));
    assert_eq!(store.get(&id("b")).await.unwrap().unwrap().queue, "orders");
    assert_eq!(store.get(&id("c")).await.unwrap().unwrap().envelope.tags, ["order:SO-1"]);
}

async fn a_row_that_is_no_job_is_set_aside_with_the_reason_and_stops_nobody(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place));
    let bad = [
        ("no-json", "'sleep', '{'", "payload"),
        ("no-field", "'sleep', '{}'", "missing field `ms`"),
        ("other-field", r#"'sleep', '{"ms": 1, "much": 2}'"#, "unknown field `much`"),
        ("no-kind", "'slepe', '{}'", "no queue is named"),
        ("an id", "'noop', '{}'", "job id"),
    ];
    for (id, rest, _) in bad {
        insert(&ledger, "id, kind, payload", &format!("'{id}', {rest}")).await;
    }
    insert(&ledger, "id, kind, payload, priority", "'odd', 'noop', '{}', 'urgent'").await;
    insert(&ledger, "id, kind, payload", "'good', 'noop', '{}'").await;
    let handed = hand_over(&ledger, &store).await;
    assert_eq!(handed, HandedOver { taken: 1, refused: 6, ..HandedOver::default() });
    for (id, _, why) in bad {
        let (state, reason): (String, String) =
            sqlx::query_as("SELECT state, reason FROM outbox WHERE id = $1")
                .bind(id)
                .fetch_one(ledger.reads())
                .await
                .unwrap();
        assert_eq!(state, "refused", "{id}");
        assert!(reason.contains(why), "{id}: {reason}");
    }
    assert_eq!(hand_over(&ledger, &store).await, HandedOver::default(), "they are not looked at again");
}

async fn jobs_of_one_key_wait_for_each_other(engine: Engine) {
    let place = Place::new(engine);
    let (ledger, store) = (place.ledger().await, carrier(&place));
    for id in ["first", "second"] {
        insert(
            &ledger,
            "id, kind, payload",
            &format!("'{id}', 'check_supply', '{{\"order_no\": \"SO-1\"}}'"),
        )
        .await;
    }
    assert_eq!(
        hand_over(&ledger, &store).await,
        HandedOver { taken: 1, held_up: 1, ..HandedOver::default() }
    );
    assert_eq!(ledger.outbox_counts().await.unwrap().waiting, 1);
}

async fn a_row_with_the_id_of_an_accepted_job_is_that_job(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    insert(&ledger, "id, kind, payload", "'a', 'noop', '{}'").await;
    assert_eq!(ledger.accept(vec![job("a")]).await.unwrap(), [Put::Exists { fingerprint: None }]);
    insert(&ledger, "id, kind, payload", "'b', 'noop', '{}'").await;
    let mut tx = ledger.begin().await.unwrap();
    let again =
        "INSERT INTO outbox (id, kind, payload) VALUES ('b', 'noop', '{}') ON CONFLICT (id) DO NOTHING";
    assert_eq!(sqlx::raw_sql(again).execute(tx.conn()).await.unwrap().rows_affected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_insert_is_enough_and_a_row_of_neither_content_is_refused_at_once() {
    let place = Place::new(Engine::Postgres);
    let (ledger, store) = (place.ledger().await, carrier(&place));
    let role = format!("shop_{}", place.url().rsplit_once('/').unwrap().1);
    psql(&place.url(), &format!("CREATE ROLE {role} LOGIN; GRANT INSERT ON outbox TO {role}"));
    let as_role = place.url().replacen("windlass@", &format!("{role}@"), 1);
    psql(&as_role, "INSERT INTO outbox (id, kind, payload) VALUES ('a', 'noop', '{}')");
    assert_eq!(hand_over(&ledger, &store).await.taken, 1);
    for empty in
        ["(id, kind) VALUES ('b', 'noop')", "(id, kind, payload, envelope) VALUES ('b', 'noop', '{}', '{}')"]
    {
        let text = format!("INSERT INTO outbox {empty}");
        let refused = std::panic::catch_unwind(|| psql(&place.url(), &text)).unwrap_err();
        let said = refused.downcast_ref::<String>().unwrap();
        assert!(said.contains("outbox_one_content"), "{said}");
    }
    psql(&place.url(), &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
