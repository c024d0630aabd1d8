//! The one source of time.
//!
//! Two kinds of time live side by side. The **shop's time** ([`Clock::now`]) is what schedules, due times,
//! back-off and everything the business sees are measured in; a demo lets it run faster than the wall, a test
//! sets it by hand. **Wall time** ([`Clock::wall`]) measures what happens to real processes and sockets:
//! leases, time-outs, breakers, rates. Nothing else in Windlass asks the system for the time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// An instant: microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// RFC 3339 in UTC, with milliseconds.
    pub fn to_rfc3339(self) -> String {
        self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// From an RFC 3339 text with any offset.
    pub fn parse_rfc3339(text: &str) -> Result<Self, chrono::ParseError> {
        DateTime::parse_from_rfc3339(text).map(Self::from)
    }
}

impl<Tz: chrono::TimeZone> From<DateTime<Tz>> for Timestamp {
    fn from(at: DateTime<Tz>) -> Self {
        Self(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// Tells the time and waits for it. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Wall time at `began`: with the monotonic clock added it is a wall time that never jumps back.
    wall_at_start: Timestamp,
    began: Instant,
    pace: Pace,
}

#[derive(Debug)]
enum Pace {
    Real,
    Scaled { start: Timestamp, speed: f64 },
    ByHand(watch::Sender<Timestamp>),
}

impl Clock {
    /// The shop's time is the wall's.
    pub fn system() -> Self {
        Self::with(Pace::Real)
    }

    /// The shop's time begins at `start` and passes `speed` times as fast as the wall's.
    ///
    /// # Panics
    /// When `speed` is not a positive finite number: a programming error, callers check input first.
    pub fn scaled(start: Timestamp, speed: f64) -> Self {
        assert!(speed.is_finite() && speed > 0.0, "a clock's speed is a positive number");
        Self::with(Pace::Scaled { start, speed })
    }

    /// The shop's time stands still until [`Clock::advance`] moves it. For tests.
    pub fn by_hand(start: Timestamp) -> Self {
        Self::with(Pace::ByHand(watch::Sender::new(start)))
    }

    fn with(pace: Pace) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the place that may ask the system")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_at_start = Timestamp::default() + since_epoch;
        Self(Arc::new(Inner { wall_at_start, began: Instant::now(), pace }))
    }

    /// The shop's time.
    pub fn now(&self) -> Timestamp {
        match &self.0.pace {
            Pace::Real => self.wall(),
            Pace::Scaled { start, speed } => *start + self.0.began.elapsed().mul_f64(*speed),
            Pace::ByHand(at) => *at.borrow(),
        }
    }

    /// Real time, monotonic within a process, whatever the shop's time does.
    pub fn wall(&self) -> Timestamp {
        self.0.wall_at_start + self.0.began.elapsed()
    }

    /// How many seconds of the shop pass in a second of the wall.
    pub fn speed(&self) -> f64 {
        match self.0.pace {
            Pace::Scaled { speed, .. } => speed,
            Pace::Real | Pace::ByHand(_) => 1.0,
        }
    }

    /// Whether the shop's time is the wall's.
    pub fn is_real(&self) -> bool {
        matches!(self.0.pace, Pace::Real)
    }

    /// Waits until the shop's time is `at`.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.0.pace {
            Pace::ByHand(now) => {
                // The sender lives as long as this clock, so the wait cannot fail.
                let _ = now.subscribe().wait_for(|now| *now >= at).await;
            }
            Pace::Real | Pace::Scaled { .. } => loop {
                let now = self.now();
                if now >= at {
                    return;
                }
                tokio::time::sleep(at.since(now).div_f64(self.speed())).await;
            },
        }
    }

    /// Waits for `length` of the shop's time.
    pub async fn sleep(&self, length: Duration) {
        self.sleep_until(self.now() + length).await;
    }

    /// Moves a clock that is set by hand; does nothing to the others.
    pub fn advance(&self, by: Duration) {
        if let Pace::ByHand(at) = &self.0.pace {
            at.send_modify(|now| *now = *now + by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

    #[test]
    fn a_timestamp_reads_back_what_it_prints() {
        assert_eq!(NOON.to_rfc3339(), "2026-01-05T04:00:00.000Z");
        assert_eq!(Timestamp::parse_rfc3339("2026-01-05T12:00:00+08:00"), Ok(NOON));
    }

    #[test]
    fn a_scaled_clock_runs_ahead_of_the_wall() {
        let clock = Clock::scaled(NOON, 1_000_000.0);
        let (shop, wall) = (clock.now(), clock.wall());
        while clock.wall().since(wall) < Duration::from_micros(2_001) {
            std::hint::spin_loop();
        }
        assert!(clock.now().since(shop) >= Duration::from_secs(2000));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved() {
        let clock = Clock::by_hand(NOON);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
