//! Who is woken, and how little an idle process asks.

use std::time::Duration;

use windlass_engine::store::redis::RedisStore;
use windlass_engine::store::{Ask, Delivery, Reserved};
use windlass_engine::{NewJob, Store};
use windlass_servers::Redis;

use crate::jobs::*;

const PROCESSES: usize = 8;

/// How often the server was called so, by `INFO commandstats`.
fn calls(redis: &Redis, command: &str) -> u64 {
    let all = redis.cli(&["info", "commandstats"]);
    let line = all.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

fn told(redis: &Redis, section: &str, field: &str) -> u64 {
    let all = redis.cli(&["info", section]);
    let value = all.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    value.unwrap_or_else(|| panic!("{field} is not in {all}")).trim().parse().unwrap()
}

async fn blocked(redis: &Redis, n: u64) {
    eventually("all wait for work", async || told(redis, "clients", "blocked_clients") == n).await;
}

/// Each has gone once around: whoever was woken has looked by then.
async fn all_went_around(redis: &Redis, n: u64) {
    let before = calls(redis, "blpop");
    eventually("all begin to wait anew", async || calls(redis, "blpop") >= before + 2 * n).await;
}

fn waiting(queue: &str) -> Ask {
    Ask { queue: queue.into(), wait: LONG, ..ask(1) }
}

fn wait_for_one(store: &RedisStore) -> tokio::task::JoinHandle<Reserved> {
    let store = store.clone();
    tokio::spawn(async move { store.reserve(waiting(QUEUE)).await.unwrap() })
}

/// As many processes, each of which waits for a job.
async fn processes(redis: &Redis) -> (Vec<RedisStore>, Vec<tokio::task::JoinHandle<Reserved>>) {
    let settings = settings(redis.url());
    let mut stores = Vec::new();
    for _ in 0..PROCESSES {
        stores.push(open(settings.clone()).await);
    }
    let asks = stores.iter().map(wait_for_one).collect();
    blocked(redis, PROCESSES as u64).await;
    (stores, asks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_job_wakes_one_process() {
    let redis = Redis::start();
    let (stores, asks) = processes(&redis).await;
    let before = calls(&redis, "evalsha");
    add(&stores[0], vec![job("a")]).await;
    let mut got = Vec::new();
    let (first, _, others) = soon("one of them gets it", futures_util::future::select_all(asks)).await;
    got.extend(first.unwrap().deliveries);
    assert_eq!(ids(&got), ["a"]);
    all_went_around(&redis, PROCESSES as u64).await;
    assert_eq!(calls(&redis, "evalsha") - before, 2, "one enqueue, one reserve");
    assert!(others.iter().all(|ask| !ask.is_finished()));
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_jobs_at_once_wake_as_many_processes_as_they_feed() {
    let redis = Redis::start();
    let (stores, asks) = processes(&redis).await;
    add(&stores[0], jobs("a", PROCESSES)).await;
    let mut got: Vec<Delivery> = Vec::new();
    for ask in asks {
        got.extend(soon("each gets one", ask).await.unwrap().deliveries);
    }
    got.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    assert_eq!(ids(&got), ["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-7"]);
    assert_balanced(&stores[0]).await;
}

/// Forty in turn: if each waited for the end of the blocking call, a second, the promise would come too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_joins_while_others_wait_is_heard_of_at_once() {
    let redis = Redis::start();
    let settings = settings(redis.url());
    let (store, producer) = (open(settings.clone()).await, open(settings).await);
    let join = |queue: &str| {
        let (store, ask) = (store.clone(), waiting(queue));
        tokio::spawn(async move { store.reserve(ask).await.unwrap() })
    };
    let first = join("queue-0");
    blocked(&redis, 1).await;
    let (producer, join) = (&producer, &join);
    let in_turn = async {
        for n in 1..=40 {
            let queue = format!("queue-{n}");
            let joiner = join(&queue);
            add(producer, vec![NewJob { queue, ..job(&format!("j-{n}")) }]).await;
            assert_eq!(joiner.await.unwrap().deliveries.len(), 1);
        }
    };
    soon("all joiners are woken", in_turn).await;
    assert!(!first.is_finished());
    first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_process_asks_less_than_five_times_a_second() {
    let redis = Redis::start();
    let store = open(settings(redis.url())).await;
    let asks: Vec<_> = (0..8)
        .map(|n| {
            let (store, ask) = (store.clone(), waiting(&format!("queue-{n}")));
            tokio::spawn(async move { store.reserve(ask).await })
        })
        .collect();
    blocked(&redis, 1).await;
    // The first turn has them all when the queues have joined; it is looked at from the next one on.
    let turn = async |n: u64| {
        let before = calls(&redis, "blpop");
        while calls(&redis, "blpop") < before + n {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("a turn", turn(2)).await;
    let looks_before = calls(&redis, "info");
    let before = told(&redis, "stats", "total_commands_processed");
    // A turn lasts two seconds, so the bound is twice as strict as the claim.
    soon("five turns", turn(5)).await;
    let after = told(&redis, "stats", "total_commands_processed");
    let looks = calls(&redis, "info") - looks_before;
    let asked = after - before - looks;
    assert!(asked < 5 * 5, "{asked} commands in ten seconds of doing nothing");
    assert!(asks.iter().all(|ask| !ask.is_finished()));
    asks.iter().for_each(tokio::task::JoinHandle::abort);
}
