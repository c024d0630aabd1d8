//! The one place that implements apalis' `Backend`, over any [`Store`].
//!
//! A **fetcher** reserves batches and fills a buffer that `poll_next` reads; an **acker** settles everything
//! that ended, many jobs in one call; a **keeper** renews the leases that are held. The three run apart from
//! the worker's poll loop, so that a busy worker never looks dead. Nothing here runs a job (see
//! [`crate::attempt`]), and no outcome goes through apalis' own statuses: an attempt ends in a
//! [`Settlement`](crate::store::Settlement).

mod acker;
mod fetcher;
mod held;
mod keeper;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

pub(crate) use acker::Acks;
pub use held::InHand;
pub(crate) use held::{Grip, Hands};

use crate::clock::Clock;
use crate::pulse::FetchPulse;
use crate::store::{RESERVE_JOBS_MAX, Store};

/// Told of jobs that reached a terminal state, after the carrier has it.
pub type OnEnded = Arc<dyn Fn(Vec<EndedJob>) + Send + Sync>;

/// A job that reached a terminal state.
#[derive(Clone, Debug)]
pub struct EndedJob {
    pub id: crate::JobId,
    pub state: crate::State,
    /// As its envelope says.
    pub in_outbox: bool,
}

#[derive(Clone)]
pub struct BackendSettings {
    pub queue: String,
    /// Unique for each start of each worker.
    pub worker: String,
    /// Jobs that run at once.
    pub slots: u32,
    pub lease: Duration,
}

/// One queue of a store, as apalis sees it.
pub struct QueueBackend {
    settings: BackendSettings,
    store: Arc<dyn Store>,
    buffer: mpsc::UnboundedReceiver<InHand>,
    hands: Hands,
    acks: Acks,
    pulse: FetchPulse,
    stop_fetching: CancellationToken,
    tasks: Option<Tasks>,
    closing: Option<BoxFuture<'static, ()>>,
}

struct Tasks {
    fetcher: JoinHandle<()>,
    keeper: JoinHandle<()>,
    acker: JoinHandle<()>,
}

/// The backend never fails: when the carrier is away, its tasks wait and try again.
#[derive(Debug, thiserror::Error)]
pub enum Never {}

impl QueueBackend {
    /// Starts the three tasks. `stop` ends fetching at once, before apalis sees its own shutdown.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        settings: BackendSettings,
        on_ended: Option<OnEnded>,
        stop: &CancellationToken,
    ) -> Self {
        let (fill, buffer) = mpsc::unbounded_channel();
        let hands = Hands::default();
        let stop_fetching = stop.child_token();
        let (acks, acker) = acker::start(store.clone(), settings.queue.clone(), hands.clone(), on_ended);
        let pulse = FetchPulse::new(&settings.queue, settings.slots).with(hands.clone());
        let fetcher = fetcher::Fetcher {
            store: store.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
            hands: hands.clone(),
            fill,
            pulse: pulse.clone(),
            stop: stop_fetching.clone(),
        };
        let keeper =
            keeper::Keeper { store: store.clone(), settings: settings.clone(), hands: hands.clone(), clock };
        let tasks = Tasks { fetcher: tokio::spawn(fetcher.run()), keeper: tokio::spawn(keeper.run()), acker };
        Self { settings, store, buffer, hands, acks, pulse, stop_fetching, tasks: Some(tasks), closing: None }
    }

    pub(crate) fn hands(&self) -> Hands {
        self.hands.clone()
    }

    pub(crate) fn pulse(&self) -> FetchPulse {
        self.pulse.clone()
    }

    pub(crate) fn acks(&self) -> Acks {
        self.acks.clone()
    }

    /// Gives back what was fetched and not begun, settles what ended, and lets the leases go.
    fn close(&mut self) -> BoxFuture<'static, ()> {
        self.stop_fetching.cancel();
        let tasks = self.tasks.take();
        let (acks, hands) = (self.acks.clone(), self.hands.clone());
        let (store, lease) = (self.store.clone(), self.settings.lease);
        // The receiver moves into the future: the fetcher may still put a last batch in while it stops.
        let mut buffer = std::mem::replace(&mut self.buffer, mpsc::unbounded_channel().1);
        async move {
            let Some(tasks) = tasks else { return };
            let _ = tasks.fetcher.await;
            // When the lease is over they run again elsewhere anyway.
            let _ = tokio::time::timeout(lease, store.await_returns()).await;
            while let Ok(in_hand) = buffer.try_recv() {
                acks.give_back(&in_hand.delivery);
            }
            acks.close();
            let _ = tasks.acker.await;
            hands.close();
            let _ = tasks.keeper.await;
        }
        .boxed()
    }
}

impl Backend for QueueBackend {
    type Task = Task<InHand>;
    type Error = Never;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Never>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<InHand>, Never>>> {
        self.buffer.poll_recv(cx).map(|next| {
            next.map(|in_hand| {
                self.hands.unbuffer();
                Ok(Task::new(in_hand))
            })
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Never>> {
        if self.closing.is_none() {
            self.closing = Some(self.close());
        }
        self.closing.as_mut().map_or(Poll::Ready(()), |closing| closing.poll_unpin(cx)).map(Ok)
    }
}

impl BackendConfig for QueueBackend {
    type Args = InHand;
    type Id = String;
    // Ephemeral: a durable apalis backend decodes inside its own poll loop, and one job that cannot be decoded
    // ends the worker. Ours hands over what was stored, and the attempt decides.
    type Kind = Ephemeral;
    type Config = BackendSettings;
    type Layer = Identity;

    fn config(&self) -> &BackendSettings {
        &self.settings
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// How many jobs to hold beyond those that run: what this worker begins within this time.
const AHEAD: Duration = Duration::from_millis(50);

/// Jobs to ask for now, given how many may run (`slots`), how many are held and how many go by in [`AHEAD`].
fn wanted_now(slots: u32, held: u32, buffered: u32, ahead: u32) -> u32 {
    if buffered > ahead / 2 {
        return 0;
    }
    slots.saturating_add(ahead).saturating_sub(held).min(RESERVE_JOBS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_worker_takes_no_more_than_its_slots() {
        assert_eq!(wanted_now(16, 0, 0, 0), 16);
        assert_eq!(wanted_now(16, 16, 0, 0), 0);
        assert_eq!(wanted_now(16, 12, 0, 0), 4);
    }

    #[test]
    fn a_fast_worker_reads_ahead_and_asks_in_batches() {
        assert_eq!(wanted_now(64, 64, 0, 400), 400);
        assert_eq!(wanted_now(64, 300, 236, 400), 0, "not before half of it is used");
        assert_eq!(wanted_now(64, 0, 0, u32::MAX), RESERVE_JOBS_MAX);
    }
}
