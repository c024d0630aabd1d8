//! Asks whose askers go away: what they would have got goes back, before the process ends.

use std::future::poll_fn;
use std::task::Poll;

use windlass_engine::Store;
use windlass_engine::store::Ask;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_servers::Redis;

use crate::jobs::*;

const JOBS: usize = 20;

/// A server with jobs, and somebody who looks at them from beside.
async fn stocked() -> (Redis, RedisSettings, RedisStore) {
    let redis = Redis::start();
    let settings = settings(redis.url());
    let beside = open(settings.clone()).await;
    add(&beside, jobs("a", JOBS)).await;
    (redis, settings, beside)
}

async fn counts(store: &RedisStore) -> (u64, u64) {
    let counts = store.stats().await.unwrap().remove(0).counts;
    (counts.ready, counts.running)
}

/// All are ready, and no attempt was used.
async fn all_are_back(store: &RedisStore) {
    assert_eq!(counts(store).await, (JOBS as u64, 0));
    for job in store.reserve(ask(JOBS as u32)).await.unwrap().deliveries {
        assert_eq!((job.attempt, job.crashes), (1, 0), "{}", job.id);
    }
}

/// Polls the ask once: it is on its way.
async fn begun(asking: impl Future + Unpin) {
    let mut asking = asking;
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut asking).poll(cx).is_ready())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_looked_at_goes_back() {
    let (_redis, settings, beside) = stocked().await;
    let store = open(settings).await;
    let mut asking = Box::pin(store.reserve(ask(JOBS as u32)));
    begun(&mut asking).await;
    eventually("the script has handed them out", async || counts(&beside).await.1 == JOBS as u64).await;
    // A call after it on the same connection: the answer has come by then.
    store.ping().await.unwrap();
    drop(asking);
    store.await_returns().await;
    all_are_back(&beside).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_awaited_the_returns_takes_nothing_with_it() {
    let (_redis, settings, beside) = stocked().await;
    for _ in 0..20 {
        let settings = settings.clone();
        let process = std::thread::spawn(move || {
            let process =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            process.block_on(async {
                let store = open(settings).await;
                let asking = Box::pin(store.reserve(Ask { wait: LONG, ..ask(JOBS as u32) }));
                begun(asking).await;
                store.await_returns().await;
            });
            process.shutdown_background();
        });
        tokio::task::spawn_blocking(|| process.join().unwrap()).await.unwrap();
        assert_eq!(counts(&beside).await, (JOBS as u64, 0));
    }
    all_are_back(&beside).await;
}
