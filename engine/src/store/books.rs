//! The books of the queues: how many jobs stand where, as kept and as counted.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::gate::{Gate, Hold};
use crate::job::State;

/// The books of one queue: `accepted` is what the others add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub accepted: u64,
    pub scheduled: u64,
    pub ready: u64,
    pub running: u64,
    pub retrying: u64,
    pub completed: u64,
    pub dead: u64,
    pub cancelled: u64,
    pub pruned: u64,
}

impl Counts {
    pub fn of(&self, state: State) -> u64 {
        match state {
            State::Scheduled => self.scheduled,
            State::Ready => self.ready,
            State::Running => self.running,
            State::Retrying => self.retrying,
            State::Completed => self.completed,
            State::Dead => self.dead,
            State::Cancelled => self.cancelled,
        }
    }

    pub fn sum(&self) -> u64 {
        State::ALL.iter().map(|state| self.of(*state)).sum::<u64>() + self.pruned
    }

    /// Jobs that are not terminal.
    pub fn live(&self) -> u64 {
        self.scheduled + self.ready + self.running + self.retrying
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.scheduled += other.scheduled;
        self.ready += other.ready;
        self.running += other.running;
        self.retrying += other.retrying;
        self.completed += other.completed;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
        self.pruned += other.pruned;
    }
}

#[derive(Clone, Debug)]
pub struct QueueStats {
    pub queue: String,
    pub counts: Counts,
    /// When the job that is ready for the longest time became due.
    pub oldest_ready_at: Option<Timestamp>,
    pub gate: Gate,
    pub hold: Option<Hold>,
}

/// The books of one queue as kept and as counted.
#[derive(Clone, Debug, Serialize)]
pub struct QueueAudit {
    pub queue: String,
    /// The counters that every step moves.
    pub kept: Counts,
    /// Counted anew from the jobs themselves (`accepted` and `pruned` are only kept).
    pub counted: Counts,
}

impl QueueAudit {
    pub fn balanced(&self) -> bool {
        self.kept.accepted == self.kept.sum()
            && State::ALL.iter().all(|state| self.kept.of(*state) == self.counted.of(*state))
    }
}
