//! How full the server is. Enqueueing stops a little before its bound, so that what is there can still end.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::shared::Shared;
use crate::store::StoreError;

/// How old a reading may be.
const READING_MAX: Duration = Duration::from_millis(500);
/// Of its bound, the part above which no more jobs come in.
const FULL_PERCENT: u64 = 92;

#[derive(Default)]
pub(super) struct Memory {
    /// Wall time in microseconds.
    read_at: AtomicI64,
    full: AtomicBool,
}

impl Memory {
    /// # Errors
    /// `Full` near the bound. A server that does not tell has no bound that we know of.
    pub async fn room(&self, shared: &Shared) -> Result<(), StoreError> {
        let wall = shared.clock.wall().micros();
        let read_at = self.read_at.load(Ordering::Relaxed);
        let is_old = wall - read_at > i64::try_from(READING_MAX.as_micros()).unwrap_or(i64::MAX);
        // One of those who find it old reads; the others go by what was known.
        if is_old
            && self.read_at.compare_exchange(read_at, wall, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let info = super::guard::info(&shared.link, "memory").await.unwrap_or_default();
            let of = |field: &str| info.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let (used, most) = (of("used_memory"), of("maxmemory"));
            self.full.store(most > 0 && used / 100 * 100 >= most / 100 * FULL_PERCENT, Ordering::Relaxed);
        }
        if self.full.load(Ordering::Relaxed) {
            return Err(StoreError::Full(format!(
                "Redis has used more than {FULL_PERCENT} % of its maxmemory: jobs that are there go on, new ones wait \
                 until some are done"
            )));
        }
        Ok(())
    }
}
