//! apalis-sqlite: drain, start latency, retries.

use std::time::Duration;

use apalis::prelude::{TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_core::backend::ext::BackendExt;
use apalis_sqlite::{Config, SqlitePool, SqlitePoolOptions, SqliteStorage};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use windlass_benches::percentile;
use windlass_engine::Clock;

use crate::seen::{Drained, PACED_JOBS, PACED_PER_S, POLL, SLOTS, Seen, Toy};
use crate::{Measured, print, print_fact};

const JOBS: usize = 3_000;

/// When the file is fsynced.
#[derive(Clone, Copy)]
enum Sync {
    /// Never: the peer's own setup turns it off.
    AsSetUp,
    /// At every commit.
    AsOurs,
}

pub async fn measure(runs: usize) -> anyhow::Result<()> {
    let clock = Clock::system();
    let tuned = Config::default().batch_size(100).lock_tasks(false);
    let settings = [
        ("apalis-sqlite, defaults (no fsync)", Config::default(), Sync::AsSetUp),
        ("apalis-sqlite, defaults, fsync as ours", Config::default(), Sync::AsOurs),
        ("apalis-sqlite, batches of 100, no locks", tuned.clone(), Sync::AsSetUp),
    ];
    for (setting, config, sync) in settings {
        let mut measured = Measured::of(setting, JOBS);
        for _ in 0..runs {
            run(&mut measured, &config, sync, &clock).await?;
        }
        print(&measured)?;
    }
    let failed = always_failing(&tuned, &clock).await?;
    print_fact(
        "apalis-sqlite, a job that always fails",
        &format!("{} attempts within {:.1} s", failed.starts, failed.took.as_secs_f64()),
    )?;
    Ok(())
}

async fn run(measured: &mut Measured, config: &Config, sync: Sync, clock: &Clock) -> anyhow::Result<()> {
    let drained = drain(config, sync, clock).await?;
    measured.drained_per_s.add(drained.per_s);
    if drained.starts < measured.jobs {
        measured.stalled_at.push(drained.starts);
    }
    let waits = paced(config, sync, clock).await?.waits_ms;
    measured.p50_ms.add(percentile(&waits, 0.5));
    measured.p99_ms.add(percentile(&waits, 0.99));
    Ok(())
}

async fn drain(config: &Config, sync: Sync, clock: &Clock) -> anyhow::Result<Drained> {
    let (_folder, pool) = open(sync).await?;
    let mut storage = storage(&pool, config);
    storage.push_bulk((0..JOBS).map(|_| Toy::new(clock)).collect()).await?;
    let seen = Seen::new(clock);
    let worker = work(storage, seen.clone());
    let drained = seen.until(JOBS).await;
    worker.abort();
    Ok(drained)
}

async fn paced(config: &Config, sync: Sync, clock: &Clock) -> anyhow::Result<Drained> {
    let (_folder, pool) = open(sync).await?;
    let mut storage = storage(&pool, config);
    let seen = Seen::new(clock);
    let worker = work(storage.clone(), seen.clone());
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PACED_PER_S));
    for _ in 0..PACED_JOBS {
        pace.tick().await;
        storage.push(Toy::new(clock)).await?;
    }
    let drained = seen.until(PACED_JOBS).await;
    worker.abort();
    Ok(drained)
}

async fn always_failing(config: &Config, clock: &Clock) -> anyhow::Result<Drained> {
    let (_folder, pool) = open(Sync::AsSetUp).await?;
    let mut storage = storage(&pool, config);
    storage.push(Toy::new(clock)).await?;
    let seen = Seen::failing(clock);
    let worker = work(storage, seen.clone());
    let drained = seen.until(usize::MAX).await;
    worker.abort();
    Ok(drained)
}

fn storage(pool: &SqlitePool, config: &Config) -> SqliteStorage<Toy> {
    SqliteStorage::new(pool).with_config(config.clone().queue("toys"))
}

/// One connection, in WAL mode: the peer's best case.
async fn open(sync: Sync) -> anyhow::Result<(TempDir, SqlitePool)> {
    let folder = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("peer.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    SqliteStorage::setup(&pool).await?;
    if matches!(sync, Sync::AsOurs) {
        sqlx::query("PRAGMA synchronous = FULL").execute(&pool).await?;
    }
    Ok((folder, pool))
}

fn work(storage: SqliteStorage<Toy>, seen: Seen) -> JoinHandle<()> {
    let worker = WorkerBuilder::new("toys")
        .backend(storage.poll_with_interval(POLL))
        .concurrency(SLOTS)
        .build(move |toy: Toy| {
            let seen = seen.clone();
            async move { seen.started(&toy) }
        });
    tokio::spawn(async move {
        // How it ends shows in what it did not do.
        let _ = worker.run().await;
    })
}
