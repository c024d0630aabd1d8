//! The store on Redis, with all semantics on: against the bare loop, among a million others, when 100,000 jobs come
//! due at once, when a worker is killed, and when nothing happens.
//!
//! `cargo run --release -p windlass-benches --bin redis_store -- [--fsync everysec|always] [--only pairs,due]`
//!
//! Starts a private redis-server for each section. No HTTP and no ledger: `windlass bench` measures the door.

mod bytes;
mod child;
mod cost;
mod crowd;
mod due;
mod killed;
mod pairs;
mod report;
mod server;
mod starts;

use clap::{Parser, ValueEnum};

use self::child::Child;
use self::server::Server;

/// Measures the Redis store.
#[derive(Debug, Parser)]
#[command(name = "redis_store")]
struct Asked {
    #[command(flatten)]
    sizes: Sizes,
    /// What is measured, in this order; without it everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    #[command(subcommand)]
    child: Option<Child>,
}

/// How much is measured, and on what.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Sizes {
    /// When the server has what it was told on disk: before it answers, or a second later at most.
    #[arg(long, value_enum, default_value_t = Fsync::Everysec)]
    fsync: Fsync,
    /// Jobs of each measurement.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How often ours and what it is compared with run in turns.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Jobs that are there beside those that are measured: so many ready, and as many scheduled.
    #[arg(long, default_value_t = 1_000_000)]
    others: usize,
    /// Jobs that come due at one instant.
    #[arg(long, default_value_t = 100_000)]
    due: usize,
}

/// `appendfsync` of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    Everysec,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Batches, and drain through the workers, in turns with the bare loop.
    Pairs,
    /// Single jobs of 64 callers, in turns with the bare loop.
    Singles,
    /// From enqueue to start, and how late delayed jobs start.
    Starts,
    /// Enqueue, reserve and settle, stats: with many other jobs, in turns with none.
    Crowd,
    /// What a job takes of Redis' memory.
    Bytes,
    /// Many jobs due at one instant.
    Due,
    /// A worker process that idles, then drains.
    Cost,
    /// A worker process that is killed with its hands full.
    Killed,
}

fn main() -> anyhow::Result<()> {
    let Asked { sizes, only, child } = Asked::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(child) = child {
        return runtime.block_on(child.run());
    }
    report::title(&sizes)?;
    for section in Section::value_variants() {
        if only.is_empty() || only.contains(section) {
            runtime.block_on(section.measure(&sizes))?;
        }
    }
    Ok(())
}

impl Section {
    async fn measure(self, sizes: &Sizes) -> anyhow::Result<()> {
        let server = Server::start(sizes.fsync);
        match self {
            Self::Pairs => pairs::batches_and_drain(&server, sizes).await,
            Self::Singles => pairs::singles(&server, sizes).await,
            Self::Starts => starts::measure(&server, sizes).await,
            Self::Crowd => crowd::measure(&server, sizes).await,
            Self::Bytes => bytes::measure(&server, sizes).await,
            Self::Due => due::measure(&server, sizes).await,
            Self::Cost => cost::measure(&server, sizes).await,
            Self::Killed => killed::measure(&server).await,
        }
    }
}
