//! Renews the leases that are held, brings notes to the carrier, and hears who must stop.

use std::sync::Arc;
use std::time::Duration;

use super::BackendSettings;
use super::held::Hands;
use crate::clock::Clock;
use crate::store::Store;

/// How often it looks. Jobs shorter than this are never renewed and cost it nothing.
const TICK: Duration = Duration::from_secs(1);
/// Leases in one call.
const RENEW_MAX: usize = 1_000;

pub(super) struct Keeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: BackendSettings,
    pub(super) hands: Hands,
    pub(super) clock: Clock,
}

impl Keeper {
    pub(super) async fn run(self) {
        let tick = TICK.min(self.settings.lease / 3);
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.renew(tick).await,
                () = self.hands.closed() => return,
            }
        }
    }

    async fn renew(&self, tick: Duration) {
        let due = self.hands.due_for_renewal(self.clock.wall() - tick);
        for some in due.chunks(RENEW_MAX) {
            match self.store.renew(&self.settings.queue, some.to_vec(), self.settings.lease).await {
                Ok(told) => {
                    self.hands.renewed(some, self.clock.wall());
                    self.hands.lose(&told.lost);
                    self.hands.ask_to_stop(&told.cancelling);
                }
                // The next tick tries again; a lease that runs out meanwhile fences this worker out.
                Err(error) => {
                    tracing::warn!(queue = self.settings.queue, %error, "leases could not be renewed")
                }
            }
        }
    }
}
