//! What becomes due: by whose clock, and how much of it at once.

use std::collections::BTreeSet;
use std::time::Duration;

use windlass_engine::store::RESERVE_JOBS_MAX;
use windlass_engine::store::redis::RedisStore;
use windlass_engine::{Clock, State, Store, Timestamp};
use windlass_servers::Redis;

use crate::jobs::*;

const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);
/// What one script may move.
const SLICE_MAX: u64 = 500;

#[tokio::test]
async fn ten_thousand_due_at_one_instant_come_in_slices() {
    let clock = Clock::by_hand(NOON);
    let store = RedisStore::open(settings(Redis::shared()), clock.clone()).await.unwrap();
    let due = NOON + Duration::from_secs(60);
    let jobs: Vec<_> = jobs("a", 10_000).into_iter().map(|job| job.run_at(due)).collect();
    add(&store, jobs).await;
    assert!(take(&store, 1).await.is_empty());
    clock.advance(Duration::from_secs(60));

    let scheduled = async || store.audit().await.unwrap()[0].counted.scheduled;
    let (mut taken, mut waiting) = (BTreeSet::new(), scheduled().await);
    assert_eq!(waiting, 10_000);
    // The first asks want little, so that what is due is ahead of what is asked for.
    for jobs_max in [1, 1, 100].into_iter().chain(std::iter::repeat(RESERVE_JOBS_MAX)) {
        let deliveries = take(&store, jobs_max).await;
        let left = scheduled().await;
        assert!(waiting - left <= SLICE_MAX, "one ask moved {} jobs", waiting - left);
        waiting = left;
        for delivery in &deliveries {
            assert!(taken.insert(delivery.id.clone()), "{} was handed out twice", delivery.id);
        }
        if deliveries.is_empty() {
            break;
        }
    }
    assert_eq!((taken.len(), waiting), (10_000, 0), "an ask finds nothing only when nothing is due");
    assert_balanced(&store).await;
}

/// Due times and leases go by the server's clock: what is due is told by it, whatever ours says.
#[tokio::test]
async fn due_times_are_the_servers() {
    let redis = Redis::start();
    let store = open(settings(redis.url())).await;
    let server_now = || {
        let told = redis.cli(&["time"]);
        let mut lines = told.lines().map(|line| line.parse::<i64>().unwrap());
        Timestamp::from_micros(lines.next().unwrap() * 1_000_000 + lines.next().unwrap())
    };
    let past = server_now() - Duration::from_secs(1);
    add(&store, vec![job("late").run_at(past), job("far").run_at(past + LONG)]).await;
    assert_eq!(ids(&take(&store, 10).await), ["late"], "what is past is ready, what is to come is not");
    assert_eq!(state(&store, "far").await, Some(State::Scheduled));

    let soon_due = server_now() + Duration::from_millis(200);
    add(&store, vec![job("soon").run_at(soon_due)]).await;
    let taken = soon("the job comes due", ask_until_there_is_one(store.clone())).await;
    assert!(server_now() >= soon_due && taken.id.as_str() == "soon", "not before its time on the server");
    assert_balanced(&store).await;
}
