//! What becomes of a job when the outside failed it: the one conversion from what a client says.

use std::time::Duration;

use windlass_engine::{Backoff, JobError};

use crate::outside::{Fault, OutsideError};

/// Our own credentials or settings are wrong: a person must act, so hammering helps nobody.
const MISCONFIGURED_RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
/// Throttled without a word of when to come back.
const THROTTLED_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Attempts of a job that a schedule sends to look at an outside system, which may be away for most of a day. While one
/// waits the schedule sends no other, so giving up early would only leave a dead job for somebody to look at.
pub const LOOK_ATTEMPTS_MAX: u32 = 200;
/// Two seconds, doubling, at most the five minutes after which the most frequent schedule comes again.
pub const LOOK_BACKOFF: Backoff = Backoff { base_ms: 2_000, cap_ms: 300_000 };

/// The verdict on a failed call. Effects and changes of an order have their own conversions, which a bare `?` takes;
/// that of effects calls here.
pub fn of_outside(error: OutsideError) -> JobError {
    let outage = error.is_outage();
    let verdict = match &error.fault {
        Fault::Throttled { retry_after } => {
            let after = retry_after.unwrap_or(THROTTLED_RETRY_AFTER);
            JobError::retry_after(after, error)
        }
        Fault::Misconfigured { code } => {
            metrics::counter!("windlass_outside_misconfigured_total", "system" => error.system.name())
                .increment(1);
            tracing::error!(
                system = error.system.name(),
                call = error.call,
                code,
                "the outside refuses our settings"
            );
            JobError::retry_after(MISCONFIGURED_RETRY_AFTER, error)
        }
        Fault::Refused { .. } => JobError::fail(error),
        Fault::NotSent | Fault::InDoubt | Fault::Unavailable => JobError::retry(error),
    };
    if outage { verdict.outage() } else { verdict }
}

#[cfg(test)]
mod tests {
    use windlass_engine::Job;

    use super::*;
    use crate::orders::CompareShipments;
    use crate::payments::FetchBill;
    use crate::suppliers::{CheckSupplierBalance, SyncProducts, TrackParcels};
    use crate::token::RefreshTokens;

    /// Of the shop's time, from the first attempt to the last, as the dice fall on average.
    fn goes_on_for<J: Job>() -> (&'static str, Duration) {
        (J::KIND, (1..J::ATTEMPTS_MAX).map(|attempt| J::BACKOFF.wait(attempt, 0.5)).sum())
    }

    #[test]
    fn what_a_schedule_sends_to_look_outside_outlasts_an_outage_and_is_soon_back() {
        let most_of_a_day = Duration::from_secs(8 * 3_600);
        for (kind, time) in [
            goes_on_for::<RefreshTokens>(),
            goes_on_for::<CheckSupplierBalance>(),
            goes_on_for::<SyncProducts>(),
            goes_on_for::<TrackParcels>(),
            goes_on_for::<FetchBill>(),
            goes_on_for::<CompareShipments>(),
        ] {
            assert!(time > most_of_a_day, "{kind} gives up after {time:?}");
        }
        assert!(LOOK_BACKOFF.ceiling(LOOK_ATTEMPTS_MAX) <= Duration::from_secs(300));
    }
}
