//! What the ledger promises about its transactions and about jobs that it accepts.

use std::time::Duration;

use crate::job::{id, job};
use serde_json::{Value, json};
use sqlx::Row;
use windlass_engine::Unique;
use windlass_jobs::ledger::{Ledger, LedgerError, timeline};
use windlass_jobs::outbox::{OutboxState, Put};
use windlass_testing::{Engine, NOON, Place, on_every_engine};

on_every_engine! {
    a_change_and_its_job_happen_both_or_neither,
    an_accepted_job_comes_back_as_it_was_put,
    the_same_id_is_accepted_once_and_answers_with_its_fingerprint,
    a_unique_key_is_held_while_the_row_lives,
    a_job_over_the_bound_is_refused_and_takes_no_neighbour_with_it,
    more_jobs_than_one_transaction_holds_are_all_accepted_in_order,
    a_transaction_cut_off_anywhere_is_undone_and_blocks_nobody,
    a_full_ledger_refuses_more_and_takes_them_again_when_jobs_are_over,
}

async fn a_change_and_its_job_happen_both_or_neither(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    tx.event("SO-1", "state", "paid", &Value::Null).await.unwrap();
    assert_eq!(tx.enqueue(&job("a")).await.unwrap(), Put::New);
    drop(tx);
    assert!(ledger.outbox_job(&id("a")).await.unwrap().is_none());
    assert!(timeline(&ledger, "SO-1", 10, None).await.unwrap().events.is_empty());

    let mut tx = ledger.begin().await.unwrap();
    tx.on_behalf_of(&id("parent"));
    tx.event("SO-1", "state", "paid", &json!({"from": "pending"})).await.unwrap();
    assert_eq!(tx.enqueue(&job("a")).await.unwrap(), Put::New);
    tx.commit().await.unwrap();
    let row = ledger.outbox_job(&id("a")).await.unwrap().unwrap();
    assert_eq!((row.state, row.handed_at, row.created_at), (OutboxState::Live, None, NOON));
    let events = timeline(&ledger, "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events[0].text, "paid");
    assert_eq!(events[0].job_id.as_deref(), Some("parent"));
    assert_eq!(events[0].data, Some(json!({"from": "pending"})));
}

async fn an_accepted_job_comes_back_as_it_was_put(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut put = job("a").run_at(NOON).tag("order:SO-1").priority(windlass_engine::Priority::High);
    put.unique = Some(Unique { key: "SO-1".to_owned(), window: Some(Duration::from_secs(90)) });
    put.deadline_at = Some(NOON + Duration::from_secs(60));
    ledger.accept(vec![put.clone()]).await.unwrap();
    let row = ledger.outbox_job(&id("a")).await.unwrap().unwrap();
    // But for the mark by which its worker knows that the outbox wants to hear of its end.
    put.envelope.in_outbox = true;
    assert_eq!(serde_json::to_value(&row.job).unwrap(), serde_json::to_value(&put).unwrap());
}

async fn the_same_id_is_accepted_once_and_answers_with_its_fingerprint(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut first = job("a");
    first.envelope.fingerprint = Some("f1".to_owned());
    let exists = Put::Exists { fingerprint: Some("f1".to_owned()) };
    assert_eq!(ledger.accept(vec![first.clone(), job("a")]).await.unwrap(), [Put::New, exists.clone()]);
    assert_eq!(ledger.accept(vec![job("a")]).await.unwrap(), [exists]);
}

async fn a_unique_key_is_held_while_the_row_lives(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let keyed = |text: &str| {
        let mut job = job(text);
        job.unique = Some(Unique { key: "SO-1".to_owned(), window: None });
        job
    };
    let of_a = Put::Duplicate { of: id("a") };
    assert_eq!(ledger.accept(vec![keyed("a"), keyed("b")]).await.unwrap(), [Put::New, of_a.clone()]);
    let mut other_kind = keyed("c");
    other_kind.envelope.kind = "other".to_owned();
    assert_eq!(ledger.accept(vec![other_kind, keyed("d")]).await.unwrap(), [Put::New, of_a]);
    ledger.finished(vec![id("a")]).await.unwrap();
    assert_eq!(ledger.accept(vec![keyed("b")]).await.unwrap(), [Put::New]);
    // A dead job holds no key; it cannot come back while another one has it.
    ledger.died(vec![id("b")]).await.unwrap();
    assert_eq!(ledger.accept(vec![keyed("e")]).await.unwrap(), [Put::New]);
    assert!(!ledger.revive(&id("b")).await.unwrap());
    ledger.finished(vec![id("e")]).await.unwrap();
    assert!(ledger.revive(&id("b")).await.unwrap());
}

async fn a_job_over_the_bound_is_refused_and_takes_no_neighbour_with_it(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut big = job("big");
    big.envelope.payload = serde_json::value::to_raw_value(&"x".repeat(1024 * 1024)).unwrap();
    let (good, bad) = tokio::join!(ledger.accept(vec![job("a")]), ledger.accept(vec![job("b"), big]));
    assert_eq!(good.unwrap(), [Put::New]);
    assert!(matches!(bad, Err(LedgerError::Invalid(_))), "{bad:?}");
    assert!(ledger.outbox_job(&id("b")).await.unwrap().is_none());
}

async fn more_jobs_than_one_transaction_holds_are_all_accepted_in_order(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let jobs = (0..1_203).map(|n| job(&format!("j{n}"))).collect();
    assert_eq!(ledger.accept(jobs).await.unwrap(), vec![Put::New; 1_203]);
    let rows =
        sqlx::query("SELECT id FROM outbox ORDER BY position, id").fetch_all(ledger.reads()).await.unwrap();
    let ids: Vec<String> = rows.iter().map(|row| row.get("id")).collect();
    assert_eq!(ids, (0..1_203).map(|n| format!("j{n}")).collect::<Vec<_>>());
}

async fn a_transaction_cut_off_anywhere_is_undone_and_blocks_nobody(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for n in 0..60_u32 {
        let writing = tokio::spawn({
            let ledger = ledger.clone();
            async move {
                let mut tx = ledger.begin().await.unwrap();
                for event in 0.. {
                    tx.event("SO-1", "state", &event.to_string(), &Value::Null).await.unwrap();
                    tx.enqueue(&job(&format!("{n}-{event}"))).await.unwrap();
                }
            }
        });
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        writing.abort();
        assert!(writing.await.unwrap_err().is_cancelled());
    }
    let accepted = tokio::time::timeout(Duration::from_secs(10), ledger.accept(vec![job("after")])).await;
    assert_eq!(accepted.expect("the writer is free").unwrap(), [Put::New]);
    assert!(timeline(&ledger, "SO-1", 10, None).await.unwrap().events.is_empty());
    let row = sqlx::query("SELECT COUNT(*) AS n FROM outbox").fetch_one(ledger.reads()).await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), 1);
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived() {
    let place = Place::new(Engine::Sqlite);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(tx.conn()).await.unwrap();
    drop(tx);
    // SQLite answers "full" at this bound as it does when the disk is. The writer is one connection.
    let bound = async |pages: i64| {
        let mut tx = ledger.begin().await.unwrap();
        let text = format!("PRAGMA max_page_count = {pages}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
    };
    bound(pages + 8).await;
    let mut kept = 0;
    let refused = loop {
        match ledger.accept((0..100).map(|n| job(&format!("j{kept}-{n}"))).collect()).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_unavailable(), "{refused:?}");
    let rows = async || {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM outbox").fetch_one(ledger.reads()).await.unwrap();
        row.get::<i64, _>("n")
    };
    assert_eq!(rows().await, kept * 100, "of what was refused nothing is stored");
    bound(1_000_000).await;
    ledger.accept(vec![job("after")]).await.unwrap();
    assert_eq!(rows().await, kept * 100 + 1);
}

async fn a_full_ledger_refuses_more_and_takes_them_again_when_jobs_are_over(engine: Engine) {
    const ROWS_MAX: u64 = 3;
    let place = Place::new(engine);
    let url = place.url();
    let open = Ledger::open_bounded(&url, &place.clock, Duration::from_secs(30), ROWS_MAX);
    let ledger = open.await.unwrap();
    let jobs: Vec<_> = (0..3).map(|nth| job(&format!("full-{nth}"))).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    ledger.accept(jobs).await.unwrap();

    let more = job("full-more");
    let refused = ledger.accept(vec![more.clone()]).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Full { rows_max: ROWS_MAX }), "{refused}");
    assert_eq!(ledger.outbox_counts().await.unwrap().waiting, 3, "what was accepted stays");

    ledger.finished(vec![ids[0].clone()]).await.unwrap();
    assert_eq!(ledger.accept(vec![more]).await.unwrap(), [Put::New]);
}
