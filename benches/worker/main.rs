//! The store on SQLite through the apalis worker, with all semantics on: leases, fences, gates, books, beats.
//!
//! `nice cargo run --release -p windlass-benches --bin worker [-- RUNS JOBS OTHER_JOBS]`
//!
//! No HTTP and no schema check: jobs are made as code makes them. The files lie in the system's temporary folder;
//! set TMPDIR to measure another disk.

mod alone;

use std::io::Write;

use anyhow::Context;
use windlass::bench::progress::Phase;
use windlass::bench::workers::{self, PACED_PER_S};
use windlass_benches::filled::Filled;
use windlass_benches::{Row, Runs, percentile, print_rates};

const RUNS: usize = 5;
const JOBS: usize = 100_000;
pub const BATCH: usize = 1_000;
const PRODUCERS: usize = 64;
/// Jobs whose start latency is taken: three seconds of them.
const PACED_JOBS: usize = 600;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_alone = arguments.next_if(|argument| argument == alone::ARGUMENT).is_some();
    let mut number = |default: usize| -> anyhow::Result<usize> {
        arguments
            .next()
            .map_or(Ok(default), |text| text.parse().context("RUNS, JOBS and OTHER_JOBS are numbers"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if is_alone {
        return runtime.block_on(alone::measure(number(JOBS)?, number(0)?));
    }
    let (runs, jobs, others) = (number(RUNS)?, number(JOBS)?, number(0)?);
    runtime.block_on(measure(runs, jobs, others))?;
    drop(runtime);
    alone::spawn(jobs, others)
}

async fn measure(runs: usize, jobs: usize, others: usize) -> anyhow::Result<()> {
    let row = |what: String, ceiling| Row { what, ours: Runs::default(), ceiling };
    let mut rows = [
        row(format!("enqueue, batches of {BATCH}"), Some(Runs::default())),
        row(format!("enqueue, one by one, {PRODUCERS} producers"), Some(Runs::default())),
        row("drain of no-op jobs, one worker process".to_owned(), Some(Runs::default())),
        row(format!("both at once, {PRODUCERS} producers one by one"), None),
    ];
    let (mut p50, mut p99) = (Runs::default(), Runs::default());
    // A million rows take a while: they are written once, and what the runs leave behind comes on top.
    let kept = Filled::with(others).await?;
    for _ in 0..runs {
        let fresh = Filled::with(0).await?;
        let filled = if others == 0 { &fresh } else { &kept };
        let silent = Phase::silent();
        let singles = jobs / PRODUCERS * PRODUCERS;
        rows[0].ours.add(filled.enqueue_batches(jobs, BATCH, &silent).await?.per_s);
        rows[2].ours.add(workers::drain(filled, jobs, &silent).await?.per_s);
        let singly = filled.enqueue_singly(singles, PRODUCERS, &silent).await?;
        rows[1].ours.add(singly.per_s);
        workers::drain(filled, singly.jobs, &silent).await?;
        rows[3].ours.add(workers::both_ways(filled, singles, PRODUCERS, &silent).await?.per_s);
        let waits = workers::start_waits_ms(filled, PACED_JOBS, &silent).await?;
        p50.add(percentile(&waits, 0.5));
        p99.add(percentile(&waits, 0.99));
        let bare = fresh.bare()?;
        let ceilings = [
            bare.enqueue(filled, jobs, BATCH, &silent).await?,
            // As many to a commit as there are producers.
            bare.enqueue(filled, jobs, PRODUCERS, &silent).await?,
            bare.drain(2 * jobs, &silent).await?,
        ];
        for (row, ceiling) in rows.iter_mut().zip(ceilings) {
            row.ceiling.get_or_insert_default().add(ceiling.per_s);
        }
    }
    let title = format!("{jobs} jobs a run, {runs} runs, {others} other jobs in the file");
    print_rates(&title, &rows)?;
    let (least, most) = p99.range();
    writeln!(
        std::io::stdout(),
        "{:<58} {:>10.2} ms p50, {:.2} ms p99 ({least:.2}-{most:.2})",
        format!("enqueue -> start at {}/s", PACED_PER_S),
        p50.median(),
        p99.median()
    )?;
    Ok(())
}
