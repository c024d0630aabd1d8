//! What a running job can ask and tell: who it is, whether it is still wanted, how far it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::{Clock, Timestamp};
use crate::envelope::{Envelope, FiredBy};
use crate::id::JobId;
use crate::retry::Backoff;
use crate::store::JobNotes;

/// Lines of a job's log that are kept: the first half and the last half.
pub const LOG_LINES_MAX: usize = 100;
/// Bytes of one line; the rest is cut off.
pub const LOG_LINE_BYTES_MAX: usize = 500;

/// Handed to every attempt. Clones share one attempt.
#[derive(Clone, Debug)]
pub struct JobContext(Arc<Attempt>);

#[derive(Debug)]
struct Attempt {
    facts: AttemptFacts,
    /// Without its payload, which the job itself has.
    envelope: Envelope,
    clock: Clock,
    /// Somebody asked that the job stop.
    asked_to_stop: AtomicBool,
    stop_now: Notify,
    notes: Mutex<Notes>,
}

/// Which attempt of which job this is.
#[derive(Clone, Debug)]
pub struct AttemptFacts {
    pub id: JobId,
    pub queue: Arc<str>,
    /// 1 for the first.
    pub attempt: u32,
    pub attempts_max: u32,
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    pub deadline_at: Option<Timestamp>,
}

/// How far a job is, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What an attempt has told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    pub progress: Option<Progress>,
    pub log: Vec<String>,
    pub(crate) changed: bool,
}

impl JobContext {
    pub fn new(facts: AttemptFacts, envelope: Envelope, clock: Clock) -> Self {
        Self(Arc::new(Attempt {
            facts,
            envelope,
            clock,
            asked_to_stop: AtomicBool::new(false),
            stop_now: Notify::new(),
            notes: Mutex::default(),
        }))
    }

    pub fn id(&self) -> &JobId {
        &self.0.facts.id
    }

    pub fn kind(&self) -> &str {
        &self.0.envelope.kind
    }

    pub fn queue(&self) -> &str {
        &self.0.facts.queue
    }

    /// 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.0.facts.attempt
    }

    pub fn attempts_max(&self) -> u32 {
        self.0.facts.attempts_max
    }

    /// The job's own back-off, where it does not take its kind's.
    pub(crate) fn backoff(&self) -> Option<Backoff> {
        self.0.envelope.backoff
    }

    pub(crate) fn in_outbox(&self) -> bool {
        self.0.envelope.in_outbox
    }

    pub fn is_last_attempt(&self) -> bool {
        self.0.facts.attempt >= self.0.facts.attempts_max
    }

    pub fn created_at(&self) -> Timestamp {
        self.0.facts.created_at
    }

    pub fn deadline_at(&self) -> Option<Timestamp> {
        self.0.facts.deadline_at
    }

    pub fn tags(&self) -> &[String] {
        &self.0.envelope.tags
    }

    /// The schedule and instant that this job was made for.
    pub fn fired_by(&self) -> Option<&FiredBy> {
        self.0.envelope.schedule.as_ref()
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Somebody asked that this job stop. A job that takes long looks here, or waits on [`Self::cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.0.asked_to_stop.load(Ordering::Acquire)
    }

    /// Ends when somebody asks that this job stop.
    pub async fn cancelled(&self) {
        // Made before the look: what comes in between wakes it.
        let now = self.0.stop_now.notified();
        if !self.is_cancelled() {
            now.await;
        }
    }

    pub(crate) fn ask_to_stop(&self) {
        self.0.asked_to_stop.store(true, Ordering::Release);
        self.0.stop_now.notify_waiters();
    }

    /// Tells how far the job is. The newest is kept and shown while the job runs.
    pub fn progress(&self, done: u64, total: u64, note: impl Into<String>) {
        self.note(|notes| notes.progress = Some(Progress { done, total, note: cut(note.into()) }));
    }

    /// Adds a line to the job's own log. Beyond [`LOG_LINES_MAX`] the lines in the middle go.
    pub fn log(&self, line: impl Into<String>) {
        let line = cut(line.into());
        self.note(|notes| {
            if notes.log.len() == LOG_LINES_MAX {
                notes.log.remove(LOG_LINES_MAX / 2);
            }
            notes.log.push(line);
        });
    }

    fn note(&self, change: impl FnOnce(&mut Notes)) {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut notes);
        notes.changed = true;
    }

    /// What has changed since it was last asked for; None when nothing has.
    pub(crate) fn take_changed_notes(&self) -> Option<Notes> {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notes.changed).then(|| notes.clone())
    }
}

impl From<Notes> for JobNotes {
    fn from(notes: Notes) -> Self {
        Self { progress: notes.progress, log: notes.log }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LOG_LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LOG_LINE_BYTES_MAX));
    }
    text
}
