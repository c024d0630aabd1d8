//! The carrier: everything that stores a queue must do.
//!
//! [`Store`] is implemented by the SQLite store; the conformance suite in `tests/` runs every promise against
//! every implementation. The store holds no business and runs no job: it moves ids between states, each move
//! one durable step, and it alone decides who may move what (tokens), when (due times, gates) and how many
//! (bounds).

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::context::Progress;
use crate::envelope::{Envelope, NewJob};
use crate::gate::{GateRules, Hold};
use crate::id::{JobId, Token};
use crate::job::{Priority, State};

mod books;
mod error;
mod prepared;
pub mod redis;
pub mod spread;
pub mod sqlite;

pub use books::{Counts, QueueAudit, QueueStats};
pub use error::StoreError;

/// Items in one call of [`Store::enqueue`]; callers split what is longer.
pub const ENQUEUE_ITEMS_MAX: usize = 10_000;
/// Items in one call of [`Store::settle`] or [`Store::renew`].
pub const SETTLE_ITEMS_MAX: usize = 10_000;
/// Jobs handed out by one [`Store::reserve`].
pub const RESERVE_JOBS_MAX: u32 = 500;
/// Bytes of one envelope.
pub const ENVELOPE_BYTES_MAX: usize = 1024 * 1024;
/// Rows on one page of [`Store::list`].
pub const LIST_ROWS_MAX: u32 = 1_000;
/// Faults remembered of one job: the newest.
pub const FAULTS_MAX: usize = 10;
/// Bytes of a queue's name, a kind or a unique key.
pub const NAME_BYTES_MAX: usize = 255;
/// Ids named by one event; beyond it only their number is told.
const EVENT_IDS_MAX: usize = 100;
/// Whose turn it is among the priorities, counted over all jobs ever given: critical 10, high 5, normal 3, low 2.
const TURNS: &[u8; 20] = b"01020103010201030102";
/// Deliveries that may end with the worker's death before the job is held to be the cause.
pub const CRASHES_MAX: u32 = 5;

/// The answer for one job of an enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// Stored now.
    New,
    /// A job of this id is there already, in this state and made by the request with this fingerprint.
    Exists { state: State, fingerprint: Option<String> },
    /// Another job holds the unique key.
    Duplicate { of: JobId },
    /// The queue's backlog is at its bound; nothing was stored for this item.
    Full,
}

/// Asks for work.
#[derive(Clone, Debug)]
pub struct Ask {
    pub queue: String,
    pub worker: String,
    /// At most [`RESERVE_JOBS_MAX`].
    pub jobs_max: u32,
    /// Wall time that the jobs are held without renewal.
    pub lease: Duration,
    /// Wall time to wait when nothing may be handed out.
    pub wait: Duration,
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    pub deliveries: Vec<Delivery>,
    /// Why there are none although jobs may be ready.
    pub hold: Option<Hold>,
}

/// One job handed to one worker.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: JobId,
    pub token: Token,
    /// 1 for the first; counts attempts that were used, not deliveries that were given back.
    pub attempt: u32,
    /// How many deliveries ended with the worker's death.
    pub crashes: u32,
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    pub deadline_at: Option<Timestamp>,
    /// JSON of an [`Envelope`], as it was stored: a newer build may have written it.
    pub envelope: String,
}

/// How a delivery ended.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: JobId,
    pub token: Token,
    pub end: End,
    /// The other side was down: counts for the queue's breaker.
    pub outage: bool,
    /// The last notes of the attempt, when they changed.
    pub notes: Option<JobNotes>,
}

#[derive(Clone, Debug)]
pub enum End {
    /// Done; the follow-ups are enqueued in the same step.
    Completed {
        result: Option<serde_json::Value>,
        follow_ups: Vec<NewJob>,
    },
    /// Again at the given instant.
    Retry {
        at: Timestamp,
        fault: JobFault,
    },
    Dead {
        fault: JobFault,
    },
    /// Again at the given instant; the attempt is given back.
    Snoozed {
        until: Timestamp,
        why: String,
    },
    Cancelled {
        fault: JobFault,
    },
    /// Given back unharmed, at once: a drain, a full worker. The attempt is given back.
    Released,
}

/// Why an attempt did not complete its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFault {
    pub attempt: u32,
    pub at: Timestamp,
    pub cause: FaultCause,
    /// The error with its chain; a panic with its place.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCause {
    Error,
    Panic,
    Timeout,
    /// The worker died or lost its lease.
    Crashed,
    /// The deadline passed before it started.
    Expired,
    /// The payload or envelope no longer decodes.
    Undecodable,
    Cancelled,
}

/// What a running job has told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNotes {
    pub progress: Option<Progress>,
    pub log: Vec<String>,
}

/// Whether a settlement counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Done,
    /// The lease had gone to somebody else (or the job was settled before): nothing was changed.
    FencedOut,
}

/// A delivery that is still held.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: JobId,
    pub token: Token,
    pub notes: Option<JobNotes>,
}

/// What renewing told.
#[derive(Clone, Debug, Default)]
pub struct Renewed {
    /// No longer held: whoever runs them must stop.
    pub lost: Vec<(JobId, Token)>,
    /// Still held, but somebody asked that they stop.
    pub cancelling: Vec<(JobId, Token)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    pub back_to_ready: u32,
    /// Dead, because they outlived [`CRASHES_MAX`] workers.
    pub poisoned: u32,
}

/// What an operator does to one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not terminal -> cancelled; a running one is asked to stop.
    Cancel,
    /// Dead or cancelled -> ready, with its attempts counted from none.
    Retry,
    /// Scheduled or retrying -> ready now.
    Promote,
    /// Terminal -> gone.
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    Done,
    /// A running job was asked to stop; it will say so itself.
    Asked,
    /// The job is in a state to which the action does not apply.
    NotIn(State),
    Missing,
}

/// Everything the carrier knows of one job.
#[derive(Clone, Debug)]
pub struct JobView {
    pub id: JobId,
    pub queue: String,
    pub priority: Priority,
    pub state: State,
    /// Attempts used so far, the running one included.
    pub attempt: u32,
    pub crashes: u32,
    pub run_at: Timestamp,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    pub worker: Option<String>,
    /// A running job that was asked to stop.
    pub cancelling: bool,
    pub unique_key: Option<String>,
    pub envelope: Envelope,
    pub result: Option<serde_json::Value>,
    /// The newest last.
    pub faults: Vec<JobFault>,
    pub notes: JobNotes,
}

/// Which jobs to list. None: any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub kind: Option<String>,
    pub queue: Option<String>,
    pub tag: Option<String>,
    /// Rows on the page, at most [`LIST_ROWS_MAX`].
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Page {
    /// The newest first within one state of one queue.
    pub jobs: Vec<JobView>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// A worker process says that it lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerBeat {
    pub name: String,
    pub host: String,
    pub version: String,
    pub started_at: Timestamp,
    pub queues: Vec<String>,
    pub slots: u32,
    pub running: u32,
}

/// A change that happened, for whoever watches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub at: Timestamp,
    pub queue: String,
    pub state: State,
    /// The jobs that came into `state`; empty when they are many and only `count` is told.
    pub ids: Vec<JobId>,
    pub count: u32,
}

/// What may be forgotten: terminal jobs beyond any of the bounds.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Per queue and state.
    pub jobs_max: u64,
    pub completed_age_max: Duration,
    /// Dead and cancelled jobs are for people to look at: kept longer.
    pub dead_age_max: Duration,
}

/// What claiming a carrier found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had claimed it: a new carrier, or one that was wiped.
    New,
    /// It was the same owner's already.
    Known,
}

/// What stores a queue. Every method is one durable step (or one per bounded slice); all may be called from any
/// number of tasks at once.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The name that figures and messages show: `sqlite`, `redis`.
    fn name(&self) -> &'static str;

    /// Stores the jobs durably: when this answers, [`Enqueued::New`] items survive a crash. Answers in order.
    /// Idempotent by id, unique by key. Jobs due now are ready, later ones scheduled.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError>;

    /// Hands out ready jobs, higher priorities more often (10 : 5 : 3 : 2) and none starved; first in first out
    /// within one. Promotes what is due. Waits up to `ask.wait` when there is nothing. Dropping the future is
    /// safe: what it would have handed out goes back unharmed.
    async fn reserve(&self, ask: Ask) -> Result<Reserved, StoreError>;

    /// Waits until what asks that were dropped would have handed out has gone back. Who ends a process calls it after
    /// its last ask: with the process those jobs would wait for the end of their lease, and lose an attempt.
    async fn await_returns(&self);

    /// Ends deliveries, each fenced by its token; follow-ups, counters, unique keys and the breaker move in the
    /// same step. Answers in order.
    async fn settle(&self, queue: &str, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError>;

    /// Prolongs leases that still live, and stores notes of the jobs that run.
    async fn renew(&self, queue: &str, held: Vec<Held>, lease: Duration) -> Result<Renewed, StoreError>;

    /// Puts back what was held under leases that ran out: the attempt counts, as a crash.
    async fn reap(&self) -> Result<Reaped, StoreError>;

    /// Does one thing to each of the jobs; answers in order.
    async fn act(&self, action: Action, ids: Vec<JobId>) -> Result<Vec<Acted>, StoreError>;

    async fn get(&self, id: &JobId) -> Result<Option<JobView>, StoreError>;

    /// The states of many jobs at once; None for one that is not known.
    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError>;

    async fn list(&self, filter: Filter) -> Result<Page, StoreError>;

    /// One entry for every queue that ever held a job or has a gate, sorted by name.
    async fn stats(&self) -> Result<Vec<QueueStats>, StoreError>;

    /// Compares the books with the jobs themselves (promise 7).
    async fn audit(&self) -> Result<Vec<QueueAudit>, StoreError>;

    /// Pauses the queue, or resumes it with None.
    async fn pause(&self, queue: &str, pause: Option<crate::gate::Pause>) -> Result<(), StoreError>;

    /// Sets the gate's rules; what they have counted stays.
    async fn set_gate(&self, queue: &str, rules: GateRules) -> Result<(), StoreError>;

    async fn beat(&self, beat: WorkerBeat) -> Result<(), StoreError>;

    /// Workers that beat within the last `age_max` of wall time.
    async fn workers(&self, age_max: Duration) -> Result<Vec<WorkerBeat>, StoreError>;

    /// The last instant of the schedule that was handed over.
    async fn cursor(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Moves the cursor when it still stands at `from`; false when somebody else moved it.
    async fn move_cursor(
        &self,
        schedule: &str,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Events after `seq`, oldest first, at most `limit`. A capped stream: what is older than it holds is gone.
    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Forgets terminal jobs beyond the bounds, in slices; answers how many.
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError>;

    /// Binds the carrier to its owner, a ledger's own id, once and for ever. [`StoreError::Invalid`] when it is
    /// another's: two shops' jobs in one carrier would be done against the wrong books.
    async fn claim(&self, owner: &str) -> Result<Claim, StoreError>;

    /// Proves that the carrier answers and can write.
    async fn ping(&self) -> Result<(), StoreError>;
}
