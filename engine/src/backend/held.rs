//! What this worker holds: every delivery from the reserve to the end of its settlement.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::clock::Timestamp;
use crate::context::JobContext;
use crate::id::{JobId, Token};
use crate::store::{Delivery, Held, JobNotes};

type ByDelivery = HashMap<(JobId, Token), Arc<Grip>, foldhash::fast::RandomState>;

/// Shared between the fetcher, the attempts, the acker and the keeper.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<Inner>);

#[derive(Default)]
struct Inner {
    held: Mutex<ByDelivery>,
    buffered: AtomicU32,
    count: AtomicU32,
    /// A slot or a place in the buffer came free.
    room: Notify,
    closed: AtomicBool,
    closing: Notify,
}

/// A delivery, and what this worker knows of it while it is held.
pub struct InHand {
    pub(crate) delivery: Delivery,
    pub(crate) grip: Arc<Grip>,
}

/// What the attempt, the keeper and the carrier tell each other about one delivery.
pub(crate) struct Grip {
    /// Wall time of the reserve or of the last renewal, in microseconds.
    renewed_at: AtomicI64,
    /// Somebody asked the job to stop: kept here until there is a context to tell it.
    asked_to_stop: AtomicBool,
    /// The lease went to somebody else: the attempt must stop and say nothing.
    lost: AtomicBool,
    lost_now: Notify,
    context: OnceLock<JobContext>,
}

impl Grip {
    fn new(wall: Timestamp) -> Self {
        Self {
            renewed_at: AtomicI64::new(wall.micros()),
            asked_to_stop: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            lost_now: Notify::new(),
            context: OnceLock::new(),
        }
    }

    /// The attempt can be asked for its notes from now on.
    pub(crate) fn attach(&self, context: &JobContext) {
        // There is one attempt of a delivery.
        let _ = self.context.set(context.clone());
        if self.asked_to_stop.load(Ordering::Acquire) {
            context.ask_to_stop();
        }
    }

    fn ask_to_stop(&self) {
        self.asked_to_stop.store(true, Ordering::Release);
        if let Some(context) = self.context.get() {
            context.ask_to_stop();
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Ends when the lease has gone to somebody else.
    pub(crate) async fn lost(&self) {
        let now = self.lost_now.notified();
        if !self.is_lost() {
            now.await;
        }
    }

    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.lost_now.notify_waiters();
    }
}

impl Hands {
    /// Takes what a reserve brought.
    pub(crate) fn take(&self, deliveries: Vec<Delivery>, wall: Timestamp) -> Vec<InHand> {
        let n = deliveries.len() as u32;
        let mut held = self.lock();
        let in_hand = deliveries.into_iter().map(|delivery| {
            let grip = Arc::new(Grip::new(wall));
            held.insert((delivery.id.clone(), delivery.token), grip.clone());
            InHand { delivery, grip }
        });
        let in_hand = in_hand.collect();
        self.0.buffered.fetch_add(n, Ordering::Relaxed);
        self.0.count.fetch_add(n, Ordering::Relaxed);
        in_hand
    }

    /// A delivery leaves the buffer: it runs now, or goes back.
    pub(crate) fn unbuffer(&self) {
        self.0.buffered.fetch_sub(1, Ordering::Relaxed);
        self.0.room.notify_one();
    }

    /// Its settlement is over, one way or the other.
    pub(crate) fn let_go(&self, ended: impl Iterator<Item = (JobId, Token)>) {
        let mut held = self.lock();
        let mut n = 0;
        for key in ended {
            n += u32::from(held.remove(&key).is_some());
        }
        self.0.count.fetch_sub(n, Ordering::Relaxed);
        self.0.room.notify_one();
    }

    /// Ends when room was made since this was called.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.0.room.notified()
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.count.load(Ordering::Relaxed)
    }

    pub(crate) fn buffered(&self) -> u32 {
        self.0.buffered.load(Ordering::Relaxed)
    }

    /// What was last renewed before `before`, with the notes that changed since.
    pub(crate) fn due_for_renewal(&self, before: Timestamp) -> Vec<Held> {
        let held = self.lock();
        let due = held.iter().filter(|(_, grip)| grip.renewed_at.load(Ordering::Relaxed) <= before.micros());
        due.map(|((id, token), grip)| Held {
            id: id.clone(),
            token: *token,
            notes: grip.context.get().and_then(JobContext::take_changed_notes).map(JobNotes::from),
        })
        .collect()
    }

    pub(crate) fn renewed(&self, renewed: &[Held], wall: Timestamp) {
        let held = self.lock();
        for one in renewed {
            if let Some(grip) = held.get(&(one.id.clone(), one.token)) {
                grip.renewed_at.store(wall.micros(), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn lose(&self, lost: &[(JobId, Token)]) {
        let held = self.lock();
        lost.iter().filter_map(|key| held.get(key)).for_each(|grip| grip.lose());
    }

    pub(crate) fn ask_to_stop(&self, cancelling: &[(JobId, Token)]) {
        let held = self.lock();
        cancelling.iter().filter_map(|key| held.get(key)).for_each(|grip| grip.ask_to_stop());
    }

    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.closing.notify_waiters();
    }

    /// Ends when [`Hands::close`] was called.
    pub(crate) async fn closed(&self) {
        let notified = self.0.closing.notified();
        if !self.0.closed.load(Ordering::Acquire) {
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByDelivery> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
