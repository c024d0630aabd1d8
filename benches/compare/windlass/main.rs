//! Windlass' own driver in the comparison with other queues: the same commands and the same lines as theirs.
//!
//! It makes jobs and works through the engine as the product does: [`Store::enqueue`] and [`Workers`], leases,
//! fences, gates and beats included. What is measured, and by whom, is in `compare/README.md`; this program
//! only does what it is told and reports what ran.

mod jobs;
mod reports;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{ENQUEUE_ITEMS_MAX, Enqueued, Retention};
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, Job, JobTable, NewJob, Store};

use crate::jobs::{Hold, KINDS, Noop};
use crate::reports::Reports;

/// In the carrier on Redis.
const NAMESPACE: &str = "compare";

#[derive(Parser)]
struct Arguments {
    /// `sqlite:PATH` or `redis://HOST:PORT/DB`.
    #[arg(long, env = "COMPARE_STORE")]
    store: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Enqueues jobs in batches, one caller; prints how long it took.
    Enqueue {
        jobs: usize,
        #[arg(long, default_value = "noop")]
        kind: Kind,
        #[arg(long, default_value_t = 1_000)]
        batch: usize,
    },
    /// Runs jobs until it is told to stop; its reports go to a folder.
    Work {
        #[arg(long, env = "COMPARE_REPORTS")]
        reports: PathBuf,
        /// As long as this file is there, jobs that hold do not end.
        #[arg(long, env = "COMPARE_HOLD")]
        hold: PathBuf,
        /// Jobs at once: the product's own default.
        #[arg(long, default_value_t = 32)]
        slots: u32,
        /// Enqueues so many jobs in this same process once a first one has run: for a carrier that belongs to
        /// one process at a time.
        #[arg(long, requires = "per_s")]
        paced: Option<u32>,
        #[arg(long)]
        per_s: Option<u32>,
    },
    /// Enqueues jobs singly, so many a second; each tells when it was made, but for those of the first second,
    /// in which client and worker warm up.
    Paced { jobs: u32, per_s: u32 },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Noop,
    Hold,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { store, command } = Arguments::parse();
    let clock = Clock::system();
    let store = open(&store, &clock).await?;
    match command {
        Command::Enqueue { jobs, kind, batch } => enqueue(store.as_ref(), &clock, jobs, kind, batch).await,
        Command::Paced { jobs, per_s } => paced(store.as_ref(), &clock, jobs, per_s).await,
        Command::Work { reports, hold, slots, paced, per_s } => {
            let reports = Arc::new(Reports::into_folder(&reports, hold, clock.clone())?);
            let pace = paced.zip(per_s);
            work(store, clock, reports, slots, pace).await
        }
    }
}

async fn open(url: &str, clock: &Clock) -> anyhow::Result<Arc<dyn Store>> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::open(path, clock.clone())?)),
        Some(("redis" | "rediss", _)) => {
            let settings = RedisSettings::new(url, NAMESPACE);
            Ok(Arc::new(RedisStore::open(settings, clock.clone()).await?))
        }
        _ => bail!("{url}: a store is sqlite:PATH or redis://HOST:PORT/DB"),
    }
}

async fn enqueue(
    store: &dyn Store,
    clock: &Clock,
    jobs: usize,
    kind: Kind,
    batch: usize,
) -> anyhow::Result<()> {
    ensure!((1..=ENQUEUE_ITEMS_MAX).contains(&batch), "a batch has 1 to {ENQUEUE_ITEMS_MAX} jobs");
    store.ping().await?;
    let began = Instant::now();
    let mut made = 0;
    while made < jobs {
        let batch: Vec<NewJob> = (made..jobs.min(made + batch))
            .map(|n| match kind {
                Kind::Noop => NewJob::of(&Noop::plain(), clock),
                Kind::Hold => NewJob::of(&Hold { n }, clock),
            })
            .collect();
        made += batch.len();
        let answers = store.enqueue(batch).await?;
        ensure!(answers.iter().all(|answer| *answer == Enqueued::New), "every job is new");
    }
    let line = serde_json::json!({ "enqueued": made, "seconds": began.elapsed().as_secs_f64() });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

async fn paced(store: &dyn Store, clock: &Clock, jobs: u32, per_s: u32) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_s.max(1));
    let began = Instant::now();
    for i in 0..jobs {
        pace.tick().await;
        let job = if i < per_s { Noop::plain() } else { Noop::timed(clock) };
        store.enqueue(vec![NewJob::of(&job, clock)]).await?;
    }
    let line = serde_json::json!({ "enqueued": jobs, "seconds": began.elapsed().as_secs_f64() });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

async fn work(
    store: Arc<dyn Store>,
    clock: Clock,
    reports: Arc<Reports>,
    slots: u32,
    pace: Option<(u32, u32)>,
) -> anyhow::Result<()> {
    let workers = Workers {
        store: store.clone(),
        clock: clock.clone(),
        table: Arc::new(JobTable::new(KINDS)),
        context: reports.clone(),
        settings: WorkerSettings {
            queues: vec![(Noop::QUEUE.to_owned(), slots)],
            lease: WorkerSettings::LEASE_DEFAULT,
            drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
            retention: RETENTION,
        },
        on_ended: None,
        host: "compare".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let working = tokio::spawn(workers.run(stop.clone(), CancellationToken::new()));
    if let Some((jobs, per_s)) = pace {
        store.enqueue(vec![NewJob::of(&Noop::plain(), &clock)]).await?;
        reports.until_first().await;
        paced(store.as_ref(), &clock, jobs, per_s).await?;
    }
    terminate.recv().await;
    stop.cancel();
    working.await?;
    reports.flush()
}

/// The product's own.
const RETENTION: Retention = Retention {
    jobs_max: 100_000,
    completed_age_max: Duration::from_secs(7 * 24 * 3_600),
    dead_age_max: Duration::from_secs(90 * 24 * 3_600),
};
