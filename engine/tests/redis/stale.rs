//! Entries in the lists of ready jobs whose jobs are over: those that cancelled ones leave behind, and one that should not be.

use std::collections::BTreeSet;

use windlass_engine::store::redis::RedisStore;
use windlass_engine::store::{Acted, Action, Settled};
use windlass_engine::{JobId, NewJob, Priority, Store};
use windlass_servers::Redis;

use crate::jobs::*;

const JOBS: usize = 3_000;
const ROUNDS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Ready,
    Cancelled,
    Completed,
}

fn some_job(id: &JobId) -> NewJob {
    job(id.as_str()).priority(Priority::ALL[id.as_str().len() % Priority::ALL.len()])
}

async fn act(store: &RedisStore, action: Action, ids: &[JobId]) {
    let acted = store.act(action, ids.to_vec()).await.unwrap();
    assert!(acted.iter().all(|acted| *acted == Acted::Done), "{action:?}: {acted:?}");
}

/// Completes up to so many; answers who they were.
async fn complete_some(store: &RedisStore, jobs_max: u32) -> Vec<JobId> {
    let taken = take(store, jobs_max).await;
    assert!(complete(store, &taken).await.iter().all(|settled| *settled == Settled::Done));
    taken.into_iter().map(|delivery| delivery.id).collect()
}

/// In each round many are cancelled, and of those some are retried by hand and some deleted and enqueued again: so one
/// id may stand in the lists several times, stale and live in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_that_lives_is_handed_out_once_whatever_stands_in_the_lists() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let redis = Redis::start();
    let settings = settings(redis.url());
    let gone = format!("{{windlass:{}}}:q:{QUEUE}:gone", settings.namespace);
    let store = open(settings).await;
    let all: Vec<JobId> = (0..JOBS).map(|n| id_of(&format!("j-{n}"))).collect();
    let mut stands = vec![Stand::Ready; JOBS];
    add(&store, all.iter().map(some_job).collect()).await;

    for _ in 0..ROUNDS {
        let mut choose = |stand: Stand, share: f64, stands: &mut [Stand], then: Stand| {
            let mut chosen: Vec<JobId> = Vec::new();
            for (id, now) in all.iter().zip(stands) {
                if *now == stand && chance.f64() < share {
                    *now = then;
                    chosen.push(id.clone());
                }
            }
            chosen
        };
        let cancelled = choose(Stand::Ready, 0.7, &mut stands, Stand::Cancelled);
        let retried = choose(Stand::Cancelled, 0.3, &mut stands, Stand::Ready);
        act(&store, Action::Cancel, &cancelled).await;
        act(&store, Action::Retry, &retried).await;
        let anew = choose(Stand::Cancelled, 0.3, &mut stands, Stand::Ready);
        act(&store, Action::Delete, &anew).await;
        add(&store, anew.iter().map(some_job).collect()).await;
        assert_balanced(&store).await;
        for id in complete_some(&store, 100).await {
            let place = all.iter().position(|known| *known == id).unwrap();
            assert!(stands[place] == Stand::Ready, "{id} is not ready and was handed out");
            stands[place] = Stand::Completed;
        }
    }
    assert!(redis.cli(&["hlen", &gone]).trim() != "0", "there are stale entries to be met");

    let mut left: BTreeSet<&JobId> =
        all.iter().zip(&stands).filter(|(_, stand)| **stand == Stand::Ready).map(|(id, _)| id).collect();
    while !left.is_empty() {
        let ended = complete_some(&store, 150).await;
        assert!(!ended.is_empty(), "{} jobs are ready and not handed out", left.len());
        for id in ended {
            assert!(left.remove(&id), "{id} is not ready, or came twice");
        }
    }
    assert!(take(&store, 1).await.is_empty());
    assert_balanced(&store).await;
    // What stands behind the last live job is dropped by whoever comes next for a job.
    add(&store, Priority::ALL.map(|priority| job(&format!("last-{priority:?}")).priority(priority)).into())
        .await;
    assert_eq!(complete_some(&store, 500).await.len(), Priority::ALL.len());
    assert_eq!(redis.cli(&["hlen", &gone]).trim(), "0", "no stale entry is left");
    assert_balanced(&store).await;
}

/// Between the two calls of a large ask its lease may run out, and others may end the job: then its payload is gone.
#[tokio::test]
async fn a_job_whose_record_says_that_it_is_over_is_not_run() {
    let redis = Redis::start();
    let settings = settings(redis.url());
    let records = format!("{{windlass:{}}}:jobs", settings.namespace);
    let store = open(settings).await;
    add(&store, vec![job("over"), job("lives")]).await;
    let end =
        "return redis.call('HSET', KEYS[1], ARGV[1], 'c' .. redis.call('HGET', KEYS[1], ARGV[1]):sub(2))";
    redis.cli(&["eval", end, "1", &records, "~over"]);
    let taken = take(&store, 10).await;
    assert_eq!(ids(&taken), ["lives"]);
}
