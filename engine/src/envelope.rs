//! What travels with a job through the carrier.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::{Clock, Timestamp};
use crate::id::JobId;
use crate::job::{Job, Priority};
use crate::retry::Backoff;

/// The newest form of the envelope that this build writes. A worker gives back what it cannot read.
pub const ENVELOPE_VERSION: u8 = 1;

/// The kind, the payload and everything about the job that the carrier itself need not understand. Stored as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    pub v: u8,
    pub kind: String,
    pub payload: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// W3C trace context of whoever enqueued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enqueued_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<FiredBy>,
    /// A hash of the request that made the job: tells a repeat from another job under the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// A row in a ledger's outbox waits for the end of this job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_outbox: bool,
}

/// The schedule and the instant that a job was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredBy {
    pub name: String,
    pub instant: Timestamp,
}

/// At most one job of the kind and key at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub key: String,
    /// None: while the job is not terminal. Some: for so long from enqueueing, whatever becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
}

/// A job on its way into a carrier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewJob {
    pub id: JobId,
    pub queue: String,
    pub priority: Priority,
    /// When it is due, in the shop's time; None: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// Past this instant a job that has not started is dead as `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    pub envelope: Envelope,
}

impl NewJob {
    /// A job of the given type, with its kind's own queue, priority and unique key.
    ///
    /// # Panics
    /// When the payload cannot be written as JSON, which no derived `Serialize` of plain data does.
    pub fn of<J: Job>(job: &J, clock: &Clock) -> Self {
        let payload = serde_json::value::to_raw_value(job).expect("a payload of plain data is JSON");
        Self {
            id: JobId::new(clock.now()),
            queue: J::QUEUE.to_owned(),
            priority: J::PRIORITY,
            run_at: None,
            unique: job.unique_key().map(|key| Unique { key, window: None }),
            deadline_at: None,
            envelope: Envelope::new(J::KIND, payload),
        }
    }

    pub fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub fn run_at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.envelope.tags.push(tag.into());
        self
    }
}

impl Envelope {
    pub fn new(kind: impl Into<String>, payload: Box<RawValue>) -> Self {
        Self {
            v: ENVELOPE_VERSION,
            kind: kind.into(),
            payload,
            attempts_max: None,
            backoff: None,
            timeout_ms: None,
            tags: Vec::new(),
            traceparent: None,
            enqueued_by: None,
            parent: None,
            schedule: None,
            fingerprint: None,
            in_outbox: false,
        }
    }

    /// # Panics
    /// Never: every field is plain data.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an envelope is plain data")
    }
}
