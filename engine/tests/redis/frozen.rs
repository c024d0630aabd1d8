//! A server that says nothing while its connections stand: as behind a half-open socket.

use std::time::Duration;

use windlass_engine::store::redis::RedisSettings;
use windlass_engine::store::{Ask, Enqueued, Settled};
use windlass_engine::{Store, StoreError};
use windlass_servers::Redis;

use crate::jobs::*;
use crate::storm::Storm;

fn impatient(redis: &Redis) -> RedisSettings {
    RedisSettings { answer_max: Duration::from_millis(300), ..settings(redis.url()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_given_up_in_time_and_taken_again_when_it_speaks() {
    let redis = Redis::start();
    let store = open(impatient(&redis)).await;
    add(&store, vec![job("held"), job("mail").queue("mail")]).await;
    let taken = take(&store, 1).await;
    let blocked = async || redis.cli(&["info", "clients"]).contains("blocked_clients:1");
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.reserve(Ask { wait: LONG, ..ask(1) }).await }
    });
    eventually("the ask waits", blocked).await;
    redis.freeze();

    for _ in 0..2 {
        let refusal = soon("an answer in time", store.enqueue(vec![job("unsure")])).await.unwrap_err();
        assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
        assert!(refusal.to_string().contains("does not answer in time"), "{refusal}");
    }
    // The ask that waits notices when its blocking call is overdue, looks, and hears that nobody answers.
    let refusal = soon("the ask ends", waiting).await.unwrap().unwrap_err();
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
    let waiting = tokio::spawn(ask_until_there_is_one(store.clone()));
    redis.thaw();

    assert_eq!(complete(&store, &taken).await, [Settled::Done], "what was held is held");
    // It may have been stored from the connection that was given up.
    let again = store.enqueue(vec![job("unsure")]).await.unwrap().remove(0);
    assert!(matches!(again, Enqueued::New | Enqueued::Exists { .. }), "{again:?}");
    let resumed = soon("the ask resumes by itself", waiting).await.unwrap();
    assert_eq!(resumed.id.as_str(), "unsure");
    assert_eq!(complete(&store, &[resumed]).await, [Settled::Done]);
    assert_balanced(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_ends_twice_when_the_server_falls_silent() {
    let redis = Redis::start();
    let storm = Storm::begin(open(impatient(&redis)).await);
    for _ in 0..3 {
        storm.blows_on(100).await;
        redis.freeze();
        let failed = storm.failed();
        eventually("calls are given up", async || storm.failed() >= failed + 4).await;
        redis.thaw();
    }
    storm.blows_on(100).await;
    storm.calm().await;
}
