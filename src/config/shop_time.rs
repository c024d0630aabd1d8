//! A shop whose time passes faster than the wall's, to see in minutes what takes days.

use std::time::Duration;

use windlass_engine::{Clock, Timestamp};

use super::Env;
use super::environment::Environment;

const SPEED_MAX: f64 = 100_000.0;

/// `WINDLASS_SPEED` and `WINDLASS_SPEED_SINCE`: the shop's time follows from the wall's alone, so that processes
/// agree on it that never talked to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShopSpeed {
    speed: f64,
    since: Timestamp,
}

impl ShopSpeed {
    pub(super) fn read(env: &mut Environment, mode: Env) -> Option<Self> {
        let speed = env.parsed("WINDLASS_SPEED", "a number").unwrap_or(1.0);
        let since = env.text("WINDLASS_SPEED_SINCE");
        if speed == 1.0 {
            return None;
        }
        if !(1.0..=SPEED_MAX).contains(&speed) {
            env.problem("WINDLASS_SPEED", format!("{speed} is not from 1 to {SPEED_MAX}"));
        } else if mode == Env::Production {
            env.problem("WINDLASS_SPEED", "in production the shop's time is the wall's");
        }
        let Some(since) = since else {
            env.problem("WINDLASS_SPEED_SINCE", "missing: processes would not agree on the shop's time");
            return None;
        };
        let now = Clock::system().wall();
        match Timestamp::parse_rfc3339(&since) {
            Ok(since) if since <= now => Some(Self { speed, since }),
            Ok(_) => {
                env.problem("WINDLASS_SPEED_SINCE", "is still to come");
                None
            }
            Err(_) => {
                env.problem("WINDLASS_SPEED_SINCE", format!("\"{since}\" is not a time of RFC 3339"));
                None
            }
        }
    }

    pub(super) fn clock(self) -> Clock {
        Clock::scaled(self.at(Clock::system().wall()), self.speed)
    }

    /// The shop's time at an instant of the wall's.
    fn at(self, wall: Timestamp) -> Timestamp {
        let passed: Duration = wall.since(self.since);
        self.since + passed.mul_f64(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shops_time_is_the_same_whenever_a_process_starts() {
        let since = Timestamp::from_secs(2_000_000_000);
        let speed = ShopSpeed { speed: 60.0, since };
        assert_eq!(speed.at(since), since);
        assert_eq!(speed.at(since + Duration::from_secs(2)), since + Duration::from_secs(120));
    }
}
