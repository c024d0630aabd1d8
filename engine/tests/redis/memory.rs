//! A server near its maxmemory, and what the carrier keeps of its own accord.

use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::{Acted, Action, End, Enqueued, Settled, Settlement};
use windlass_engine::{Clock, JobId, NewJob, State, Store, StoreError};
use windlass_servers::Redis;

use crate::jobs::*;

const PAYLOAD_BYTES: usize = 2_000;

fn batch(n: usize) -> Vec<NewJob> {
    (0..100).map(|k| sized_job(&format!("{n}-{k}"), PAYLOAD_BYTES)).collect()
}

/// Enqueues until the carrier is full; answers how many jobs it took.
async fn fill(store: &RedisStore) -> u64 {
    for n in 0.. {
        match store.enqueue(batch(n)).await {
            Ok(answers) => assert!(answers.iter().all(|answer| *answer == Enqueued::New)),
            Err(StoreError::Full(why)) => {
                assert!(why.contains("maxmemory") && why.contains("jobs that are there go on"), "{why}");
                return n as u64 * 100;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_takes_no_job_and_ends_those_it_has() {
    let redis = Redis::with(&["--maxmemory", "12mb"]);
    let settings = settings(redis.url());
    let store = open(settings.clone()).await;
    store.claim("ledger").await.unwrap();
    let accepted = fill(&store).await;
    assert!(accepted > 1_000, "it took {accepted}");
    // Not only near its bound but beyond it: it refuses whatever might take more.
    redis.cli(&["config", "set", "maxmemory", "2mb"]);
    assert!(redis.cli(&["set", "more", "1"]).contains("OOM"));

    drop(store);
    let store = open(settings).await;
    store.claim("ledger").await.expect("who ends jobs must come in");
    store.ping().await.unwrap();
    let taken = take(&store, 500).await;
    assert_eq!(taken.len(), 500);
    let renewed = store.renew(QUEUE, taken.iter().map(held).collect(), LONG).await.unwrap();
    assert!(renewed.lost.is_empty());
    store.reap().await.unwrap();
    let released = store.settle(QUEUE, vec![Settlement { end: End::Released, ..completed(&taken[0]) }]);
    assert_eq!(released.await.unwrap(), [Settled::Done]);
    assert!(complete(&store, &taken[1..]).await.iter().all(|settled| *settled == Settled::Done));
    let last: JobId = batch(usize::try_from(accepted / 100 - 1).unwrap())[99].id.clone();
    assert_eq!(store.act(Action::Cancel, vec![last.clone()]).await.unwrap(), [Acted::Done]);
    assert_eq!(store.act(Action::Delete, vec![last]).await.unwrap(), [Acted::Done]);
    assert!(matches!(store.enqueue(batch(9_999)).await, Err(StoreError::Full(_))));
    assert_balanced(&store).await;

    redis.cli(&["config", "set", "maxmemory", "12mb"]);
    // All that were taken but the released one, and the cancelled one.
    let mut ended = 500;
    while ended < accepted {
        let taken = take(&store, 500).await;
        assert!(!taken.is_empty());
        complete(&store, &taken).await;
        ended += taken.len() as u64;
    }
    eventually("there is room again", async || store.enqueue(batch(9_999)).await.is_ok()).await;
    assert_eq!(state(&store, "9999-99").await, Some(State::Ready));
    let counts = store.stats().await.unwrap()[0].counts;
    assert_eq!((counts.accepted, counts.live()), (accepted + 100, 100));
    assert_balanced(&store).await;
}

/// What wakes goes on to another process when nobody here waits any more, also on a full server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_still_wakes_those_who_wait() {
    const ROUNDS: usize = 6;
    let redis = Redis::start();
    let settings = settings(redis.url());
    let (leaver, stayer) = (open(settings.clone()).await, open(settings).await);
    let later = Clock::system().now() + LONG;
    add(&stayer, jobs("j", ROUNDS).into_iter().map(|job| job.run_at(later)).collect()).await;
    redis.cli(&["config", "set", "maxmemory", "1mb"]);
    let both_wait = async || redis.cli(&["info", "clients"]).contains("blocked_clients:2");
    for n in 0..ROUNDS {
        let leaves = tokio::spawn(ask_until_there_is_one(leaver.clone()));
        let stays = tokio::spawn(ask_until_there_is_one(stayer.clone()));
        eventually("both wait", both_wait).await;
        leaves.abort();
        assert!(leaves.await.is_err_and(|ended| ended.is_cancelled()));
        let promoted = stayer.act(Action::Promote, vec![id_of(&format!("j-{n}"))]).await.unwrap();
        assert_eq!(promoted, [Acted::Done]);
        let taken = soon("who stayed is woken", stays).await.unwrap();
        assert_eq!(complete(&stayer, &[taken]).await, [Settled::Done]);
    }
    assert_balanced(&stayer).await;
}

/// Between two readings of how full it is, the server itself refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_refusal_means_full_and_nothing_was_stored() {
    let redis = Redis::start();
    let store = open(settings(redis.url())).await;
    let bound = |bytes: &str| redis.cli(&["config", "set", "maxmemory", bytes]);
    let (mut accepted, mut refused_by_server) = (0, false);
    for n in 0..200 {
        bound("0");
        eventually("there is room", async || {
            match store.enqueue(vec![job(&format!("room-{n}-{accepted}"))]).await {
                Ok(_) => true,
                Err(StoreError::Full(_)) => false,
                Err(other) => panic!("{other:?}"),
            }
        })
        .await;
        accepted += 1;
        bound("1mb");
        let StoreError::Full(why) = store.enqueue(vec![job(&format!("refused-{n}"))]).await.unwrap_err()
        else {
            panic!("not full")
        };
        assert_eq!(state(&store, &format!("refused-{n}")).await, None);
        if why.contains("is at its maxmemory") {
            refused_by_server = true;
            break;
        }
    }
    assert!(refused_by_server, "the server never came to refuse by itself");
    assert_eq!(store.stats().await.unwrap()[0].counts.accepted, accepted);
    assert_balanced(&store).await;
}

/// Jobs of which each ends before the next batch comes; answers the store.
async fn complete_many(settings: RedisSettings, batches: usize) -> RedisStore {
    let store = open(settings).await;
    for n in 0..batches {
        add(&store, jobs(&format!("{n}"), 100)).await;
        let taken = take(&store, 100).await;
        let result = serde_json::json!("r".repeat(500));
        let ends = taken.iter().map(|delivery| Settlement {
            end: End::Completed { result: Some(result.clone()), follow_ups: Vec::new() },
            ..completed(delivery)
        });
        assert_eq!(store.settle(QUEUE, ends.collect()).await.unwrap(), [Settled::Done; 100]);
    }
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_jobs_beyond_their_number_go_as_others_complete() {
    let settings = RedisSettings { completed_jobs_max: 300, ..settings(Redis::shared()) };
    let store = complete_many(settings, 20).await;
    let counts = store.stats().await.unwrap()[0].counts;
    assert!((300..=500).contains(&counts.completed), "{counts:?}");
    assert_eq!((counts.accepted, counts.completed + counts.pruned), (2_000, 2_000));
    assert_eq!(state(&store, "0-0").await, None, "the oldest went");
    assert_eq!(state(&store, "19-0").await, Some(State::Completed), "the newest is there");
    assert_balanced(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_jobs_beyond_their_bytes_go_as_others_complete() {
    let redis = Redis::start();
    let settings = RedisSettings { completed_bytes_max: 200_000, ..settings(redis.url()) };
    let key = |part| format!("{{windlass:{}}}:q:{QUEUE}:{part}", settings.namespace);
    let (books, large) = (key("n"), key("large"));
    let store = complete_many(settings, 20).await;
    let counts = store.stats().await.unwrap()[0].counts;
    assert!(counts.completed < 200_000 / 500 + 200, "{counts:?}");
    assert!(counts.completed > 100, "{counts:?}");
    assert_eq!((counts.accepted, counts.completed + counts.pruned), (2_000, 2_000));
    let booked: u64 = redis.cli(&["hget", &books, "large"]).trim().parse().unwrap();
    let sizes: Vec<u64> =
        redis.cli(&["hvals", &large]).lines().map(|size| size.trim().parse().unwrap()).collect();
    assert_eq!((sizes.len() as u64, sizes.iter().sum::<u64>()), (counts.completed, booked));
    let each = booked / counts.completed;
    assert!((500..900).contains(&each), "{booked} bytes for {} jobs", counts.completed);
    assert_balanced(&store).await;
}
