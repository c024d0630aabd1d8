//! What the metrics cost: the same jobs drained with the recorder and without, in turns.
//!
//! `nice cargo run --release -p windlass-benches --bin metrics [-- PAIRS JOBS]`
//!
//! A process has one recorder for ever, so each run is a process of its own. With the recorder the figures are rendered once a
//! second, as for a Prometheus that is in a hurry; without it every count is a call that does nothing. Two measures of the
//! drain: jobs a second, which neighbours on the machine disturb, and the CPU time of a job, which they disturb less.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use windlass::bench::figures::Pairs;
use windlass::bench::progress::Phase;
use windlass::bench::workers;
use windlass::telemetry::Metrics;
use windlass_benches::filled::Filled;
use windlass_benches::process::Process;
use windlass_engine::Clock;

const PAIRS: usize = 11;
const JOBS: usize = 300_000;
const BATCH: usize = 1_000;
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// What the metrics may cost.
const COST_MAX: f64 = 0.02;
/// The arguments that make this program one run.
const WITH: &str = "with";
const WITHOUT: &str = "without";

/// One run.
struct Drained {
    per_s: f64,
    cpu_us_a_job: f64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let one_run = arguments.next_if(|argument| argument == WITH || argument == WITHOUT);
    let mut number = |default: usize| -> anyhow::Result<usize> {
        arguments.next().map_or(Ok(default), |text| text.parse().context("PAIRS and JOBS are numbers"))
    };
    if let Some(how) = one_run {
        let jobs = number(JOBS)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let Drained { per_s, cpu_us_a_job } = runtime.block_on(drain(how == WITH, jobs))?;
        writeln!(std::io::stdout(), "{per_s} {cpu_us_a_job}")?;
        return Ok(());
    }
    let (pairs, jobs) = (number(PAIRS)?, number(JOBS)?);
    let (mut rates, mut cpu) = (Pairs::default(), Pairs::default());
    for nth in 0..pairs {
        // Whoever goes second meets a warmer machine: each does in its turn.
        let (with, without) = if nth % 2 == 0 {
            let with = in_a_process(WITH, jobs)?;
            (with, in_a_process(WITHOUT, jobs)?)
        } else {
            let without = in_a_process(WITHOUT, jobs)?;
            (in_a_process(WITH, jobs)?, without)
        };
        rates.add(with.per_s, without.per_s);
        cpu.add(with.cpu_us_a_job, without.cpu_us_a_job);
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{jobs} no-op jobs drained a run, {pairs} pairs of runs; medians, and the range of the pairs' ratios"
    )?;
    tell(&mut out, "jobs a second", &rates, 1.0 - rates.ratios().median())?;
    tell(&mut out, "CPU time of a job, us", &cpu, cpu.ratios().median() - 1.0)?;
    Ok(())
}

fn tell(out: &mut impl Write, what: &str, pairs: &Pairs, cost: f64) -> std::io::Result<()> {
    let (least, most) = pairs.ratios().range();
    let word = if cost < COST_MAX { "less than" } else { "NOT less than" };
    writeln!(
        out,
        "{what:<22} with {:>10.2}  without {:>10.2}  ratio {:.3} ({least:.3}-{most:.3}): metrics cost {:.1} %, {word} {:.0} %",
        pairs.ours.median(),
        pairs.bare.median(),
        pairs.ratios().median(),
        cost * 100.0,
        COST_MAX * 100.0
    )
}

fn in_a_process(how: &str, jobs: usize) -> anyhow::Result<Drained> {
    let run = Command::new(std::env::current_exe()?).args([how, &jobs.to_string()]).output()?;
    ensure!(run.status.success(), "a run failed: {}", String::from_utf8_lossy(&run.stderr));
    let told = String::from_utf8_lossy(&run.stdout);
    let (per_s, cpu) = told.trim().split_once(' ').context("a run tells two figures")?;
    Ok(Drained { per_s: per_s.parse()?, cpu_us_a_job: cpu.parse()? })
}

async fn drain(with: bool, jobs: usize) -> anyhow::Result<Drained> {
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
    let before = Process::this().cpu_time()?;
    let per_s = workers::drain(&filled, jobs, &silent).await?.per_s;
    let used = Process::this().cpu_time()? - before;
    Ok(Drained { per_s, cpu_us_a_job: used.as_secs_f64() * 1e6 / jobs as f64 })
}
