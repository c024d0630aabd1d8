//! The bare store on SQLite: enqueue, drain and start latency, alone and among a million other jobs.
//!
//! `nice cargo run --release -p windlass-benches --bin sqlite_store [-- RUNS JOBS]`
//!
//! No worker and no HTTP: `worker` measures what apalis adds. The files lie in the system's
//! temporary folder; set TMPDIR to measure another disk.

mod ours;

use std::io::Write;

use anyhow::Context;
use windlass_benches::filled::Filled;
use windlass_benches::{Row, Runs, ceiling, percentile, print_rates};

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
    for _ in 0..runs {
        let filled = Filled::with(others).await?;
        let figures = [
            (filled.enqueue_batches(jobs, BATCH, ours::toy).await?, ceiling::enqueue(jobs, BATCH)?),
            (filled.enqueue_singly(jobs, PRODUCERS, ours::toy).await?, ceiling::enqueue(jobs, PRODUCERS)?),
            (ours::drain(&filled, jobs * 2, RESERVED).await?, ceiling::drain(jobs, RESERVED)?),
        ];
        for (row, (ours, ceiling)) in rows.iter_mut().zip(figures) {
            row.ours.add(ours);
            row.ceiling.get_or_insert_default().add(ceiling);
        }
        let waits = ours::start_latencies_ms(&filled).await?;
        p50.add(percentile(&waits, 0.5));
        p99.add(percentile(&waits, 0.99));
    }
    let title = format!("{jobs} jobs of 200 B a run, {runs} runs, {others} other jobs in the file");
    print_rates(&title, &rows)?;
    writeln!(
        std::io::stdout(),
        "{:<58} {:>10.2} ms p50, {:.2} ms p99",
        format!("enqueue -> start at {}/s", ours::PACED_PER_S),
        p50.median(),
        p99.median()
    )?;
    Ok(())
}
