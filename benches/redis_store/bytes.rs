//! What a job takes of Redis' memory in each state that many jobs are in.

use std::time::Duration;

use windlass::bench::progress::Phase;
use windlass::bench::toy::Toy;
use windlass::bench::{BATCH, workers};
use windlass_engine::Job;

use crate::server::Server;
use crate::{Sizes, report};

const FAR_OFF: Duration = Duration::from_secs(24 * 3_600);

pub async fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let silent = Phase::silent();
    let used = || server.info("memory", "used_memory");
    let told = |what: &str, bytes: f64, jobs: u64, target: &str| {
        report::line(what, &format!("{:.0}", bytes / jobs as f64), target)
    };
    let subject = server.subject("bytes").await?;
    // One batch first: what there is once for all jobs is not a job's.
    subject.enqueue_batches(BATCH, BATCH, &silent).await?;
    let empty = used()?;
    let ready = subject.enqueue_batches(sizes.jobs, BATCH, &silent).await?.jobs as u64;
    told("bytes of Redis' memory, a ready job", used()? - empty, ready, "(design: 417-429)")?;

    workers::drain(&subject, sizes.jobs + BATCH, &silent).await?;
    let stats = subject.store.stats().await?;
    let kept = stats.iter().find(|stats| stats.queue == Toy::QUEUE).map_or(0, |stats| stats.counts.completed);
    if kept > 0 {
        told("  .. a completed job that is kept", used()? - empty, kept, "")?;
    }

    let later = server.subject("bytes-later").await?;
    let far_off = later.clock.now() + FAR_OFF;
    let delayed = |subject: &windlass::bench::subject::Subject| subject.toy().run_at(far_off);
    later.enqueue_batches_of(BATCH, BATCH, &silent, delayed).await?;
    let before = used()?;
    let scheduled = later.enqueue_batches_of(sizes.jobs, BATCH, &silent, delayed).await?.jobs as u64;
    told("  .. a scheduled job", used()? - before, scheduled, "(design: 518)")
}
