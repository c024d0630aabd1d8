//! Many tasks that enqueue, take and end jobs while somebody breaks the way to the server, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_engine::store::redis::RedisStore;
use windlass_engine::store::{Ask, Delivery, Enqueued, Settled};
use windlass_engine::{State, Store, StoreError};

use crate::jobs::*;

const TASKS: usize = 4;
/// Short: what a lost answer handed out comes back within the test.
const LEASE: Duration = Duration::from_secs(1);

/// What the tasks were told.
#[derive(Default)]
struct Told {
    /// Every id that was handed in until it was answered.
    accepted: BTreeSet<String>,
    /// Those answered `New`.
    new: BTreeSet<String>,
    /// How often the end of each counted.
    done: BTreeMap<String, u32>,
}

struct Shared {
    store: RedisStore,
    told: Mutex<Told>,
    /// Ends that counted, and calls that were cut off.
    ended: AtomicU64,
    failed: AtomicU64,
    stop: CancellationToken,
}

pub struct Storm {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Storm {
    pub fn begin(store: RedisStore) -> Self {
        let shared = Arc::new(Shared {
            store,
            told: Mutex::default(),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stop: CancellationToken::new(),
        });
        let task = |n| tokio::spawn(shared.clone().rage(n));
        Self { tasks: (0..TASKS).map(task).collect(), shared }
    }

    /// Calls that were cut off so far.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until so many more jobs have ended.
    pub async fn blows_on(&self, jobs: u64) {
        let ended = || self.shared.ended.load(Ordering::Relaxed);
        let enough = ended() + jobs;
        eventually("jobs end", async || {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a task failed");
            ended() >= enough
        })
        .await;
    }

    /// Lets the tasks end what they began, does what is left, and looks whether everything is as it was told.
    pub async fn calm(self) {
        self.shared.stop.cancel();
        for task in self.tasks {
            soon("a task hands in what it has", task).await.unwrap();
        }
        let store = self.shared.store.clone();
        eventually("every job is over", async || {
            store.reap().await.unwrap();
            let taken = store.reserve(Ask { lease: LEASE, ..ask(500) }).await.unwrap().deliveries;
            self.shared.end(&taken).await;
            store.stats().await.unwrap()[0].counts.live() == 0
        })
        .await;

        let told = std::mem::take(&mut *self.shared.told.lock().unwrap());
        assert!(told.new.is_subset(&told.accepted));
        let ids: Vec<_> = told.accepted.iter().map(|id| id_of(id)).collect();
        for some in ids.chunks(1_000) {
            for (id, state) in some.iter().zip(store.states(some.to_vec()).await.unwrap()) {
                assert_eq!(state, Some(State::Completed), "{id} was accepted and must have been done");
            }
        }
        let counts = store.stats().await.unwrap()[0].counts;
        assert_eq!(counts.accepted, ids.len() as u64, "each is stored once, however often it was handed in");
        assert_eq!(counts.completed, ids.len() as u64, "each ended once");
        for (id, times) in &told.done {
            assert_eq!(*times, 1, "{id} was ended {times} times");
        }
        assert_balanced(&store).await;
    }
}

impl Shared {
    async fn rage(self: Arc<Self>, task: usize) {
        for round in 0.. {
            if self.stop.is_cancelled() {
                return;
            }
            self.hand_in((0..round % 8 + 1).map(|k| format!("{task}-{round}-{k}")).collect()).await;
            let wait = Duration::from_millis(if round % 3 == 0 { 20 } else { 0 });
            match self.store.reserve(Ask { lease: LEASE, wait, ..ask(10) }).await {
                Ok(reserved) => self.end(&reserved.deliveries).await,
                Err(error) => self.was_cut_off(error).await,
            }
            if round % 16 == 0
                && let Err(error) = self.store.reap().await
            {
                self.was_cut_off(error).await;
            }
        }
    }

    /// The same jobs again until they are answered: a call that failed may have stored them.
    async fn hand_in(&self, ids: Vec<String>) {
        let mut repeats = false;
        loop {
            match self.store.enqueue(ids.iter().map(|id| job(id)).collect()).await {
                Ok(answers) => {
                    let mut told = self.told.lock().unwrap();
                    for (id, answer) in ids.into_iter().zip(answers) {
                        match answer {
                            Enqueued::New => assert!(told.new.insert(id.clone()), "{id} was new twice"),
                            Enqueued::Exists { .. } if repeats => {}
                            other => panic!("{id}: {other:?}"),
                        }
                        told.accepted.insert(id);
                    }
                    return;
                }
                Err(error) => self.was_cut_off(error).await,
            }
            repeats = true;
        }
    }

    /// Ends them, again until it is answered.
    async fn end(&self, taken: &[Delivery]) {
        loop {
            match self.store.settle(QUEUE, taken.iter().map(completed).collect()).await {
                Ok(answers) => {
                    let mut told = self.told.lock().unwrap();
                    for (delivery, answer) in taken.iter().zip(answers) {
                        if answer == Settled::Done {
                            *told.done.entry(delivery.id.as_str().to_owned()).or_default() += 1;
                            self.ended.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    return;
                }
                Err(error) => self.was_cut_off(error).await,
            }
        }
    }

    async fn was_cut_off(&self, error: StoreError) {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        self.failed.fetch_add(1, Ordering::Relaxed);
        a_moment().await;
    }
}
