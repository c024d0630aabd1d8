//! The demo's clock goes on where it stood when the demo was killed.
//!
//! The shop's time runs many times as fast as the wall's, so a demo that is started again must not begin at the
//! wall's time: to the orders in its data that would be days ago.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use windlass_engine::{Clock, Timestamp};

/// How often the time is written down, in wall time.
const EVERY: Duration = Duration::from_millis(200);

/// Where the time of a data folder is written down.
pub struct ShopTime {
    path: PathBuf,
}

impl ShopTime {
    pub fn of(data: &Path) -> Self {
        Self { path: data.join("shop-time") }
    }

    /// A clock that runs `speed` times as fast as the wall, from where the last one stood; from `start` or now where there
    /// was none.
    ///
    /// # Errors
    /// When the written time cannot be read.
    pub fn clock(&self, speed: f64, start: Option<Timestamp>) -> anyhow::Result<Clock> {
        let written = match std::fs::read_to_string(&self.path) {
            Ok(text) => Some(text.trim().parse().with_context(|| {
                format!("{} holds no time: delete it and the rest of the folder", self.path.display())
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        // Ahead by more than what may have passed since the last writing: time never goes back.
        let start = written.map_or_else(
            || start.unwrap_or_else(|| Clock::system().now()),
            |micros| Timestamp::from_micros(micros) + EVERY.mul_f64(2.0 * speed),
        );
        Ok(Clock::scaled(start, speed))
    }

    /// Writes the time down again and again until `stop`.
    pub async fn keep(self, clock: Clock, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.write(clock.now()) {
                tracing::warn!(path = %self.path.display(), %error, "the shop's time could not be written down");
            }
        }
    }

    /// Beside, then over: a kill in between leaves the time before.
    fn write(&self, now: Timestamp) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, now.micros().to_string())?;
        std::fs::rename(beside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_goes_on_and_never_back() {
        let folder = tempfile::tempdir().unwrap();
        let stood_at = Timestamp::from_secs(2_000_000_000);
        ShopTime::of(folder.path()).write(stood_at).unwrap();
        let clock = ShopTime::of(folder.path()).clock(60.0, Some(Timestamp::default())).unwrap();
        assert!(clock.now() > stood_at && clock.now() < stood_at + Duration::from_secs(120));
    }

    #[test]
    fn a_damaged_time_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shop-time"), "yesterday").unwrap();
        let error = ShopTime::of(folder.path()).clock(60.0, None).unwrap_err().to_string();
        assert!(error.contains("delete it"), "{error}");
    }
}
