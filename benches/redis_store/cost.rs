//! What a worker process costs while it has nothing to do, and while it drains.

use std::time::Duration;

use windlass::bench::BATCH;
use windlass::bench::progress::Phase;
use windlass::bench::toy::Toy;
use windlass_engine::Job;

use crate::child::{Worker, until};
use crate::server::Server;
use crate::{Sizes, report};

const IDLE: Duration = Duration::from_secs(10);
/// After its start, before idleness is measured.
const SETTLING: Duration = Duration::from_secs(3);
const START_MAX: Duration = Duration::from_secs(20);
const DRAIN_MAX: Duration = Duration::from_secs(180);
/// The INFO with which the commands are counted.
const OUR_COMMANDS: f64 = 1.0;

pub async fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let subject = server.subject("cost").await?;
    let worker = Worker::start(server, "cost", false)?;
    let process = worker.process();
    until("the worker says that it lives", START_MAX, async || {
        Ok(!subject.store.workers(START_MAX).await?.is_empty())
    })
    .await?;
    tokio::time::sleep(SETTLING).await;
    let commands = || server.info("stats", "total_commands_processed");
    let before = commands()?;
    let redis = server.process()?;
    let (cpu, redis_cpu) = tokio::try_join!(process.cpu_percent_over(IDLE), redis.cpu_percent_over(IDLE))?;
    let told = (commands()? - before - OUR_COMMANDS) / IDLE.as_secs_f64();
    report::line("idle worker process: CPU, % of one core", &format!("{cpu:.2}"), "< 0.5")?;
    report::line("  .. commands of Redis a second", &format!("{told:.1}"), "")?;
    report::line("  .. CPU of Redis, % of one core", &format!("{redis_cpu:.2}"), "")?;
    report::line("  .. RSS, MiB", &format!("{:.1}", process.rss_mib()?), "< 14")?;

    subject.enqueue_batches(sizes.jobs, BATCH, &Phase::silent()).await?;
    until("the worker has drained the queue", DRAIN_MAX, async || {
        let stats = subject.store.stats().await?;
        Ok(stats.iter().all(|queue| queue.queue != Toy::QUEUE || queue.counts.live() == 0))
    })
    .await?;
    report::line("worker process under load: peak RSS, MiB", &format!("{:.1}", process.peak_rss_mib()?), "")?;
    report::line("  .. RSS afterwards, MiB", &format!("{:.1}", process.rss_mib()?), "")?;
    report::line("  .. peak RSS of Redis, MiB", &format!("{:.1}", redis.peak_rss_mib()?), "")?;
    worker.kill()?;
    subject.check_drained(Toy::QUEUE).await
}
