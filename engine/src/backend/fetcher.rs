//! Reserves batches and fills the worker's buffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::held::{Hands, InHand};
use super::{AHEAD, BackendSettings, wanted_now};
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
        let (held, buffered) = (self.hands.count(), self.hands.buffered());
        let ahead = pace.jobs_ahead(held, Instant::now());
        wanted_now(self.settings.slots, held + asked, buffered + asked, ahead).min(ASK_JOBS_MAX)
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

/// How many jobs this worker gets through in [`AHEAD`], by what ended within the last such stretch: it grows with every
/// batch of a backlog, and forgets within two stretches.
struct Pace {
    fetched: u64,
    since: Instant,
    /// Jobs that had ended when this stretch began.
    ended: u64,
    /// Those of the stretch before.
    before: u32,
}

impl Pace {
    fn new() -> Self {
        Self { fetched: 0, since: Instant::now(), ended: 0, before: 0 }
    }

    fn add(&mut self, jobs: usize) {
        self.fetched += jobs as u64;
    }

    /// `held`: jobs that were fetched and have not ended.
    fn jobs_ahead(&mut self, held: u32, at: Instant) -> u32 {
        let ended = self.fetched.saturating_sub(held.into());
        let now = ended.saturating_sub(self.ended) as u32;
        let elapsed = at.saturating_duration_since(self.since);
        if elapsed >= AHEAD {
            self.before = if elapsed < 2 * AHEAD { now } else { 0 };
            (self.since, self.ended) = (at, ended);
            return self.before;
        }
        // Of the stretch before as much counts as still lies within the last one.
        let share = 1.0 - elapsed.as_secs_f64() / AHEAD.as_secs_f64();
        now + (f64::from(self.before) * share) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_read_ahead_of_from_its_first_moments_and_an_idle_worker_forgets_it() {
        let mut pace = Pace::new();
        let began = pace.since;
        pace.add(64);
        assert_eq!(pace.jobs_ahead(64, began + AHEAD / 100), 0, "none has ended yet");
        assert_eq!(pace.jobs_ahead(0, began + AHEAD / 50), 64);
        pace.add(192);
        assert_eq!(pace.jobs_ahead(0, began + AHEAD / 25), 256);
        assert_eq!(pace.jobs_ahead(0, began + AHEAD), 256);
        assert_eq!(pace.jobs_ahead(0, began + AHEAD + AHEAD / 2), 128);
        assert_eq!(pace.jobs_ahead(0, began + AHEAD * 4), 0);
    }

    #[test]
    fn jobs_that_take_long_are_not_hoarded() {
        // Sixteen at a time, each of four stretches.
        let mut pace = Pace::new();
        let began = pace.since;
        for round in 0..10 {
            assert!(pace.jobs_ahead(0, began + AHEAD * 4 * round) <= 16);
            pace.add(16);
            assert_eq!(pace.jobs_ahead(16, began + AHEAD * (4 * round + 2)), 0);
        }
    }
}
