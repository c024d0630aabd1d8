//! How soon a job starts on a system that does nothing else.

use std::time::Duration;

use windlass::bench::progress::Phase;
use windlass::bench::subject::Subject;
use windlass::bench::toy::Toy;
use windlass::bench::workers::{Running, start_waits_ms};
use windlass_benches::percentile;

use crate::server::Server;
use crate::{Sizes, report};

/// Jobs whose start is looked at, at most.
const STARTS_MAX: usize = 2_000;
/// Delayed jobs come due one after another, so far apart that each meets an idle system.
const APART: Duration = Duration::from_millis(20);
const DELAYED_MAX: usize = 250;
/// Until the first of them is due.
const LEAD: Duration = Duration::from_secs(1);

pub async fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let subject = server.subject("starts").await?;
    let waits = start_waits_ms(&subject, sizes.jobs.min(STARTS_MAX), &Phase::silent()).await?;
    let told = [0.5, 0.99, 1.0].map(|p| format!("{:.2}", percentile(&waits, p)));
    report::line("enqueue to start at 200/s, p50 ms", &told[0], "")?;
    report::line("  .. p99 ms", &told[1], "<= 3")?;
    report::line("  .. longest ms", &told[2], "")?;

    let late = lateness_ms(&subject, sizes.jobs.min(DELAYED_MAX)).await?;
    let told = [0.0, 0.5, 0.99, 1.0].map(|p| format!("{:.2}", percentile(&late, p)));
    report::line("delayed job, start after its time, p50 ms", &told[1], "")?;
    report::line("  .. p99 ms", &told[2], "< 20")?;
    report::line("  .. earliest to latest ms", &format!("{}-{}", told[0], told[3]), ">= 0")
}

/// Milliseconds from the time of each delayed job until it started; less than 0: it started too early.
async fn lateness_ms(subject: &Subject, n: usize) -> anyhow::Result<Vec<f64>> {
    let mut running = Running::on(subject, &Phase::silent());
    let first = subject.clock.now() + LEAD;
    let jobs = (0..n).map(|nth| {
        let due = first + APART * u32::try_from(nth).unwrap_or(u32::MAX);
        Toy::timed(due, subject.payload_bytes).job(&subject.clock).run_at(due)
    });
    subject.store.enqueue(jobs.collect()).await?;
    running.until_completed(n).await?;
    let late = running.take_waits_ms();
    running.stop().await?;
    Ok(late)
}
