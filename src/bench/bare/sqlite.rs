//! One thread on a SQLite file of its own, with the pragmas of ours and as many fsyncs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use rusqlite::{Connection, Transaction, params};
use windlass_engine::Envelope;

use super::DRAIN_BATCH;
use crate::bench::figures::Burst;
use crate::bench::progress::Phase;
use crate::bench::subject::Subject;
use crate::bench::toy::Toy;

#[derive(Clone)]
pub struct BareSqlite(Arc<Mutex<Connection>>);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
    PRAGMA cache_size = -16384;
    CREATE TABLE job (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, running INTEGER NOT NULL, envelope TEXT NOT NULL);
    CREATE INDEX ready ON job (seq) WHERE running = 0;";

impl BareSqlite {
    /// `path`: of a file that is not there yet.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let conn = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        conn.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(conn))))
    }

    pub async fn enqueue(
        &self,
        subject: &Subject,
        n: usize,
        batch: usize,
        phase: &Phase,
    ) -> anyhow::Result<Burst> {
        let (subject, phase) = (subject.clone(), phase.clone());
        self.on_its_thread(move |conn| {
            let began = Instant::now();
            let mut left = n;
            while left > 0 {
                let commit = conn.transaction()?;
                let asked = left.min(batch);
                insert(&commit, &subject, asked)?;
                commit.commit()?;
                left -= asked;
                phase.step(asked);
            }
            Ok(Burst::since(began, n))
        })
        .await
    }

    /// One commit settles a batch and reserves the next.
    pub async fn drain(&self, ready: usize, phase: &Phase) -> anyhow::Result<Burst> {
        let phase = phase.clone();
        self.on_its_thread(move |conn| {
            let began = Instant::now();
            let (mut drained, mut taken) = (0, Vec::new());
            loop {
                let commit = conn.transaction()?;
                settle(&commit, &taken)?;
                drained += taken.len();
                phase.step(taken.len());
                taken = reserve(&commit)?;
                commit.commit()?;
                if taken.is_empty() {
                    ensure!(drained == ready, "the bare loop drained {drained} of {ready} jobs");
                    return Ok(Burst::since(began, drained));
                }
            }
        })
        .await
    }

    async fn on_its_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let conn = self.0.clone();
        let working = tokio::task::spawn_blocking(move || {
            work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner))
        });
        working.await.context("the bare loop panicked")?
    }
}

fn insert(commit: &Transaction<'_>, subject: &Subject, n: usize) -> anyhow::Result<()> {
    let mut insert = commit.prepare_cached("INSERT INTO job (id, running, envelope) VALUES (?1, 0, ?2)")?;
    for _ in 0..n {
        let job = subject.toy();
        insert.execute(params![&sixteen_bytes(job.id.as_str())?[..], job.envelope.to_json()])?;
    }
    Ok(())
}

fn reserve(commit: &Transaction<'_>) -> anyhow::Result<Vec<i64>> {
    let mut reserve = commit.prepare_cached(
        "UPDATE job SET running = 1 WHERE seq IN (SELECT seq FROM job WHERE running = 0 ORDER BY seq LIMIT ?1)
         RETURNING seq, envelope",
    )?;
    let mut rows = reserve.query([DRAIN_BATCH])?;
    let mut taken = Vec::with_capacity(DRAIN_BATCH.into());
    while let Some(row) = rows.next()? {
        let envelope: Envelope = serde_json::from_str(row.get_ref(1)?.as_str()?)?;
        let _: Toy = serde_json::from_str(envelope.payload.get())?;
        taken.push(row.get(0)?);
    }
    Ok(taken)
}

fn settle(commit: &Transaction<'_>, taken: &[i64]) -> anyhow::Result<()> {
    let mut settle = commit.prepare_cached("DELETE FROM job WHERE seq = ?1")?;
    for seq in taken {
        settle.execute([seq])?;
    }
    Ok(())
}

/// A UUID as ours is stored.
fn sixteen_bytes(id: &str) -> anyhow::Result<[u8; 16]> {
    let number = u128::from_str_radix(&id.replace('-', ""), 16).context("a fresh id is a UUID")?;
    Ok(number.to_be_bytes())
}
