//! Accepted is kept, whatever becomes of the process.

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::gate::{GateRules, Pause};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{CRASHES_MAX, Counts, Delivery, End, Enqueued, FaultCause, Settled, Settlement};
use windlass_engine::{Clock, State, Store, Timestamp};

use crate::child::{self, Process};
use crate::jobs::*;

const ACKNOWLEDGED_MIN: usize = 2_000;

/// Enqueues without end from many tasks, one by one and in batches, takes and settles some, and says what was
/// acknowledged.
async fn be_killed(path: &std::path::Path) {
    let store = Arc::new(SqliteStore::open(path, Clock::system()).unwrap());
    let producers = (0..8).map(|producer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0.. {
                let batch = if producer % 2 == 0 { 1 } else { 20 };
                let ids: Vec<String> = (0..batch).map(|k| format!("{producer}-{n}-{k}")).collect();
                let answers = store.enqueue(ids.iter().map(|id| job(id, 200)).collect()).await.unwrap();
                assert!(answers.iter().all(|answer| *answer == Enqueued::New));
                child::say(&format!("accepted {}", ids.join(" ")));
            }
        })
    });
    let producers: Vec<_> = producers.collect();
    loop {
        let taken = store.reserve(ask(30)).await.unwrap().deliveries;
        let done: Vec<_> = taken.iter().take(10).map(completed).collect();
        let ids: Vec<&str> = taken.iter().take(10).map(|delivery| delivery.id.as_str()).collect();
        store.settle(QUEUE, done).await.unwrap();
        child::say(&format!("completed {}", ids.join(" ")));
        assert!(!producers.iter().any(|producer| producer.is_finished()), "a producer failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_job_survives_a_kill() {
    if let Some(path) = child::path() {
        return be_killed(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut victim = Process::start("crashes::every_acknowledged_job_survives_a_kill", &path);
    let (mut accepted, mut done) = (Vec::new(), Vec::new());
    while let Some(line) = victim.hear() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("accepted") => accepted.extend(words),
            _ => done.extend(words),
        }
        if accepted.len() >= ACKNOWLEDGED_MIN {
            victim.kill();
        }
    }

    let store = SqliteStore::open(&path, Clock::system()).unwrap();
    for ids in accepted.chunks(1_000) {
        let states = store.states(ids.iter().map(|id| id_of(id)).collect()).await.unwrap();
        for (id, state) in ids.iter().zip(states) {
            assert!(state.is_some(), "{id} was accepted and is lost");
            assert_ne!(state, Some(State::Running), "{id} runs although its worker is dead");
        }
    }
    let states = store.states(done.iter().map(|id| id_of(id)).collect()).await.unwrap();
    assert!(states.iter().all(|state| *state == Some(State::Completed)), "what was settled stays settled");
    let audit = store.audit().await.unwrap().remove(0);
    assert!(audit.balanced(), "{audit:?}");
    assert!(audit.kept.accepted >= accepted.len() as u64 && audit.kept.ready > 0);
}

struct Reopened {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl Reopened {
    fn new() -> Self {
        let clock = Clock::by_hand(Timestamp::from_secs(1_767_585_600));
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(self.folder.path().join("queue.db"), self.clock.clone()).unwrap()
    }
}

async fn take_one(store: &SqliteStore) -> Delivery {
    store.reserve(ask(1)).await.unwrap().deliveries.remove(0)
}

async fn counts(store: &SqliteStore) -> Counts {
    store.stats().await.unwrap()[0].counts
}

#[tokio::test]
async fn reopening_puts_back_what_ran_at_once() {
    let file = Reopened::new();
    let store = file.open();
    store.enqueue(vec![job("a", 10), job("b", 10)]).await.unwrap();
    let before = take_one(&store).await;
    drop(store);

    let store = file.open();
    let view = store.get(&id_of("a")).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempt, view.crashes), (State::Ready, 1, 1));
    assert_eq!(view.faults[0].cause, FaultCause::Crashed);
    let late = store.settle(QUEUE, vec![completed(&before)]).await.unwrap();
    assert_eq!(late, [Settled::FencedOut]);
    let again = take_one(&store).await;
    assert_eq!((again.id.as_str(), again.attempt), ("a", 2), "it stands where it stood");
    let counts = counts(&store).await;
    assert_eq!((counts.accepted, counts.ready, counts.running), (2, 1, 1));
}

#[tokio::test]
async fn a_job_that_kills_every_process_goes_dead() {
    let file = Reopened::new();
    file.open().enqueue(vec![job("a", 10)]).await.unwrap();
    for _ in 0..CRASHES_MAX {
        take_one(&file.open()).await;
    }
    let view = file.open().get(&id_of("a")).await.unwrap().unwrap();
    assert_eq!((view.state, view.crashes), (State::Dead, CRASHES_MAX));
}

#[tokio::test]
async fn gates_counters_cursors_and_due_times_outlive_the_process() {
    let file = Reopened::new();
    let (now, minute) = (file.clock.now(), Duration::from_secs(60));
    let store = file.open();
    let rules = GateRules { concurrency_max: Some(7), ..GateRules::default() };
    let pause = Pause { by: "ops".into(), reason: "stocktaking".into(), at: now };
    store.enqueue(vec![job("a", 10), job("b", 10).run_at(now + minute)]).await.unwrap();
    let delivery = take_one(&store).await;
    let end = End::Snoozed { until: now + minute, why: "later".into() };
    let snoozed = Settlement { end, ..completed(&delivery) };
    store.settle(QUEUE, vec![snoozed]).await.unwrap();
    store.set_gate(QUEUE, rules.clone()).await.unwrap();
    store.pause(QUEUE, Some(pause.clone())).await.unwrap();
    store.move_cursor("nightly", None, now).await.unwrap();
    let (counts_before, seen) = (counts(&store).await, store.events(0, 100).await.unwrap());
    drop(store);

    let store = file.open();
    let stats = store.stats().await.unwrap().remove(0);
    assert_eq!((stats.gate.rules, stats.gate.paused, stats.counts), (rules, Some(pause), counts_before));
    assert_eq!(store.cursor("nightly").await.unwrap(), Some(now));
    store.pause(QUEUE, None).await.unwrap();
    file.clock.advance(minute);
    assert_eq!(store.reserve(ask(10)).await.unwrap().deliveries.len(), 2);
    let last_seen = seen.last().unwrap().seq;
    assert!(!store.events(last_seen, 10).await.unwrap().is_empty(), "events go on after those seen before");
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_file() {
    let file = Reopened::new();
    let store = file.open();
    let clone = store.clone();
    drop(store);
    clone.enqueue(vec![job("a", 10)]).await.unwrap();
    drop(clone);
    assert_eq!(counts(&file.open()).await.ready, 1);
    let log = file.folder.path().join("queue.db-wal");
    assert!(!log.exists() || log.metadata().unwrap().len() == 0, "the log was folded into the file");
}
