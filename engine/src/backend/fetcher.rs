//! Reserves batches and fills the worker's buffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::held::Hands;
use super::{BackendSettings, wanted_now};
use crate::clock::Clock;
use crate::pulse::FetchPulse;
use crate::retry::Backoff;
use crate::store::{Ask, Delivery, Store};

/// Wall time that one ask waits in the store for work.
const WAIT: Duration = Duration::from_secs(10);
/// Between two tries while the carrier is away.
const AWAY: Backoff = Backoff { base_ms: 50, cap_ms: 5_000 };

pub(super) struct Fetcher {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) settings: BackendSettings,
    pub(super) hands: Hands,
    pub(super) fill: mpsc::UnboundedSender<Delivery>,
    pub(super) pulse: FetchPulse,
    pub(super) stop: CancellationToken,
}

impl Fetcher {
    pub(super) async fn run(self) {
        let (mut away, mut pace) = (0, Pace::new());
        // The first answer comes at once: a worker is ready when its asks are answered.
        let mut wait = Duration::ZERO;
        while !self.stop.is_cancelled() {
            let jobs_max = self.wait_until_wanted(&mut pace).await;
            if jobs_max == 0 {
                return;
            }
            let reserved = tokio::select! {
                reserved = self.store.reserve(self.ask(jobs_max, wait)) => reserved,
                () = self.stop.cancelled() => return,
            };
            match reserved {
                Ok(reserved) => {
                    (away, wait) = (0, WAIT);
                    self.pulse.answered.beat(&self.clock);
                    pace.add(reserved.deliveries.len());
                    self.hand_on(reserved.deliveries);
                }
                Err(error) => {
                    away += 1;
                    tracing::warn!(queue = self.settings.queue, %error, "no work can be fetched, trying again");
                    self.pause(AWAY.wait(away, fastrand::f64())).await;
                }
            }
        }
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
        self.hands.take(&deliveries, self.clock.wall());
        for delivery in deliveries {
            // The receiver outlives this task: close() awaits it before it drains what is left.
            let _ = self.fill.send(delivery);
        }
    }

    /// Waits until there is room; 0: told to stop.
    async fn wait_until_wanted(&self, pace: &mut Pace) -> u32 {
        loop {
            // Registered before the look, so that a job that ends in between is not missed.
            let room = self.hands.room();
            let n = wanted_now(self.settings.slots, self.hands.count(), self.hands.buffered(), pace.per_s());
            if n > 0 {
                return n;
            }
            tokio::select! {
                () = room => self.pulse.freed.beat(&self.clock),
                () = self.stop.cancelled() => return 0,
            }
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
