//! A server that goes away and comes back.

use windlass_engine::store::{Enqueued, Settled};
use windlass_engine::{Store, StoreError};
use windlass_servers::Redis;

use crate::jobs::*;
use crate::storm::Storm;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_and_held_outlives_the_server() {
    let mut redis = Redis::start();
    let settings = settings(redis.url());
    let (store, worker) = (open(settings.clone()).await, open(settings).await);
    add(&store, vec![job("a"), job("b")]).await;
    let taken = take(&store, 2).await;
    let waiting = tokio::spawn(ask_until_there_is_one(worker.clone()));
    redis.kill();

    for _ in 0..3 {
        let refusal = store.enqueue(vec![job("c")]).await.unwrap_err();
        assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
    }
    let why = store.ping().await.unwrap_err().to_string();
    assert!(why.contains("nobody listens at the address of QUEUE_URL"), "{why}");
    assert!(store.settle(QUEUE, vec![completed(&taken[0])]).await.is_err());
    redis.start_again();

    eventually("it can be reached again", async || store.ping().await.is_ok()).await;
    let renewed = store.renew(QUEUE, taken.iter().map(held).collect(), LONG).await.unwrap();
    assert!(renewed.lost.is_empty() && renewed.cancelling.is_empty(), "{renewed:?}");
    assert_eq!(complete(&store, &taken).await, [Settled::Done; 2]);
    assert_eq!(store.enqueue(vec![job("c")]).await.unwrap(), [Enqueued::New]);
    let resumed = soon("the ask resumes by itself", waiting).await.unwrap();
    assert_eq!(resumed.id.as_str(), "c");
    assert_eq!(complete(&worker, &[resumed]).await, [Settled::Done]);
    assert_balanced(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_ends_twice_when_the_server_is_killed() {
    let mut redis = Redis::start();
    let storm = Storm::begin(open(settings(redis.url())).await);
    for _ in 0..3 {
        storm.blows_on(200).await;
        redis.kill();
        let failed = storm.failed();
        eventually("calls fail", async || storm.failed() > failed).await;
        redis.start_again();
    }
    storm.blows_on(200).await;
    storm.calm().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_ends_twice_when_every_connection_is_closed() {
    let redis = Redis::start();
    let storm = Storm::begin(open(settings(redis.url())).await);
    for _ in 0..10 {
        storm.blows_on(50).await;
        let closed = redis.cli(&["client", "kill", "type", "normal"]);
        assert_ne!(closed.trim(), "0", "there was a connection to close");
    }
    storm.blows_on(50).await;
    assert!(storm.failed() > 0, "a call was cut off");
    storm.calm().await;
}
