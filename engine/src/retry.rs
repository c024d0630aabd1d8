//! What happens after an attempt: pure, from the attempt, the verdict and the policy.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::job::Verdict;

/// How long to wait before the next attempt: doubles from `base` up to `cap`, with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    pub base_ms: u64,
    pub cap_ms: u64,
}

impl Backoff {
    /// One second, doubling, at most an hour.
    pub const DEFAULT: Backoff = Backoff { base_ms: 1_000, cap_ms: 3_600_000 };

    /// The ceiling of the wait after attempt number `attempt` (1 is the first).
    pub fn ceiling(self, attempt: u32) -> Duration {
        let doubled =
            self.base_ms.saturating_mul(1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX));
        Duration::from_millis(doubled.min(self.cap_ms))
    }

    /// The wait itself: full jitter, so that jobs which failed together do not come back together, but never
    /// less than a tenth of the ceiling, so that a retry is not a hot loop. `dice` is in 0..1.
    pub fn wait(self, attempt: u32, dice: f64) -> Duration {
        self.ceiling(attempt).mul_f64(0.1 + 0.9 * dice.clamp(0.0, 1.0))
    }
}

/// What becomes of a job whose attempt did not complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Retry { at: Timestamp },
    Dead,
    Snooze { until: Timestamp },
    Cancel,
}

/// Decides. `attempt` is the one that just ended, 1 for the first.
pub fn next(
    verdict: Verdict,
    attempt: u32,
    attempts_max: u32,
    backoff: Backoff,
    now: Timestamp,
    dice: f64,
) -> Next {
    match verdict {
        Verdict::Snooze { after } => Next::Snooze { until: now + after },
        Verdict::Cancel => Next::Cancel,
        Verdict::Fail => Next::Dead,
        Verdict::Retry { .. } if attempt >= attempts_max => Next::Dead,
        Verdict::Retry { after: Some(after) } => Next::Retry { at: now + after },
        Verdict::Retry { after: None } => Next::Retry { at: now + backoff.wait(attempt, dice) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_wait_stays_between_a_tenth_of_the_ceiling_and_the_ceiling(
            base in 1u64..10_000, cap in 1u64..10_000_000, attempt in 0u32..1_000, dice in 0.0f64..1.0,
        ) {
            let backoff = Backoff { base_ms: base, cap_ms: cap };
            let (wait, ceiling) = (backoff.wait(attempt, dice), backoff.ceiling(attempt));
            prop_assert!(ceiling <= Duration::from_millis(cap));
            prop_assert!(wait <= ceiling && wait >= ceiling.mul_f64(0.0999));
        }

        #[test]
        fn the_ceiling_never_shrinks(base in 1u64..10_000, cap in 1u64..10_000_000, attempt in 1u32..1_000) {
            let backoff = Backoff { base_ms: base, cap_ms: cap };
            prop_assert!(backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1));
        }

        #[test]
        fn a_job_dies_at_its_last_attempt_and_not_before(attempt in 1u32..50, max in 1u32..50) {
            let next = next(Verdict::Retry { after: None }, attempt, max, Backoff::DEFAULT, Timestamp::default(), 0.5);
            prop_assert_eq!(next == Next::Dead, attempt >= max);
        }
    }

    #[test]
    fn a_snooze_uses_no_attempt_however_late_it_comes() {
        let after = Duration::from_secs(5);
        let next = next(Verdict::Snooze { after }, 10, 10, Backoff::DEFAULT, Timestamp::default(), 0.5);
        assert_eq!(next, Next::Snooze { until: Timestamp::default() + after });
    }
}
