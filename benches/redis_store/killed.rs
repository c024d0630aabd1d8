//! A worker process is killed with its hands full: how long until another runs its jobs.

use std::time::{Duration, Instant};

use windlass::bench::progress::Phase;
use windlass::bench::toy::Toy;
use windlass::bench::workers::Running;
use windlass_engine::Job;
use windlass_engine::worker::WorkerSettings;

use crate::child::{SLOTS, Worker, until};
use crate::report;
use crate::server::Server;

const TAKEN_MAX: Duration = Duration::from_secs(20);

pub async fn measure(server: &Server) -> anyhow::Result<()> {
    let subject = server.subject("killed").await?;
    let jobs = SLOTS as usize;
    let worker = Worker::start(server, "killed", true)?;
    subject.enqueue_batches(jobs, jobs, &Phase::silent()).await?;
    until("the worker holds every job", TAKEN_MAX, async || {
        let stats = subject.store.stats().await?;
        Ok(stats.iter().any(|queue| queue.queue == Toy::QUEUE && queue.counts.running == u64::from(SLOTS)))
    })
    .await?;
    // The replica is up before: it is not its start that is measured.
    let mut replica = Running::on(&subject, &Phase::silent());
    worker.kill()?;
    let killed = Instant::now();
    replica.until_completed(1).await?;
    let first = killed.elapsed().as_secs_f64();
    replica.until_completed(jobs).await?;
    let last = killed.elapsed().as_secs_f64();
    replica.stop().await?;
    let lease = WorkerSettings::LEASE_DEFAULT.as_secs();
    let what = format!("SIGKILL of a worker with {jobs} jobs: first again, s");
    report::line(&what, &format!("{first:.1}"), "")?;
    report::line("  .. all again, s", &format!("{last:.1}"), &format!("< {} (2 leases)", 2 * lease))?;
    subject.check_drained(Toy::QUEUE).await
}
