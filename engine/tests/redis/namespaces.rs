//! Installations side by side on one server.

use windlass_engine::gate::Pause;
use windlass_engine::store::redis::RedisSettings;
use windlass_engine::store::{Claim, Enqueued, Filter, Settled, WorkerBeat};
use windlass_engine::{Clock, NewJob, Store, StoreError, Unique};
use windlass_servers::Redis;

use crate::jobs::*;

fn keyed(id: &str) -> NewJob {
    NewJob { unique: Some(Unique { key: "1001".into(), window: None }), ..job(id) }
}

#[tokio::test]
async fn two_namespaces_never_see_each_other() {
    let (here, there) = (open(settings(Redis::shared())).await, open(settings(Redis::shared())).await);
    let now = Clock::system().now();
    let beat = WorkerBeat {
        name: "w1".into(),
        host: "h".into(),
        version: "1".into(),
        started_at: now,
        queues: Vec::new(),
        slots: 1,
        running: 0,
    };
    add(&here, vec![keyed("a"), job("b")]).await;
    here.pause("mail", Some(Pause { by: "ops".into(), reason: "test".into(), at: now })).await.unwrap();
    assert!(here.move_cursor("nightly", None, now).await.unwrap());
    here.beat(beat).await.unwrap();

    assert_eq!(there.stats().await.unwrap().len(), 0);
    assert_eq!(state(&there, "a").await, None);
    assert!(there.list(Filter { limit: 10, ..Filter::default() }).await.unwrap().jobs.is_empty());
    assert_eq!(there.cursor("nightly").await.unwrap(), None);
    assert!(there.workers(LONG).await.unwrap().is_empty());
    assert!(there.events(0, 10).await.unwrap().is_empty());
    assert!(take(&there, 10).await.is_empty());

    // The same ids and keys again, which are free here.
    add(&there, vec![keyed("a"), job("b")]).await;
    let (mine, theirs) = (take(&here, 10).await, take(&there, 10).await);
    assert_eq!((mine.len(), theirs.len()), (2, 2));
    assert_eq!(complete(&here, &mine).await, [Settled::Done; 2]);
    assert_eq!(there.enqueue(vec![keyed("c")]).await.unwrap(), [Enqueued::Duplicate { of: id_of("a") }]);
    assert_eq!(there.stats().await.unwrap()[0].counts.running, 2, "what ended there runs on here");
    for store in [here, there] {
        assert_balanced(&store).await;
    }
}

#[tokio::test]
async fn a_name_that_begins_like_another_is_another() {
    let long = settings(Redis::shared());
    let short =
        RedisSettings { namespace: long.namespace[..long.namespace.len() - 1].to_owned(), ..long.clone() };
    let (long, short) = (open(long).await, open(short).await);
    add(&long, jobs("a", 1)).await;
    assert!(take(&short, 1).await.is_empty());
    assert_eq!(short.stats().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_namespace_is_claimed_once_and_for_ever() {
    let settings = settings(Redis::shared());
    let (one, other) = (open(settings.clone()).await, open(settings.clone()).await);
    assert_eq!(one.claim("ledger-1").await.unwrap(), Claim::New);
    assert_eq!(one.claim("ledger-1").await.unwrap(), Claim::Known);
    assert_eq!(other.claim("ledger-1").await.unwrap(), Claim::Known);
    let refusal = other.claim("ledger-2").await.unwrap_err();
    assert!(matches!(refusal, StoreError::Invalid(_)), "{refusal:?}");
    for says in ["ledger-1", "ledger-2", "QUEUE_NAMESPACE"] {
        assert!(refusal.to_string().contains(says), "{refusal}");
    }
    assert_eq!(
        open(settings).await.claim("ledger-1").await.unwrap(),
        Claim::Known,
        "the refusal changed nothing"
    );
}

#[tokio::test]
async fn of_many_that_claim_at_once_one_is_new() {
    let settings = settings(Redis::shared());
    let mut claims = Vec::new();
    for _ in 0..8 {
        let store = open(settings.clone()).await;
        claims.push(tokio::spawn(async move { store.claim("ledger").await.unwrap() }));
    }
    let mut new = 0;
    for claim in claims {
        new += u32::from(soon("a claim", claim).await.unwrap() == Claim::New);
    }
    assert_eq!(new, 1);
}
