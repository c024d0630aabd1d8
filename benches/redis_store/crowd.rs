//! Whether a queue of millions is as fast as an empty one: two namespaces on one server, in turns.

use std::time::{Duration, Instant};

use anyhow::ensure;
use windlass::bench::figures::Pairs;
use windlass::bench::progress::Phase;
use windlass::bench::subject::Subject;
use windlass::bench::toy::Toy;
use windlass::bench::{BATCH, in_turns};
use windlass_benches::per_second;
use windlass_engine::Job;

use crate::server::Server;
use crate::{Sizes, report};

/// The others are not due while anything is measured.
const FAR_OFF: Duration = Duration::from_secs(24 * 3_600);
/// Jobs that a loop takes at once.
const TAKEN: u32 = 200;
/// Calls of `stats` in one measurement.
const LOOKS: usize = 50;

/// Figures of one namespace in one pair, each per second.
struct Speeds {
    enqueue: f64,
    reserve: f64,
    stats: f64,
}

pub async fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let (crowded, lean) = (server.subject("crowded").await?, server.subject("lean").await?);
    let silent = Phase::silent();
    crowded.enqueue_batches(sizes.others, BATCH, &silent).await?;
    let far_off = crowded.clock.now() + FAR_OFF;
    crowded.enqueue_batches_of(sizes.others, BATCH, &silent, |subject| subject.toy().run_at(far_off)).await?;
    let mut taken: [Pairs; 3] = Default::default();
    for pair in 0..sizes.pairs {
        let (crowd, none) =
            in_turns(pair, || speeds(&crowded, sizes.jobs), || speeds(&lean, sizes.jobs)).await?;
        taken[0].add(crowd.enqueue, none.enqueue);
        taken[1].add(crowd.reserve, none.reserve);
        taken[2].add(crowd.stats, none.stats);
    }
    let [enqueue, reserve, stats] = taken;
    let other = "an empty queue";
    report::pairs("crowded: enqueue, batches of 1,000", &enqueue, other, ">= 0.80")?;
    report::pairs("crowded: reserve and settle, 2 loops of 200", &reserve, other, ">= 0.80")?;
    report::pairs("crowded: stats", &stats, other, ">= 0.80")?;
    lean.check_drained(Toy::QUEUE).await
}

/// Adds `n` jobs and takes as many: from the crowd, the oldest.
async fn speeds(subject: &Subject, n: usize) -> anyhow::Result<Speeds> {
    let enqueue = subject.enqueue_batches(n, BATCH, &Phase::silent()).await?.per_s;
    let began = Instant::now();
    let one_loop = |n| subject.drain_by_hand(Toy::QUEUE, n, TAKEN);
    let (one, other) = tokio::try_join!(one_loop(n / 2), one_loop(n - n / 2))?;
    let reserve = per_second(n, began);
    ensure!(one + other == n, "{} of {n} jobs were there", one + other);
    let began = Instant::now();
    for _ in 0..LOOKS {
        subject.store.stats().await?;
    }
    Ok(Speeds { enqueue, reserve, stats: per_second(LOOKS, began) })
}
