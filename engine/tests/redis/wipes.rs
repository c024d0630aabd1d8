//! A server that is wiped, or goes back in time, under a store that runs.

use windlass_engine::store::{Claim, Settled};
use windlass_engine::{State, Store};
use windlass_servers::Redis;

use crate::jobs::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_server_goes_on_without_what_it_had() {
    let redis = Redis::start();
    let settings = settings(redis.url());
    let (store, other) = (open(settings.clone()).await, open(settings).await);
    store.claim("ledger").await.unwrap();
    add(&store, vec![job("a"), job("b")]).await;
    let before = take_one(&store).await;
    let waiting = tokio::spawn(ask_until_there_is_one(other.clone()));
    soon("the ask takes what is left", waiting).await.unwrap();
    let waiting = tokio::spawn(ask_until_there_is_one(other.clone()));
    redis.cli(&["flushall"]);
    redis.cli(&["script", "flush"]);

    assert_eq!(state(&store, "a").await, None);
    assert_eq!(store.claim("ledger").await.unwrap(), Claim::New, "its owner sees that it is another");
    assert_eq!(complete(&store, std::slice::from_ref(&before)).await, [Settled::FencedOut]);
    add(&store, vec![job("a")]).await;
    let after = soon("the ask that waited over the wipe", waiting).await.unwrap();
    assert_eq!(after.id.as_str(), "a");
    assert_ne!(after.token, before.token);
    assert_eq!(complete(&store, &[before]).await, [Settled::FencedOut], "a delivery of before ends nothing");
    assert_eq!(complete(&other, &[after]).await, [Settled::Done]);
    assert_balanced(&store).await;
    let counts = store.stats().await.unwrap()[0].counts;
    assert_eq!((counts.accepted, counts.completed), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_scripts_are_given_again_to_whoever_calls_first() {
    let redis = Redis::start();
    let store = open(settings(redis.url())).await;
    let mut ended = 0;
    for round in 0..20 {
        redis.cli(&["script", "flush"]);
        let calls = (0..8).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                add(&store, vec![job(&format!("{round}-{n}"))]).await;
                let taken = take(&store, 1).await;
                complete(&store, &taken).await.len()
            })
        });
        for call in calls.collect::<Vec<_>>() {
            ended += call.await.unwrap();
        }
    }
    ended += complete(&store, &take(&store, 200).await).await.len();
    assert_eq!(ended, 160);
    assert_balanced(&store).await;
}

/// As after a power cut without fsync, a restart from a snapshot, or a failover to a replica that lagged behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_its_last_steps_repeats_no_token() {
    let mut redis = Redis::with(&["--appendonly", "no"]);
    let store = open(settings(redis.url())).await;
    add(&store, vec![job("a"), job("b")]).await;
    take_one(&store).await;
    assert_eq!(redis.cli(&["save"]).trim(), "OK");
    let before = take_one(&store).await;
    redis.kill();
    redis.start_again();

    eventually("the server is back", async || store.ping().await.is_ok()).await;
    assert_eq!(
        state(&store, "b").await,
        Some(State::Ready),
        "the snapshot does not know that it was handed out"
    );
    let again = take_one(&store).await;
    assert_eq!(again.id, before.id);
    assert_ne!(again.token, before.token, "the first worker could end or prolong the second's delivery");
    assert_eq!(complete(&store, &[before]).await, [Settled::FencedOut]);
    assert_eq!(complete(&store, &[again]).await, [Settled::Done]);
    assert_balanced(&store).await;
}
