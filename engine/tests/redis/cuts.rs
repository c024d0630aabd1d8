//! Connections that break in the middle of a call or of its answer.

use windlass_engine::Store;
use windlass_servers::{After, Proxy, Redis};

use crate::jobs::*;
use crate::storm::Storm;

const CUTS_EACH_WAY_MIN: u64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_ends_twice_wherever_a_connection_breaks() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port(), seed);
    let storm = Storm::begin(open(settings(format!("redis://127.0.0.1:{}/", proxy.port()))).await);
    proxy.cut_after(Some(After { up: 500..40_000, down: 200..15_000 }));
    while proxy.cuts().0 < CUTS_EACH_WAY_MIN || proxy.cuts().1 < CUTS_EACH_WAY_MIN {
        storm.blows_on(20).await;
    }
    assert!(storm.failed() > 0, "a call was cut off");
    proxy.cut_after(None);
    storm.blows_on(50).await;
    storm.calm().await;
}

/// They are its own by then, and nobody else gets them before their lease is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ask_that_is_cut_off_between_its_two_calls_still_brings_its_jobs() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port(), 1);
    let store = open(settings(format!("redis://127.0.0.1:{}/", proxy.port()))).await;
    add(&store, (0..40).map(|n| sized_job(&format!("a-{n}"), 1_000)).collect()).await;
    // Enough for what the script answers, and not for the records.
    proxy.cut_after(Some(After { up: 1_000_000..1_000_001, down: 5_000..5_001 }));
    let asking = tokio::spawn({
        let store = store.clone();
        async move { store.reserve(ask(40)).await }
    });
    eventually("the records are cut off", async || proxy.cuts().1 > 0).await;
    proxy.cut_after(None);
    let deliveries = asking.await.unwrap().unwrap().deliveries;
    assert_eq!(deliveries.len(), 40);
    assert!(deliveries.iter().all(|job| (job.attempt, job.crashes) == (1, 0)));
}
