//! What this worker holds: every delivery from the reserve to the end of its settlement.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::context::JobContext;
use crate::id::{JobId, Token};
use crate::store::{Delivery, Held, JobNotes};

/// Shared between the fetcher, the attempts, the acker and the keeper.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<Inner>);

#[derive(Default)]
struct Inner {
    held: Mutex<HashMap<(JobId, Token), Grip>>,
    buffered: AtomicU32,
    count: AtomicU32,
    /// A slot or a place in the buffer came free.
    room: Notify,
    closed: AtomicBool,
    closing: Notify,
}

struct Grip {
    /// Wall time of the reserve or of the last renewal.
    renewed_at: Timestamp,
    /// Somebody asked the job to stop.
    cancel: CancellationToken,
    lost: Lost,
    context: Option<JobContext>,
}

/// Set when the lease went to somebody else: the attempt must stop and say nothing.
#[derive(Clone, Default)]
pub(crate) struct Lost(CancellationToken);

impl Lost {
    pub(crate) async fn happened(&self) {
        self.0.cancelled().await;
    }
}

impl Hands {
    /// Takes what a reserve brought.
    pub(crate) fn take(&self, deliveries: &[Delivery], wall: Timestamp) {
        let mut held = self.lock();
        for delivery in deliveries {
            let grip = Grip {
                renewed_at: wall,
                cancel: CancellationToken::new(),
                lost: Lost::default(),
                context: None,
            };
            held.insert((delivery.id.clone(), delivery.token), grip);
        }
        let n = deliveries.len() as u32;
        self.0.buffered.fetch_add(n, Ordering::Relaxed);
        self.0.count.fetch_add(n, Ordering::Relaxed);
    }

    /// A delivery leaves the buffer: it runs now, or goes back.
    pub(crate) fn unbuffer(&self) {
        self.0.buffered.fetch_sub(1, Ordering::Relaxed);
        self.0.room.notify_one();
    }

    /// The tokens that an attempt watches. None: it is no longer held, so it must not run.
    pub(crate) fn tokens(&self, id: &JobId, token: Token) -> Option<(CancellationToken, Lost)> {
        self.lock().get(&(id.clone(), token)).map(|grip| (grip.cancel.clone(), grip.lost.clone()))
    }

    /// The attempt can be asked for its notes from now on.
    pub(crate) fn attach(&self, id: &JobId, token: Token, context: &JobContext) {
        if let Some(grip) = self.lock().get_mut(&(id.clone(), token)) {
            grip.context = Some(context.clone());
        }
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
        let due = held.iter().filter(|(_, grip)| grip.renewed_at <= before);
        due.map(|((id, token), grip)| Held {
            id: id.clone(),
            token: *token,
            notes: grip.context.as_ref().and_then(JobContext::take_changed_notes).map(JobNotes::from),
        })
        .collect()
    }

    pub(crate) fn renewed(&self, renewed: &[Held], wall: Timestamp) {
        let mut held = self.lock();
        for one in renewed {
            if let Some(grip) = held.get_mut(&(one.id.clone(), one.token)) {
                grip.renewed_at = wall;
            }
        }
    }

    pub(crate) fn lose(&self, lost: &[(JobId, Token)]) {
        let held = self.lock();
        lost.iter().filter_map(|key| held.get(key)).for_each(|grip| grip.lost.0.cancel());
    }

    pub(crate) fn ask_to_stop(&self, cancelling: &[(JobId, Token)]) {
        let held = self.lock();
        cancelling.iter().filter_map(|key| held.get(key)).for_each(|grip| grip.cancel.cancel());
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

    fn lock(&self) -> MutexGuard<'_, HashMap<(JobId, Token), Grip>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
