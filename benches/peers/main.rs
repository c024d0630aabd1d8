//! The peers: apalis' own storages, apalis-redis and apalis-sqlite 1.0.0, under the same toy job.
//!
//! `nice cargo run --release -p windlass-benches --bin peers [-- RUNS]`
//!
//! Redis: the one at `TEST_REDIS_URL`, or a private one from `redis-server` on the PATH; without either that half
//! is left out. What takes minutes is not measured here (a worker killed with SIGKILL: 297 s until its jobs run
//! again).

mod redis_peer;
mod seen;
mod server;
mod sqlite_peer;

use std::io::Write;

use anyhow::Context;
use windlass_benches::Runs;

const RUNS: usize = 3;

/// A setting of a peer and what came of it.
pub struct Measured {
    pub setting: String,
    pub jobs: usize,
    pub drained_per_s: Runs,
    /// Jobs done when nothing moved any more, where that were not all.
    pub stalled_at: Vec<usize>,
    pub p50_ms: Runs,
    pub p99_ms: Runs,
}

impl Measured {
    pub fn of(setting: impl Into<String>, jobs: usize) -> Self {
        Self {
            setting: setting.into(),
            jobs,
            drained_per_s: Runs::default(),
            stalled_at: Vec::new(),
            p50_ms: Runs::default(),
            p99_ms: Runs::default(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let runs = std::env::args().nth(1).map_or(Ok(RUNS), |text| text.parse()).context("RUNS is a number")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        writeln!(
            std::io::stdout(),
            "{:<42} {:>8} {:>18} {:>19}  remarks",
            "",
            "drain /s",
            "range",
            "start p50 / p99 ms"
        )?;
        sqlite_peer::measure(runs).await?;
        match server::Redis::reach()? {
            server::Reached::At(redis) => redis_peer::measure(&redis, runs).await,
            server::Reached::Not(why) => Ok(writeln!(std::io::stdout(), "apalis-redis is left out: {why}")?),
        }
    })
}

pub fn print(measured: &Measured) -> std::io::Result<()> {
    let (least, most) = measured.drained_per_s.range();
    let Measured { setting, jobs, stalled_at, p50_ms, p99_ms, .. } = measured;
    let stalls = match stalled_at.as_slice() {
        [] => String::new(),
        at => format!("stalled after {at:?} of {jobs} jobs"),
    };
    writeln!(
        std::io::stdout(),
        "{setting:<42} {:>8.0} {:>8.0}-{:<9.0} {:>8.2} / {:<8.2}  {stalls}",
        measured.drained_per_s.median(),
        least,
        most,
        p50_ms.median(),
        p99_ms.median(),
    )
}

/// A line with one fact.
pub fn print_fact(setting: &str, fact: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{setting:<42} {fact}")
}
