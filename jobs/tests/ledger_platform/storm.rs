//! Many at once: commits are shared, and nobody sees an error that two transactions make for each other.

use std::collections::HashSet;
use std::path::Path;

use crate::job::job;
use futures_util::future::join_all;
use serde_json::Value;
use sqlx::Row;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::Put;
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    concurrent_accepts_share_commits,
    a_storm_of_writers_and_readers_in_two_processes_meets_no_error,
}

/// Transactions that have written so far.
async fn commits(engine: Engine, place: &Place, ledger: &Ledger) -> usize {
    match engine {
        Engine::Sqlite => commits_in_log(&place.path("ledger.db")),
        // Each row carries the number of the transaction that wrote it.
        Engine::Postgres => {
            let text = "SELECT COUNT(DISTINCT CAST(xmin AS TEXT)) AS n FROM outbox";
            let row = sqlx::query(text).fetch_one(ledger.reads()).await.unwrap();
            row.get::<i64, _>("n") as usize
        }
    }
}

/// Transactions in the write-ahead log: frames whose header names the size of the database after a commit.
/// <https://www.sqlite.org/fileformat2.html#walformat>
fn commits_in_log(ledger_file: &Path) -> usize {
    let log = std::fs::read(ledger_file.with_extension("db-wal")).unwrap();
    let page_bytes = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let salts = &log[16..24];
    log[32..]
        .chunks_exact(24 + page_bytes)
        .take_while(|frame| &frame[8..16] == salts)
        .filter(|frame| frame[4..8] != [0; 4])
        .count()
}

async fn concurrent_accepts_share_commits(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let before = commits(engine, &place, &ledger).await;
    let accepts = (0..64).map(|n| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.accept(vec![job(&format!("j{n}"))]).await })
    });
    for accepted in join_all(accepts).await {
        assert_eq!(accepted.unwrap().unwrap(), [Put::New]);
    }
    let used = commits(engine, &place, &ledger).await - before;
    assert!((1..=32).contains(&used), "64 accepts took {used} commits");
    let row = sqlx::query("SELECT COUNT(*) AS n FROM outbox").fetch_one(ledger.reads()).await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), 64);
}

async fn a_storm_of_writers_and_readers_in_two_processes_meets_no_error(engine: Engine) {
    const WRITES: usize = 40;
    let place = Place::new(engine);
    // Two openings share nothing but the file, as two processes do.
    let ledgers = [place.ledger().await, place.ledger().await];
    let writers = (0..16).map(|writer| {
        let ledger = ledgers[writer % 2].clone();
        tokio::spawn(async move {
            for n in 0..WRITES {
                let mut tx = ledger.begin().await?;
                let row = sqlx::query("SELECT COUNT(*) AS n FROM order_events").fetch_one(tx.conn()).await?;
                let seen: i64 = row.try_get("n")?;
                tx.event("SO-1", "count", &seen.to_string(), &Value::Null).await?;
                tx.enqueue(&job(&format!("w{writer}-{n}"))).await?;
                tx.commit().await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    let acceptors = (0..4).map(|acceptor: usize| {
        let ledger = ledgers[acceptor % 2].clone();
        tokio::spawn(async move {
            for n in 0..WRITES {
                let id = job(&format!("a{acceptor}-{n}"));
                ledger.accept(vec![id.clone()]).await?;
                ledger.finished(vec![id.id]).await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    let readers = (0..8).map(|reader: usize| {
        let ledger = ledgers[reader % 2].clone();
        tokio::spawn(async move {
            for _ in 0..WRITES {
                ledger.outbox_counts().await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    let all: Vec<_> = writers.chain(acceptors).chain(readers).collect();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), join_all(all)).await;
    for ended in ended.expect("the storm ends") {
        ended.unwrap().unwrap();
    }
    // On SQLite each transaction saw every one before it: no two counted the same.
    let rows = sqlx::query("SELECT text FROM order_events").fetch_all(ledgers[0].reads()).await.unwrap();
    let counted: HashSet<String> = rows.iter().map(|row| row.get("text")).collect();
    assert_eq!(rows.len(), 16 * WRITES);
    if engine == Engine::Sqlite {
        assert_eq!(counted.len(), 16 * WRITES);
    }
    let row = sqlx::query("SELECT COUNT(*) AS n FROM outbox").fetch_one(ledgers[1].reads()).await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), (16 * WRITES) as i64);
}
