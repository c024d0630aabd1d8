//! A workbench: a fresh store, workers on it, and waiting for what must come about.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_engine::backend::EndedJob;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{JobView, Retention};
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, JobId, JobKind, JobTable, NewJob, State, Store, Timestamp};

use crate::toys::{Quake, TOYS, Toybox};

/// Nothing in these tests takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Bench {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    pub toybox: Arc<Toybox>,
    pub ended: Arc<Mutex<Vec<EndedJob>>>,
    _folder: TempDir,
}

pub struct Running {
    pub stop: CancellationToken,
    pub hurry: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_secs(1_767_585_600));
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone()).unwrap());
        Self { store, clock, toybox: Arc::default(), ended: Arc::default(), _folder: folder }
    }

    /// Workers of the toys on queue `toys`.
    pub fn work(&self) -> Running {
        self.work_with(TOYS, 4)
    }

    pub fn work_with(&self, kinds: &'static [JobKind<Toybox>], slots: u32) -> Running {
        let ended = self.ended.clone();
        let workers = Workers {
            store: self.store.clone(),
            clock: self.clock.clone(),
            table: Arc::new(JobTable::new(kinds).excusing(|error| error.is::<Quake>())),
            context: self.toybox.clone(),
            settings: WorkerSettings {
                queues: vec![("toys".to_owned(), slots)],
                lease: Duration::from_secs(15),
                drain_max: PATIENCE,
                retention: Retention {
                    jobs_max: 1_000_000,
                    completed_age_max: Duration::from_secs(86_400),
                    dead_age_max: Duration::from_secs(86_400),
                },
            },
            on_ended: Some(Arc::new(move |jobs| ended.lock().unwrap().extend(jobs))),
            host: "test".to_owned(),
            version: "0".to_owned(),
        };
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(workers.run(stop.clone(), hurry.clone()));
        Running { stop, hurry, task }
    }

    pub async fn enqueue(&self, job: NewJob) -> JobId {
        let id = job.id.clone();
        self.store.enqueue(vec![job]).await.unwrap();
        id
    }

    pub async fn get(&self, id: &JobId) -> JobView {
        self.store.get(id).await.unwrap().expect("the job is there")
    }

    /// The job as soon as it is in `state`.
    pub async fn until(&self, id: &JobId, state: State) -> JobView {
        let wanted = async || Some(self.get(id).await).filter(|job| job.state == state);
        match soon(wanted).await {
            Some(job) => job,
            None => panic!("{id} is not {state:?}: {:?}", self.get(id).await),
        }
    }
}

impl Running {
    pub async fn drained(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("a drain ends").unwrap();
    }
}

/// Asks again and again until there is an answer, or patience is over.
pub async fn soon<T, F: Future<Output = Option<T>>>(wanted: impl Fn() -> F) -> Option<T> {
    let asking = async {
        loop {
            if let Some(answer) = wanted().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.ok()
}
