//! Opening a ledger, and opening one in a file: what works, and what the errors tell whoever must act.

use std::collections::BTreeSet;

use crate::job::{id, job};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_jobs::outbox::{OutboxCounts, Put};
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    many_openings_at_once_migrate_once_and_agree_which_ledger_it_is,
    readers_cannot_write,
    a_ledger_of_an_older_build_is_brought_up_with_what_it_holds,
    a_look_at_a_ledger_that_lacks_steps_takes_none,
}

async fn refusal(place: &Place, url: &str) -> String {
    match Ledger::open(url, &place.clock).await {
        Err(LedgerError::CannotOpen(text)) => text,
        other => panic!("{url} is refused before anything runs, not {other:?}"),
    }
}

#[tokio::test]
async fn a_missing_ledger_is_made_with_its_folder_and_opens_again() {
    let place = Place::new(Engine::Sqlite);
    let url = format!("sqlite:{}", place.path("a folder/with % and #/ledger.db").display());
    for _ in 0..2 {
        let ledger = Ledger::open(&url, &place.clock).await.unwrap();
        ledger.ping().await.unwrap();
        ledger.close().await;
    }
    assert!(place.path("a folder/with % and #/ledger.db").is_file());
}

#[tokio::test]
async fn commits_are_synced() {
    let place = Place::new(Engine::Sqlite);
    let ledger = place.ledger().await;
    let pragma = async |conn: &mut sqlx::AnyConnection, text: &'static str| {
        sqlx::query_scalar::<_, i64>(text).fetch_one(conn).await.unwrap()
    };
    let mut tx = ledger.begin().await.unwrap();
    assert_eq!(pragma(tx.conn(), "PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(pragma(tx.conn(), "PRAGMA foreign_keys").await, 1);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(tx.conn()).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_left_alone_and_named() {
    let place = Place::new(Engine::Sqlite);
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
    for url in ["mysql://x/y", "sqlite::memory:", "sqlite:", "sqlite:a.db?mode=ro"] {
        assert!(refusal(&place, url).await.contains("DATABASE_URL"), "{url}");
    }
}

#[tokio::test]
async fn a_ledger_that_another_build_broke_is_refused_with_what_to_start() {
    let place = Place::new(Engine::Sqlite);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'breaking_later', 1, x'00', 0)",
    )
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let said = refusal(&place, &place.url()).await;
    assert!(said.contains("newer build") && said.contains("9999"), "{said}");

    // A step that only adds is no reason: the build before is what one rolls back to.
    let mut tx = ledger.begin().await.unwrap();
    sqlx::raw_sql("UPDATE _sqlx_migrations SET description = 'later' WHERE version = 9999")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    Ledger::open(&place.url(), &place.clock).await.unwrap().ping().await.unwrap();
    assert!(Ledger::steps_missing(&place.url()).await.unwrap().is_empty());

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

async fn many_openings_at_once_migrate_once_and_agree_which_ledger_it_is(engine: Engine) {
    let place = Place::new(engine);
    let opened = (0..8).map(|_| {
        let (url, clock) = (place.url(), place.clock.clone());
        tokio::spawn(async move { Ledger::open(&url, &clock).await })
    });
    let mut identities = BTreeSet::new();
    for opening in opened.collect::<Vec<_>>() {
        identities.insert(opening.await.unwrap().unwrap().identity().to_owned());
    }
    assert_eq!(identities.len(), 1);
    assert!(identities.contains(place.ledger().await.identity()), "and when it is opened again");
    assert!(!identities.contains(Place::new(engine).ledger().await.identity()), "another one is another one");
}

async fn readers_cannot_write(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let written = sqlx::query("DELETE FROM outbox").execute(ledger.reads()).await;
    assert!(written.is_err(), "{written:?}");
}

/// A ledger as builds made it before it had an identity, with an accepted job in it.
async fn make_old(url: &str) {
    let steps = [
        (1, "platform", include_str!("../../../migrations/0001_platform.sql")),
        (10, "orders", include_str!("../../../migrations/0010_orders.sql")),
    ];
    let step = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let url = url.strip_prefix("sqlite:").map_or(url.to_owned(), |path| format!("sqlite://{path}?mode=rwc"));
    sqlx::any::install_default_drivers();
    let pool = sqlx::any::AnyPoolOptions::new().connect(&url).await.unwrap();
    Migrator::with_migrations(steps.map(step).into()).run(&pool).await.unwrap();
    let row = "INSERT INTO outbox (id, kind, queue, envelope, created_at, position) \
               VALUES ('a', 'check_order', 'orders', '{\"v\":1,\"kind\":\"check_order\",\"payload\":{}}', 5, 7)";
    sqlx::raw_sql(row).execute(&pool).await.unwrap();
    pool.close().await;
}

async fn a_ledger_of_an_older_build_is_brought_up_with_what_it_holds(engine: Engine) {
    let place = Place::new(engine);
    make_old(&place.url()).await;
    let ledger = place.ledger().await;
    let row = ledger.outbox_job(&id("a")).await.unwrap().unwrap();
    assert_eq!((row.job.queue.as_str(), row.created_at.micros()), ("orders", 5));
    assert_eq!(
        ledger.accept(vec![job("a"), job("b")]).await.unwrap(),
        [Put::Exists { fingerprint: None }, Put::New]
    );
    ledger.finished(vec![id("a"), id("b")]).await.unwrap();
    assert_eq!(ledger.outbox_counts().await.unwrap(), OutboxCounts::default());
}

async fn a_look_at_a_ledger_that_lacks_steps_takes_none(engine: Engine) {
    let place = Place::new(engine);
    assert!(Ledger::steps_missing(&place.url()).await.unwrap().is_empty(), "there is none yet");
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    sqlx::raw_sql("DELETE FROM _sqlx_migrations WHERE version = 11").execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..2 {
        assert_eq!(Ledger::steps_missing(&place.url()).await.unwrap(), [11]);
    }
}
