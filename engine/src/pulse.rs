//! Signs of life of the loops in this process, for whoever asks whether work is taken.
//!
//! A loop that goes round says so here; to judge what its silence means is up to the reader.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::Hands;
use crate::clock::{Clock, Timestamp};

/// The last time that something happened, in wall time. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicI64>);

impl Pulse {
    pub fn beat(&self, clock: &Clock) {
        self.0.store(clock.wall().micros(), Ordering::Relaxed);
    }

    /// None: it never happened.
    pub fn last(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Timestamp::from_micros(micros)),
        }
    }
}

/// What the loop that fetches one queue's jobs does. Clones share it.
#[derive(Clone, Default)]
pub struct FetchPulse {
    pub queue: String,
    pub slots: u32,
    /// The carrier answered an ask, with jobs or without.
    pub answered: Pulse,
    /// Jobs came.
    pub took: Pulse,
    /// Room came after there had been none: until then nothing was to be asked for.
    pub freed: Pulse,
    hands: Hands,
}

impl FetchPulse {
    /// Of a loop that has not asked yet.
    pub fn new(queue: impl Into<String>, slots: u32) -> Self {
        Self { queue: queue.into(), slots, ..Self::default() }
    }

    /// Counts what `hands` hold.
    pub(crate) fn with(self, hands: Hands) -> Self {
        Self { hands, ..self }
    }

    /// Slots in which no job runs or is about to.
    pub fn free(&self) -> u32 {
        self.slots.saturating_sub(self.hands.count())
    }
}

/// The fetching loops of a worker: empty until it runs. Clones share it.
#[derive(Clone, Default)]
pub struct WorkerPulse(Arc<Mutex<Vec<FetchPulse>>>);

impl WorkerPulse {
    pub fn queues(&self) -> Vec<FetchPulse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add(&self, queue: FetchPulse) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(queue);
    }
}
