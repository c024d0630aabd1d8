//! Opening a ledger in PostgreSQL: what works, and what the errors tell whoever must act.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use windlass_engine::Clock;
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_servers::{Postgres, psql};
use windlass_testing::{Engine, NOON, Place};

async fn refusal(url: &str) -> String {
    match Ledger::open(url, &Clock::by_hand(NOON)).await {
        Err(LedgerError::CannotOpen(text)) => text,
        other => panic!("{url} is refused before anything runs, not {other:?}"),
    }
}

fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// A server that asks everybody but its superuser for a password.
fn strict_server(folder: &Path) -> Postgres {
    let hba = folder.join("hba.conf");
    let lines = "host all windlass 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(&hba, lines).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    Postgres::with(&[&format!("hba_file={}", hba.display())])
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_or_cannot_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = strict_server(folder.path());
    let admin = server.create_database("shop");
    psql(&admin, "CREATE ROLE clerk LOGIN PASSWORD 'right'");
    let as_clerk = |password: &str, database: &str| {
        format!("postgres://clerk:{password}@127.0.0.1:{}/{database}", server.port())
    };
    let said = refusal(&as_clerk("wrong", "shop")).await;
    holds(&said, &["does not let the user clerk in", "password in DATABASE_URL"]);
    assert!(!said.contains("wrong"), "{said}");
    let said = refusal(&format!("{admin}?sslmode=require")).await;
    holds(&said, &["do not agree on TLS", "sslmode"]);
    let said = refusal(&as_clerk("right", "nowhere")).await;
    holds(&said, &["/nowhere does not exist", "CREATE DATABASE nowhere OWNER clerk"]);
    // PostgreSQL 15 lets nobody but the owner make tables in `public`; the older ones let everybody.
    psql(&admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let said = refusal(&as_clerk("right", "shop")).await;
    holds(
        &said,
        &[
            "may not create the ledger's tables in schema public",
            "GRANT CREATE, USAGE ON SCHEMA public TO clerk",
        ],
    );
    // The tables made by somebody else, the rights to them given: no right to make any is needed.
    drop(Ledger::open(&admin, &Clock::by_hand(NOON)).await.unwrap());
    holds(
        &refusal(&as_clerk("right", "shop")).await,
        &["too few rights", "GRANT SELECT, INSERT, UPDATE, DELETE"],
    );
    psql(&admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk");
    Ledger::open(&as_clerk("right", "shop"), &Clock::by_hand(NOON)).await.unwrap().ping().await.unwrap();

    psql(&admin, "ALTER DATABASE shop SET default_transaction_read_only = on");
    holds(&refusal(&admin).await, &["is read-only", "ALTER DATABASE shop"]);
    psql(&server.url("postgres"), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    holds(&refusal(&server.url("latin")).await, &["stores text as LATIN1", "ENCODING 'UTF8'"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_a_standby_is_told_from_one_that_works() {
    let mut server = Postgres::start();
    let url = server.create_database("shop");
    let data = psql(&url, "SHOW data_directory");
    server.stop();
    let said = refusal(&url).await;
    holds(&said, &["no PostgreSQL answers at 127.0.0.1:", "/shop", "correct host and port in DATABASE_URL"]);
    std::fs::write(Path::new(&data).join("standby.signal"), "").unwrap();
    server.start_again();
    holds(&refusal(&url).await, &["is a standby", "set DATABASE_URL to the primary"]);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_its_password_is_not_shown() {
    for url in [
        "postgres://shop:secret@[x/y",
        "postgres://shop:secret@host:port/y",
        "postgres://shop:secret@/y?sslmode=odd",
    ] {
        let said = refusal(url).await;
        holds(&said, &["DATABASE_URL", "postgres://USER:PASSWORD@HOST/DATABASE"]);
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_shared_as_long_as_no_table_has_the_name_of_ours() {
    let place = Place::new(Engine::Postgres);
    psql(&place.url(), "CREATE TABLE django_migrations (id BIGINT); CREATE TABLE orders (id BIGINT)");
    let said = refusal(&place.url()).await;
    holds(&said, &["schema public", "(orders)", "CREATE SCHEMA windlass", "search_path%3Dwindlass"]);
    let own_schema = format!("{}?options=-csearch_path%3Dwindlass", place.url());
    holds(&refusal(&own_schema).await, &["no schema", "CREATE SCHEMA"]);
    psql(&place.url(), "CREATE SCHEMA windlass");
    for _ in 0..2 {
        Ledger::open(&own_schema, &place.clock).await.unwrap().ping().await.unwrap();
    }
    assert_eq!(psql(&place.url(), "SELECT COUNT(*) FROM windlass.orders"), "0");
    psql(&place.url(), "DROP TABLE orders");
    place.ledger().await.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_another_build_broke_is_refused_with_what_to_start() {
    let place = Place::new(Engine::Postgres);
    place.ledger().await;
    psql(
        &place.url(),
        r"INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'breaking_later', true, '\x00', 0)",
    );
    holds(&refusal(&place.url()).await, &["newer build", "9999"]);
    // A step that only adds is no reason: the build before is what one rolls back to.
    psql(&place.url(), "UPDATE _sqlx_migrations SET description = 'later' WHERE version = 9999");
    place.ledger().await.ping().await.unwrap();
    assert!(Ledger::steps_missing(&place.url()).await.unwrap().is_empty());
    psql(
        &place.url(),
        r"DELETE FROM _sqlx_migrations WHERE version = 9999; UPDATE _sqlx_migrations SET checksum = '\x00' WHERE version = 1",
    );
    holds(&refusal(&place.url()).await, &["changed after it had run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_on_disk_and_read_committed_whatever_the_database_s_defaults() {
    let place = Place::new(Engine::Postgres);
    let name = place.url().rsplit_once('/').unwrap().1.to_owned();
    psql(&place.url(), &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    psql(&place.url(), &format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"));
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    let (durable, isolation): (String, String) = sqlx::query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')",
    )
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert_eq!((durable.as_str(), isolation.as_str()), ("on", "read committed"));
}
