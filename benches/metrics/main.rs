//! What the metrics cost: the same jobs drained with the recorder and without, in turns.
//!
//! `nice cargo run --release -p windlass-benches --bin metrics [-- RUNS JOBS]`
//!
//! A process has one recorder for ever, so each run is a process of its own. With the recorder the figures are rendered once a
//! second, as for a Prometheus that is in a hurry; without it every count is a call that does nothing.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use windlass::bench::progress::Phase;
use windlass::bench::workers;
use windlass::telemetry::Metrics;
use windlass_benches::filled::Filled;
use windlass_benches::{Row, Runs, print_rates};
use windlass_engine::Clock;

const RUNS: usize = 7;
const JOBS: usize = 100_000;
const BATCH: usize = 1_000;
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// What the metrics may cost of the throughput.
const COST_MAX: f64 = 0.02;
/// The arguments that make this program one run.
const WITH: &str = "with";
const WITHOUT: &str = "without";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let one_run = arguments.next_if(|argument| argument == WITH || argument == WITHOUT);
    let mut number = |default: usize| -> anyhow::Result<usize> {
        arguments.next().map_or(Ok(default), |text| text.parse().context("RUNS and JOBS are numbers"))
    };
    if let Some(how) = one_run {
        let jobs = number(JOBS)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let per_s = runtime.block_on(drain(how == WITH, jobs))?;
        writeln!(std::io::stdout(), "{per_s}")?;
        return Ok(());
    }
    let (runs, jobs) = (number(RUNS)?, number(JOBS)?);
    let (mut with, mut without) = (Runs::default(), Runs::default());
    for _ in 0..runs {
        without.add(in_a_process(WITHOUT, jobs)?);
        with.add(in_a_process(WITH, jobs)?);
    }
    let cost = 1.0 - with.median() / without.median();
    let row = Row {
        what: "drain of no-op jobs, metrics on; ceiling: off".to_owned(),
        ours: with,
        ceiling: Some(without),
    };
    print_rates(&format!("{jobs} jobs a run, {runs} pairs of runs"), &[row])?;
    let word = if cost < COST_MAX { "less than" } else { "NOT less than" };
    writeln!(
        std::io::stdout(),
        "metrics cost {:.1} % of the throughput: {word} {:.0} %",
        cost * 100.0,
        COST_MAX * 100.0
    )?;
    Ok(())
}

/// Jobs a second of one run.
fn in_a_process(how: &str, jobs: usize) -> anyhow::Result<f64> {
    let run = Command::new(std::env::current_exe()?).args([how, &jobs.to_string()]).output()?;
    ensure!(run.status.success(), "a run failed: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().parse().context("a run tells its rate")
}

async fn drain(with: bool, jobs: usize) -> anyhow::Result<f64> {
    if with {
        let metrics = Metrics::install(&Clock::system())?;
        tokio::spawn(async move {
            let mut scrapes = tokio::time::interval(SCRAPE_EVERY);
            loop {
                scrapes.tick().await;
                std::hint::black_box(metrics.render());
            }
        });
    }
    let (filled, silent) = (Filled::with(0).await?, Phase::silent());
    filled.enqueue_batches(jobs, BATCH, &silent).await?;
    Ok(workers::drain(&filled, jobs, &silent).await?.per_s)
}
