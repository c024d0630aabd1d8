//! What the process costs: run in a process of its own, so that the ceiling's memory is not counted as ours.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use windlass::bench::progress::Phase;
use windlass::bench::workers::Running;
use windlass_benches::filled::Filled;
use windlass_benches::process::Process;

use crate::BATCH;

/// The argument that makes this program the process that is looked at.
pub const ARGUMENT: &str = "alone";
const IDLE: Duration = Duration::from_secs(10);
/// After the last job, before idleness is measured.
const SETTLING: Duration = Duration::from_secs(2);

/// Runs this program again, alone; it prints its own lines.
pub fn spawn(jobs: usize, others: usize) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let status = Command::new(program)
        .args([ARGUMENT, &jobs.to_string(), &others.to_string()])
        .status()
        .context("the process of its own does not start")?;
    ensure!(status.success(), "the process of its own failed: {status}");
    Ok(())
}

/// Enqueues and drains `jobs`, then does nothing for ten seconds with its workers waiting.
pub async fn measure(jobs: usize, others: usize) -> anyhow::Result<()> {
    let filled = Filled::with(others).await?;
    let process = Process::this();
    let opened = process.rss_mib()?;
    let silent = Phase::silent();
    let mut running = Running::on(&filled, &silent);
    filled.enqueue_batches(jobs, BATCH, &silent).await?;
    running.until_completed(jobs).await?;
    tokio::time::sleep(SETTLING).await;
    let percent = process.cpu_percent_over(IDLE).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<58} {:>10.2} % of one core, over {} s", "idle CPU", percent, IDLE.as_secs())?;
    let (peak, idle) = (process.peak_rss_mib()?, process.rss_mib()?);
    writeln!(out, "{:<58} {peak:>10.0} MiB peak, {idle:.0} idle, {opened:.0} before the jobs", "memory")?;
    drop(out);
    running.stop().await
}
