//! Reserves batches and fills the worker's buffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::held::{Hands, InHand};
use super::{BackendSettings, wanted_now};
use crate::clock::Clock;
use crate::pulse::FetchPulse;
use crate::retry::Backoff;
use crate::store::{Ask, Delivery, Store};

/// Wall time that one ask waits in the store for work.
const WAIT: Duration = Duration::from_secs(10);
/// Jobs of one ask: what a carrier hands out without holding up others for long.
const ASK_JOBS_MAX: u32 = 250;
/// Asks on their way at once.
const ASKS_MAX: usize = 3;
/// Between two tries while the carrier is away.
const AWAY: Backoff = Backoff { base_ms: 50, cap_ms: 5_000 };

pub(super) struct Fetcher {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) settings: BackendSettings,
    pub(super) hands: Hands,
    pub(super) fill: mpsc::UnboundedSender<InHand>,
    pub(super) pulse: FetchPulse,
    pub(super) stop: CancellationToken,
}

impl Fetcher {
    /// Keeps asking. While there is plenty, several asks are on their way at once: the store works on one while the
    /// answer to another is read.
    pub(super) async fn run(self) {
        let (mut away, mut plenty, mut pace) = (0, false, Pace::new());
        let mut asks = FuturesUnordered::new();
        let mut asked = 0;
        // The first answer comes at once: a worker is ready when its asks are answered.
        let mut wait_max = Duration::ZERO;
        while !self.stop.is_cancelled() {
            // Registered before the look, so that a job that ends in between is not missed.
            let room = self.hands.room();
            while asks.is_empty() || (plenty && asks.len() < ASKS_MAX) {
                let n = self.wanted(asked, &mut pace);
                if n == 0 || (!asks.is_empty() && n < ASK_JOBS_MAX) {
                    break;
                }
                let wait = if asks.is_empty() { wait_max } else { Duration::ZERO };
                let ask = self.ask(n, wait);
                let store = &self.store;
                asks.push(async move { (n, store.reserve(ask).await) });
                asked += n;
            }
            let (n, reserved) = tokio::select! {
                Some(answer) = asks.next() => answer,
                () = room, if asks.is_empty() || plenty => {
                    if asks.is_empty() {
                        self.pulse.freed.beat(&self.clock);
                    }
                    continue;
                }
                // What the asks would have got goes back unharmed.
                () = self.stop.cancelled() => return,
            };
            asked -= n;
            match reserved {
                Ok(reserved) => {
                    (away, wait_max) = (0, WAIT);
                    self.pulse.answered.beat(&self.clock);
                    plenty = reserved.deliveries.len() == n as usize;
                    pace.add(reserved.deliveries.len());
                    self.hand_on(reserved.deliveries);
                }
                Err(error) => {
                    (away, plenty) = (away + 1, false);
                    tracing::warn!(queue = self.settings.queue, %error, "no work can be fetched, trying again");
                    self.pause(AWAY.wait(away, fastrand::f64())).await;
                }
            }
        }
    }

    fn wanted(&self, asked: u32, pace: &mut Pace) -> u32 {
        let (held, buffered) = (self.hands.count() + asked, self.hands.buffered() + asked);
        wanted_now(self.settings.slots, held, buffered, pace.per_s()).min(ASK_JOBS_MAX)
    }

    fn ask(&self, jobs_max: u32, wait: Duration) -> Ask {
        Ask {
            queue: self.settings.queue.clone(),
            worker: self.settings.worker.clone(),
            jobs_max,
            lease: self.settings.lease,
            wait,
        }
    }

    fn hand_on(&self, deliveries: Vec<Delivery>) {
        if !deliveries.is_empty() {
            self.pulse.took.beat(&self.clock);
        }
        for in_hand in self.hands.take(deliveries, self.clock.wall()) {
            // The receiver outlives this task: close() awaits it before it drains what is left.
            let _ = self.fill.send(in_hand);
        }
    }

    async fn pause(&self, length: Duration) {
        tokio::select! {
            () = tokio::time::sleep(length) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// How fast this worker gets through jobs: measured over what it fetched, forgotten within a second.
struct Pace {
    since: Instant,
    jobs: usize,
    per_s: f64,
}

/// Over which stretch the pace is measured.
const PACE_WINDOW: Duration = Duration::from_millis(50);

impl Pace {
    fn new() -> Self {
        Self { since: Instant::now(), jobs: 0, per_s: 0.0 }
    }

    fn add(&mut self, jobs: usize) {
        self.jobs += jobs;
    }

    fn per_s(&mut self) -> f64 {
        let elapsed = self.since.elapsed();
        if elapsed >= PACE_WINDOW {
            self.per_s = self.jobs as f64 / elapsed.as_secs_f64();
            (self.since, self.jobs) = (Instant::now(), 0);
        }
        self.per_s
    }
}
