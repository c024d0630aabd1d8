//! apalis-redis: drain, start latency, retries, and many jobs due at once.

use std::time::Duration;

use apalis::prelude::{TaskBuilder, TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_core::backend::ext::BackendExt;
use apalis_redis::{Config, RedisStorage};
use futures_util::stream;
use tokio::task::JoinHandle;
use windlass_benches::percentile;
use windlass_engine::Clock;

use crate::seen::{Drained, PACED_JOBS, PACED_PER_S, POLL, SLOTS, Seen, Toy};
use crate::server::Redis;
use crate::{Measured, print, print_fact};

const PUSHED_AT_ONCE: usize = 1_000;
const JOBS_WITH_DEFAULTS: usize = 20_000;
const JOBS_TUNED: usize = 100_000;
const DUE_AT_ONCE: usize = 10_000;

pub async fn measure(redis: &Redis, runs: usize) -> anyhow::Result<()> {
    print_fact("", redis.described)?;
    let peer =
        Peer { redis, clock: Clock::system(), prefix: format!("windlass-bench-{}", std::process::id()) };
    let tuned = Config::default().batch_size(100).lock_tasks(false).emit_events(false);
    let settings = [
        ("apalis-redis, defaults", Config::default(), JOBS_WITH_DEFAULTS),
        ("apalis-redis, batches of 100", Config::default().batch_size(100), JOBS_WITH_DEFAULTS),
        ("apalis-redis, .. and no locks, no events", tuned.clone(), JOBS_TUNED),
    ];
    for (setting, config, jobs) in settings {
        let mut measured = Measured::of(setting, jobs);
        for nth in 0..runs {
            peer.run(&mut measured, &config, nth).await?;
        }
        print(&measured)?;
    }
    let failed = peer.always_failing(&tuned).await?;
    print_fact(
        "apalis-redis, a job that always fails",
        &format!("{} attempts within {:.1} s", failed.starts, failed.took.as_secs_f64()),
    )?;
    let (drained, ended) = peer.due_at_once(&tuned).await?;
    print_fact(
        &format!("apalis-redis, {DUE_AT_ONCE} jobs due at once"),
        &format!("{} done; the worker {}", drained.starts, ended.as_deref().unwrap_or("goes on")),
    )?;
    redis.forget(&peer.prefix)
}

struct Peer<'a> {
    redis: &'a Redis,
    clock: Clock,
    prefix: String,
}

impl Peer<'_> {
    async fn run(&self, measured: &mut Measured, config: &Config, nth: usize) -> anyhow::Result<()> {
        let name = measured.setting.replace([' ', ',', '.'], "");
        let drained = self.drain(config, measured.jobs, &format!("drain-{name}-{nth}")).await?;
        measured.drained_per_s.add(drained.per_s);
        if drained.starts < measured.jobs {
            measured.stalled_at.push(drained.starts);
        }
        let waits = self.paced(config, &format!("paced-{name}-{nth}")).await?.waits_ms;
        measured.p50_ms.add(percentile(&waits, 0.5));
        measured.p99_ms.add(percentile(&waits, 0.99));
        Ok(())
    }

    async fn drain(&self, config: &Config, jobs: usize, queue: &str) -> anyhow::Result<Drained> {
        let mut storage = self.storage(config, queue).await?;
        for _ in 0..jobs / PUSHED_AT_ONCE {
            storage.push_bulk((0..PUSHED_AT_ONCE).map(|_| Toy::new(&self.clock)).collect()).await?;
        }
        self.promote(storage.get_config()).await?;
        let seen = Seen::new(&self.clock);
        let worker = work(storage, queue, seen.clone());
        let drained = seen.until(jobs).await;
        worker.abort();
        Ok(drained)
    }

    /// Moves what was pushed to the list of active jobs, as the worker would. Every push goes to the set of
    /// scheduled jobs first, and the worker moves all that is due in one step: beyond some 8,000 jobs it ends with
    /// "too many results to unpack" (see [`Peer::due_at_once`]), and there would be nothing to measure.
    async fn promote(&self, config: &Config) -> anyhow::Result<()> {
        let mut conn =
            redis::Client::open(self.redis.url.as_str())?.get_multiplexed_async_connection().await?;
        loop {
            let (ids, _): (Vec<String>, Vec<i64>) = redis::cmd("ZPOPMIN")
                .arg(config.scheduled_jobs_set())
                .arg(PUSHED_AT_ONCE)
                .query_async::<Vec<(String, i64)>>(&mut conn)
                .await?
                .into_iter()
                .unzip();
            if ids.is_empty() {
                return Ok(());
            }
            redis::cmd("RPUSH").arg(config.active_jobs_list()).arg(ids).exec_async(&mut conn).await?;
        }
    }

    async fn paced(&self, config: &Config, queue: &str) -> anyhow::Result<Drained> {
        let mut storage = self.storage(config, queue).await?;
        let seen = Seen::new(&self.clock);
        let worker = work(storage.clone(), queue, seen.clone());
        let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / PACED_PER_S));
        for _ in 0..PACED_JOBS {
            pace.tick().await;
            storage.push(Toy::new(&self.clock)).await?;
        }
        let drained = seen.until(PACED_JOBS).await;
        worker.abort();
        Ok(drained)
    }

    async fn always_failing(&self, config: &Config) -> anyhow::Result<Drained> {
        let queue = "failing";
        let mut storage = self.storage(config, queue).await?;
        storage.push(Toy::new(&self.clock)).await?;
        let seen = Seen::failing(&self.clock);
        let worker = work(storage, queue, seen.clone());
        let drained = seen.until(usize::MAX).await;
        worker.abort();
        Ok(drained)
    }

    /// How far it came, and how the worker ended where it did.
    async fn due_at_once(&self, config: &Config) -> anyhow::Result<(Drained, Option<String>)> {
        let queue = "due";
        let mut storage = self.storage(config, queue).await?;
        let due_at = self.clock.wall().secs() as u64 + 1;
        let tasks = (0..DUE_AT_ONCE)
            .map(|_| TaskBuilder::new(Toy::new(&self.clock)).run_at_timestamp(due_at).build());
        storage.push_all(&mut stream::iter(tasks.collect::<Vec<_>>())).await?;
        let seen = Seen::new(&self.clock);
        let worker = work(storage, queue, seen.clone());
        let drained = seen.until(DUE_AT_ONCE).await;
        if !worker.is_finished() {
            worker.abort();
            return Ok((drained, None));
        }
        Ok((drained, Some(format!("ended: {}", worker.await?))))
    }

    async fn storage(&self, config: &Config, queue: &str) -> anyhow::Result<RedisStorage<Toy>> {
        let conn = apalis_redis::connect(self.redis.url.clone()).await?;
        let config = config.clone().queue(format!("{}-{queue}", self.prefix));
        Ok(RedisStorage::new(conn).with_config(config))
    }
}

/// Works until aborted; says why where it ends by itself.
fn work(storage: RedisStorage<Toy>, name: &str, seen: Seen) -> JoinHandle<String> {
    let worker = WorkerBuilder::new(name).backend(storage.poll_with_interval(POLL)).concurrency(SLOTS).build(
        move |toy: Toy| {
            let seen = seen.clone();
            async move { seen.started(&toy) }
        },
    );
    tokio::spawn(async move {
        match worker.run().await {
            Ok(()) => "without an error".to_owned(),
            Err(error) => error.to_string(),
        }
    })
}
