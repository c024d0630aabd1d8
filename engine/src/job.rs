//! What a job is: its kind, what it carries, how an attempt of it ends.
//!
//! A developer implements [`Job`] in one file and adds [`JobKind::of`] to the one table of kinds. Nothing here
//! stores or runs anything.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::context::JobContext;
use crate::envelope::NewJob;
use crate::retry::Backoff;

/// One kind of job. The type is its payload; its JSON schema is checked at every door.
pub trait Job: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The stored name of the kind: verb and noun, never changed once jobs of it exist.
    const KIND: &'static str;
    /// The lane that it waits in unless the caller says otherwise: one for each outside party.
    const QUEUE: &'static str;
    const PRIORITY: Priority = Priority::Normal;
    /// Attempts before the job is dead.
    const ATTEMPTS_MAX: u32 = 10;
    const BACKOFF: Backoff = Backoff::DEFAULT;
    /// How long one attempt may take, in wall time.
    const TIMEOUT: Duration = Duration::from_secs(60);
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Carrier;

    /// What the job is handed beside its payload.
    type Context: Send + Sync + 'static;

    /// While a job of this kind with the same key is not terminal, enqueueing another answers with that one.
    fn unique_key(&self) -> Option<String> {
        None
    }

    fn run(
        self,
        context: &Self::Context,
        job: &JobContext,
    ) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

/// Who makes the promise that an accepted job is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptedBy {
    /// The carrier alone (Redis or the SQLite queue).
    Carrier,
    /// A row in the ledger's outbox, kept until the job is terminal: survives the loss of the carrier.
    Ledger,
}

#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Critical,
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    pub const ALL: [Priority; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Where a job stands.
///
/// `scheduled` -> `ready` -> `running` -> `completed`; `running` -> `retrying` -> `ready`; `running` -> `dead`;
/// whatever is not terminal -> `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Scheduled,
    Ready,
    Running,
    Retrying,
    Completed,
    Dead,
    Cancelled,
}

impl State {
    pub const ALL: [State; 7] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
    ];

    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a job that went well leaves behind.
#[derive(Debug, Default)]
pub struct Outcome {
    pub(crate) result: Option<serde_json::Value>,
    pub(crate) follow_ups: Vec<NewJob>,
}

impl Outcome {
    pub fn done() -> Self {
        Self::default()
    }

    /// Done, with a small JSON result kept beside the job.
    pub fn result(result: impl Into<serde_json::Value>) -> Self {
        Self { result: Some(result.into()), follow_ups: Vec::new() }
    }

    /// The result and the follow-ups, for whoever settles the job.
    pub fn into_parts(self) -> (Option<serde_json::Value>, Vec<NewJob>) {
        (self.result, self.follow_ups)
    }

    /// Enqueues `job` in the same step that completes this one: both happen or neither.
    pub fn then(mut self, job: NewJob) -> Self {
        self.follow_ups.push(job);
        self
    }
}

/// How an attempt that did not complete the job ends. A bare `?` on any error means [`JobError::retry`].
#[derive(Debug)]
pub struct JobError {
    pub(crate) verdict: Verdict,
    pub(crate) cause: anyhow::Error,
    /// The other side is down: counts for the queue's breaker.
    pub(crate) outage: bool,
    /// The payload is not one of the kind.
    pub(crate) undecodable: bool,
}

/// What the job asks for when it did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Again, after the kind's back-off or the given time (of the shop's clock).
    Retry { after: Option<Duration> },
    /// Dead now: another attempt cannot help.
    Fail,
    /// Again after the given time (of the shop's clock); not an attempt.
    Snooze { after: Duration },
    /// No longer wanted.
    Cancel,
}

impl JobError {
    pub fn retry(cause: impl Into<anyhow::Error>) -> Self {
        Self {
            verdict: Verdict::Retry { after: None },
            cause: cause.into(),
            outage: false,
            undecodable: false,
        }
    }

    pub fn retry_after(after: Duration, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            verdict: Verdict::Retry { after: Some(after) },
            cause: cause.into(),
            outage: false,
            undecodable: false,
        }
    }

    pub fn fail(cause: impl Into<anyhow::Error>) -> Self {
        Self { verdict: Verdict::Fail, cause: cause.into(), outage: false, undecodable: false }
    }

    pub fn snooze(after: Duration, why: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Snooze { after },
            cause: anyhow::Error::msg(why.into()),
            outage: false,
            undecodable: false,
        }
    }

    pub fn cancel(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Cancel,
            cause: anyhow::Error::msg(reason.into()),
            outage: false,
            undecodable: false,
        }
    }

    /// Marks the error as "the other side is down", which the queue's breaker counts.
    pub fn outage(mut self) -> Self {
        self.outage = true;
        self
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub fn is_outage(&self) -> bool {
        self.outage
    }

    pub fn cause(&self) -> &anyhow::Error {
        &self.cause
    }
}

impl<E: Into<anyhow::Error>> From<E> for JobError {
    fn from(cause: E) -> Self {
        Self::retry(cause)
    }
}

type Run<C> = fn(Box<RawValue>, Arc<C>, JobContext) -> BoxFuture<'static, Result<Outcome, JobError>>;

/// A row of the table of kinds: everything the platform knows of a kind without knowing its type.
pub struct JobKind<C: 'static> {
    pub name: &'static str,
    pub queue: &'static str,
    pub priority: Priority,
    pub attempts_max: u32,
    pub backoff: Backoff,
    pub timeout: Duration,
    pub accepted_by: AcceptedBy,
    pub schema: fn() -> Schema,
    /// The unique key of a payload; an error says why the payload is not one of this kind.
    pub unique_key: fn(&RawValue) -> Result<Option<String>, serde_json::Error>,
    pub(crate) run: Run<C>,
}

impl<C: Send + Sync + 'static> JobKind<C> {
    pub const fn of<J: Job<Context = C>>() -> Self {
        Self {
            name: J::KIND,
            queue: J::QUEUE,
            priority: J::PRIORITY,
            attempts_max: J::ATTEMPTS_MAX,
            backoff: J::BACKOFF,
            timeout: J::TIMEOUT,
            accepted_by: J::ACCEPTED_BY,
            schema: || schemars::schema_for!(J),
            unique_key: |payload| serde_json::from_str::<J>(payload.get()).map(|job| job.unique_key()),
            run: |payload, context, job| {
                async move {
                    let this: J = serde_json::from_str(payload.get()).map_err(|e| {
                        let cause = anyhow::anyhow!("the payload is no {}: {e}", J::KIND);
                        JobError { undecodable: true, ..JobError::fail(cause) }
                    })?;
                    this.run(&context, &job).await
                }
                .boxed()
            },
        }
    }
}

impl<C: Send + Sync + 'static> JobKind<C> {
    /// Decodes the payload and makes one attempt. Panics pass through; the time-out is the caller's.
    pub fn run(
        &self,
        payload: Box<RawValue>,
        context: Arc<C>,
        job: JobContext,
    ) -> BoxFuture<'static, Result<Outcome, JobError>> {
        (self.run)(payload, context, job)
    }
}

/// The kinds that a process knows, by name.
pub struct JobTable<C: 'static> {
    rows: HashMap<&'static str, &'static JobKind<C>>,
    excuses: fn(&anyhow::Error) -> bool,
}

impl<C> JobTable<C> {
    /// # Panics
    /// When two rows have the same name: found by any test that builds the table.
    pub fn new(rows: &'static [JobKind<C>]) -> Self {
        let table: HashMap<_, _> = rows.iter().map(|row| (row.name, row)).collect();
        assert_eq!(table.len(), rows.len(), "every kind has a name of its own");
        Self { rows: table, excuses: |_| false }
    }

    /// `excuses` tells an error that is no job's fault: something that all of them stand on, such as a database, is
    /// away. What would be retried for it waits without having used an attempt, however long that takes.
    pub fn excusing(self, excuses: fn(&anyhow::Error) -> bool) -> Self {
        Self { excuses, ..self }
    }

    pub(crate) fn excuses(&self, error: &JobError) -> bool {
        matches!(error.verdict, Verdict::Retry { .. }) && (self.excuses)(&error.cause)
    }

    pub fn get(&self, kind: &str) -> Option<&'static JobKind<C>> {
        self.rows.get(kind).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &'static JobKind<C>> + '_ {
        self.rows.values().copied()
    }

    /// The queues that the kinds wait in by default, each once, sorted.
    pub fn queues(&self) -> Vec<&'static str> {
        let mut queues: Vec<_> = self.rows.values().map(|kind| kind.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }
}
