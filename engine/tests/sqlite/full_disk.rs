//! A full disk refuses, loses nothing, and is over when there is room again.

use std::process::Command;
use std::time::Duration;

use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Enqueued, Retention, Settled};
use windlass_engine::{Clock, State, Store, StoreError};

use crate::child::{self, Process};
use crate::jobs::*;

const PAYLOAD_BYTES: usize = 4_000;

/// Enqueues until the carrier refuses; answers the ids that it accepted.
async fn fill(store: &SqliteStore) -> Vec<String> {
    let mut accepted = Vec::new();
    for n in 0..100_000 {
        let ids: Vec<String> = (0..5).map(|k| format!("j{n}-{k}")).collect();
        match store.enqueue(ids.iter().map(|id| job(id, PAYLOAD_BYTES)).collect()).await {
            Ok(answers) => {
                assert!(answers.iter().all(|answer| *answer == Enqueued::New));
                accepted.extend(ids);
            }
            Err(StoreError::Unavailable(_)) => return accepted,
            Err(e) => panic!("a full disk is Unavailable, not {e:?}"),
        }
    }
    panic!("the disk did not fill");
}

/// Everything that was accepted is there, nothing else is, and the books balance.
async fn assert_kept(store: &SqliteStore, accepted: &[String]) {
    for ids in accepted.chunks(1_000) {
        let states = store.states(ids.iter().map(|id| id_of(id)).collect()).await.unwrap();
        assert!(states.iter().all(|state| *state == Some(State::Ready)));
    }
    let audit = store.audit().await.unwrap().remove(0);
    assert!(audit.balanced(), "{audit:?}");
    assert_eq!(audit.kept.accepted, accepted.len() as u64);
}

#[tokio::test]
async fn a_full_file_refuses_loses_nothing_and_takes_again_after_a_prune() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_max = Some(2 * 1024 * 1024);
    let store =
        SqliteStore::open_bounded(folder.path().join("queue.db"), Clock::system(), bytes_max).unwrap();
    let accepted = fill(&store).await;
    assert!(accepted.len() > 100);
    assert_kept(&store, &accepted).await;

    let taken = store.reserve(ask(100)).await.unwrap().deliveries;
    assert_eq!(taken.len(), 100, "a full file can still be worked off");
    let ends = store.settle(QUEUE, taken.iter().map(completed).collect()).await.unwrap();
    assert!(ends.iter().all(|end| *end == Settled::Done));
    let nothing = Retention { jobs_max: 0, completed_age_max: Duration::ZERO, dead_age_max: Duration::ZERO };
    assert_eq!(store.prune(nothing).await.unwrap(), 100);
    let answers = store.enqueue((0..50).map(|n| job(&format!("again{n}"), PAYLOAD_BYTES)).collect()).await;
    assert!(answers.unwrap().iter().all(|answer| *answer == Enqueued::New));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_fit_fails_none_of_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_max = Some(1024 * 1024);
    let store =
        SqliteStore::open_bounded(folder.path().join("queue.db"), Clock::system(), bytes_max).unwrap();
    for round in 0..20 {
        let huge = (0..500).map(|n| job(&format!("huge{n}"), PAYLOAD_BYTES)).collect();
        let small = |side: &str| vec![job(&format!("{side}{round}"), 10)];
        let (before, refused, after, ping) = tokio::join!(
            store.enqueue(small("before")),
            store.enqueue(huge),
            store.enqueue(small("after")),
            store.ping(),
        );
        assert_eq!((before.unwrap(), after.unwrap()), (vec![Enqueued::New], vec![Enqueued::New]));
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        ping.unwrap();
    }
    let audit = store.audit().await.unwrap().remove(0);
    assert!(audit.balanced() && audit.kept.accepted == 40, "{audit:?}");
}

/// Fills the disk as far as the limit lets it, then goes on when the parent has lifted it.
async fn meet_the_limit(path: &std::path::Path) {
    let store = SqliteStore::open(path, Clock::system()).unwrap();
    let accepted = fill(&store).await;
    assert!(!accepted.is_empty());
    assert_kept(&store, &accepted).await;
    child::say("full");
    child::listen();
    let answers = store.enqueue(vec![job("again", PAYLOAD_BYTES)]).await.unwrap();
    assert_eq!(answers, [Enqueued::New]);
    child::say("went on");
}

#[tokio::test]
async fn writes_that_the_system_refuses_are_answered_so_and_later_ones_succeed() {
    if let Some(path) = child::path() {
        return meet_the_limit(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let test = "full_disk::writes_that_the_system_refuses_are_answered_so_and_later_ones_succeed";
    let mut limited = Process::start_limited(test, &path, 2_048);
    assert_eq!(limited.hear().as_deref(), Some("full"));
    let lifted =
        Command::new("prlimit").args(["--pid", &limited.id().to_string(), "--fsize=unlimited"]).status();
    if lifted.is_ok_and(|status| status.success()) {
        limited.answer();
        assert_eq!(limited.hear().as_deref(), Some("went on"));
    } else {
        eprintln!("prlimit cannot lift the limit here: what comes after a full disk was not tried");
    }
    limited.kill();

    let store = SqliteStore::open(&path, Clock::system()).unwrap();
    let audit = store.audit().await.unwrap().remove(0);
    assert!(audit.balanced() && audit.kept.accepted > 100, "{audit:?}");
}
