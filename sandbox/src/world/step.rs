//! What happens out there by itself when its time has come, and the agenda that knows when.
//!
//! The agenda is derived from the state and never written down: after a restart every row tells again what it is
//! due for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use windlass_engine::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum StepKind {
    /// The supplier confirms an order, or refuses it.
    Decide,
    Ship,
    /// A confirmed order is found not to be in stock.
    RunOut,
    Deliver,
    /// What the customer sent back after delivery arrives.
    SendBack,
    AnswerCancel,
    OrderNotice,
    /// The customer pays.
    Pay,
    PaymentNotice,
    SettleRefund,
    RefundNotice,
}

/// Steps that only happen, and steps that somebody has to be told of. The second take time, and must not hold up the
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Happen,
    Tell,
}

#[derive(Debug, Default)]
pub(crate) struct Lanes<T> {
    happen: T,
    tell: T,
}

impl<T> Lanes<T> {
    pub(crate) fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Happen => &self.happen,
            Lane::Tell => &self.tell,
        }
    }

    pub(crate) fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Happen => &mut self.happen,
            Lane::Tell => &mut self.tell,
        }
    }
}

impl Step {
    pub(crate) fn lane(self) -> Lane {
        match self.kind {
            StepKind::OrderNotice | StepKind::PaymentNotice | StepKind::RefundNotice => Lane::Tell,
            StepKind::Decide
            | StepKind::Ship
            | StepKind::RunOut
            | StepKind::Deliver
            | StepKind::SendBack
            | StepKind::AnswerCancel
            | StepKind::Pay
            | StepKind::SettleRefund => Lane::Happen,
        }
    }
}

/// One step of one row; `nth` is the notice, `tries` makes each attempt a step of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) no: u32,
    pub(crate) nth: u8,
    pub(crate) tries: u8,
}

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    queue: BinaryHeap<Reverse<(Timestamp, Step)>>,
    /// In the queue or being taken: a step is never in hand twice.
    known: HashSet<Step>,
    /// Notices that nobody can be called back with yet.
    parked: Vec<Step>,
}

impl Agenda {
    /// Whether this became the first step of all.
    pub(crate) fn add(&mut self, at: Timestamp, step: Step) -> bool {
        if !self.known.insert(step) {
            return false;
        }
        self.queue.push(Reverse((at, step)));
        self.queue.peek().is_some_and(|Reverse((_, first))| *first == step)
    }

    /// Puts a step that was taken back for later.
    pub(crate) fn put_back(&mut self, at: Timestamp, step: Step) {
        self.queue.push(Reverse((at, step)));
    }

    pub(crate) fn park(&mut self, step: Step) {
        self.parked.push(step);
    }

    /// Everything that was parked is due.
    pub(crate) fn unpark(&mut self, now: Timestamp) {
        self.queue.extend(self.parked.drain(..).map(|step| Reverse((now, step))));
    }

    /// The step is over; it may come again only if the state asks for it again.
    pub(crate) fn forget(&mut self, step: Step) {
        self.known.remove(&step);
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a step that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Step> {
        if self.next_due()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, step))| step)
    }
}
