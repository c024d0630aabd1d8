//! The bare store on SQLite: enqueue, drain and start latency, alone and among a million other jobs.
//!
//! `nice cargo run --release -p windlass-benches --bin sqlite_store [-- RUNS JOBS]`
//!
//! No worker and no HTTP: `worker` measures what apalis adds. The files lie in the system's
//! temporary folder; set TMPDIR to measure another disk.

mod starts;

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, ensure};
use windlass::bench::progress::Phase;
use windlass::bench::toy::Toy;
use windlass_benches::filled::Filled;
use windlass_benches::{Row, Runs, per_second, percentile, print_rates};
use windlass_engine::Job;

const RUNS: usize = 5;
const JOBS: usize = 100_000;
const OTHER_JOBS: usize = 1_000_000;
const BATCH: usize = 1_000;
const PRODUCERS: usize = 64;
const RESERVED: u32 = 500;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| -> anyhow::Result<usize> {
        arguments.next().map_or(Ok(default), |text| text.parse().context("RUNS and JOBS are numbers"))
    };
    let (runs, jobs) = (number(RUNS)?, number(JOBS)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for others in [0, OTHER_JOBS] {
        runtime.block_on(measure(runs, jobs, others))?;
    }
    Ok(())
}

async fn measure(runs: usize, jobs: usize, others: usize) -> anyhow::Result<()> {
    let row = |what: String| Row { what, ours: Runs::default(), ceiling: Some(Runs::default()) };
    let mut rows = [
        row(format!("enqueue, batches of {BATCH}")),
        row(format!("enqueue, one by one, {PRODUCERS} producers")),
        row(format!("drain, 2 loops: settle {RESERVED} and reserve {RESERVED} at once")),
    ];
    let (mut p50, mut p99) = (Runs::default(), Runs::default());
    let silent = Phase::silent();
    for _ in 0..runs {
        let filled = Filled::with(others).await?;
        let bare = filled.bare()?;
        let batches = filled.enqueue_batches(jobs, BATCH, &silent).await?;
        let bare_batches = bare.enqueue(&filled, jobs, BATCH, &silent).await?;
        let singles = filled.enqueue_singly(jobs, PRODUCERS, &silent).await?;
        // As many to a commit as there are producers.
        let bare_singles = bare.enqueue(&filled, jobs, PRODUCERS, &silent).await?;
        let drained = drain(&filled, batches.jobs + singles.jobs).await?;
        let bare_drained = bare.drain(2 * jobs, &silent).await?;
        let figures = [
            (batches.per_s, bare_batches.per_s),
            (singles.per_s, bare_singles.per_s),
            (drained, bare_drained.per_s),
        ];
        for (row, (ours, ceiling)) in rows.iter_mut().zip(figures) {
            row.ours.add(ours);
            row.ceiling.get_or_insert_default().add(ceiling);
        }
        let waits = starts::latencies_ms(&filled).await?;
        p50.add(percentile(&waits, 0.5));
        p99.add(percentile(&waits, 0.99));
    }
    let title = format!("{jobs} jobs of 200 B a run, {runs} runs, {others} other jobs in the file");
    print_rates(&title, &rows)?;
    writeln!(
        std::io::stdout(),
        "{:<58} {:>10.2} ms p50, {:.2} ms p99",
        format!("enqueue -> start at {}/s", starts::PACED_PER_S),
        p50.median(),
        p99.median()
    )?;
    Ok(())
}

/// Jobs a second over two loops, so that the store works while a loop prepares.
async fn drain(filled: &Filled, ready: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let one_loop = || filled.drain_by_hand(Toy::QUEUE, ready, RESERVED);
    let (one, other) = tokio::try_join!(one_loop(), one_loop())?;
    ensure!(one + other == ready, "{} of {ready} jobs were there", one + other);
    Ok(per_second(ready, began))
}
