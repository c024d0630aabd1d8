//! The ceiling: the least that SQLite must do for a durable queue, on this machine in this minute.
//!
//! Rows with an id, a state and a payload, the same pragmas, the same number of fsyncs; no gate, no books, no
//! order, no fence, no channel.

use std::time::Instant;

use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::per_second;

/// Rows inserted a second, `batch` to a commit.
pub fn enqueue(n: usize, batch: usize) -> anyhow::Result<f64> {
    let (_folder, mut conn) = open()?;
    let began = Instant::now();
    insert(&mut conn, n, batch)?;
    Ok(per_second(n, began))
}

/// Rows brought from ready over running to done a second, `batch` of each to a commit.
pub fn drain(n: usize, batch: u32) -> anyhow::Result<f64> {
    let (_folder, mut conn) = open()?;
    insert(&mut conn, n, 1_000)?;
    let began = Instant::now();
    let mut taken: Vec<i64> = Vec::new();
    loop {
        let commit = conn.transaction()?;
        {
            let mut settle = commit.prepare_cached("UPDATE job SET state = 4 WHERE seq = ?1")?;
            for seq in taken.drain(..) {
                settle.execute([seq])?;
            }
            let mut reserve = commit.prepare_cached(
                "UPDATE job SET state = 2 WHERE seq IN (SELECT seq FROM job WHERE state = 1 ORDER BY seq LIMIT ?1)
                 RETURNING seq, (SELECT envelope FROM body WHERE body.seq = job.seq)",
            )?;
            let mut rows = reserve.query([batch])?;
            while let Some(row) = rows.next()? {
                taken.push(row.get(0)?);
                row.get::<_, String>(1)?;
            }
        }
        commit.commit()?;
        if taken.is_empty() {
            return Ok(per_second(n, began));
        }
    }
}

fn open() -> anyhow::Result<(TempDir, Connection)> {
    let folder = tempfile::tempdir()?;
    let conn = Connection::open(folder.path().join("ceiling.db"))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         PRAGMA cache_size = -65536;
         CREATE TABLE job (seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, state INTEGER NOT NULL);
         CREATE TABLE body (seq INTEGER PRIMARY KEY, envelope TEXT NOT NULL);
         CREATE INDEX ready ON job (seq) WHERE state = 1;",
    )?;
    Ok((folder, conn))
}

fn insert(conn: &mut Connection, n: usize, batch: usize) -> anyhow::Result<()> {
    let envelope = "x".repeat(250);
    let mut next: u128 = 0;
    for _ in 0..n.div_ceil(batch) {
        let commit = conn.transaction()?;
        {
            let mut job = commit.prepare_cached("INSERT INTO job (id, state) VALUES (?1, 1)")?;
            let mut body = commit.prepare_cached("INSERT INTO body VALUES (last_insert_rowid(), ?1)")?;
            for _ in 0..batch {
                next += 1;
                job.execute(params![&next.to_be_bytes()[..]])?;
                body.execute([&envelope])?;
            }
        }
        commit.commit()?;
    }
    Ok(())
}
