//! Opening a ledger: what works, and what the errors tell whoever must act.

use crate::place::Place;
use windlass_jobs::ledger::{Ledger, LedgerError};

async fn refusal(place: &Place, url: &str) -> String {
    match Ledger::open(url, &place.clock).await {
        Err(LedgerError::CannotOpen(text)) => text,
        other => panic!("{url} is refused before anything runs, not {other:?}"),
    }
}

#[tokio::test]
async fn a_missing_ledger_is_made_with_its_folder_and_opens_again() {
    let place = Place::new();
    let url = format!("sqlite:{}", place.path("a folder/with % and #/ledger.db").display());
    for _ in 0..2 {
        let ledger = Ledger::open(&url, &place.clock).await.unwrap();
        ledger.ping().await.unwrap();
        ledger.close().await;
    }
    assert!(place.path("a folder/with % and #/ledger.db").is_file());
}

#[tokio::test]
async fn commits_are_synced_and_readers_cannot_write() {
    let place = Place::new();
    let ledger = place.ledger().await;
    let pragma = async |conn: &mut sqlx::AnyConnection, text: &'static str| {
        sqlx::query_scalar::<_, i64>(text).fetch_one(conn).await.unwrap()
    };
    let mut tx = ledger.begin().await.unwrap();
    assert_eq!(pragma(tx.conn(), "PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(pragma(tx.conn(), "PRAGMA foreign_keys").await, 1);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(tx.conn()).await.unwrap();
    assert_eq!(mode, "wal");
    drop(tx);
    let written = sqlx::query("DELETE FROM outbox").execute(ledger.reads()).await;
    assert!(written.is_err(), "{written:?}");
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_left_alone_and_named() {
    let place = Place::new();
    let text = place.path("notes.txt");
    std::fs::write(&text, "x".repeat(5_000)).unwrap();
    let said = refusal(&place, &format!("sqlite:{}", text.display())).await;
    assert!(said.contains("notes.txt is not a database") && said.contains("DATABASE_URL"), "{said}");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "x".repeat(5_000));

    let url = format!("sqlite://{}?mode=rwc", place.path("django.db").display());
    let django = sqlx::any::AnyPoolOptions::new().connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE django_migrations (id BIGINT)").execute(&django).await.unwrap();
    django.close().await;
    let said = refusal(&place, &format!("sqlite:{}", place.path("django.db").display())).await;
    assert!(said.contains("another program's database"), "{said}");

    let said = refusal(&place, &format!("sqlite:{}", place.path("notes.txt/ledger.db").display())).await;
    assert!(said.contains("cannot be made") && said.contains("--data"), "{said}");
    for url in ["postgres://x/y", "sqlite::memory:", "sqlite:", "sqlite:a.db?mode=ro"] {
        assert!(refusal(&place, url).await.contains("DATABASE_URL"), "{url}");
    }
}

#[tokio::test]
async fn a_ledger_of_another_build_is_refused_with_what_to_start() {
    let place = Place::new();
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let said = refusal(&place, &place.url()).await;
    assert!(said.contains("newer build") && said.contains("9999"), "{said}");

    let mut tx = ledger.begin().await.unwrap();
    sqlx::raw_sql(
        "DELETE FROM _sqlx_migrations WHERE version = 9999; \
         UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
    )
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let said = refusal(&place, &place.url()).await;
    assert!(said.contains("changed after it had run"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_openings_at_once_migrate_once() {
    let place = Place::new();
    let opened = (0..8).map(|_| {
        let (url, clock) = (place.url(), place.clock.clone());
        tokio::spawn(async move { Ledger::open(&url, &clock).await })
    });
    for opening in opened.collect::<Vec<_>>() {
        opening.await.unwrap().unwrap();
    }
}
