//! Why an effect has not ended yet, and what that means for the job that wants it.

use std::fmt;
use std::time::Duration;

use windlass_engine::JobError;

use crate::ledger::{Ledger, LedgerError};
use crate::outside::{Fault, OutsideError};
use crate::verdict;

/// Shop's time between two looks at an effect that somebody else is bringing about.
const BEING_TOLD_WAIT_MIN: Duration = Duration::from_millis(200);

/// Deliberately no [`std::error::Error`]: a bare `?` in a job then takes the conversion below, not the one that
/// makes a plain retry of every error.
#[derive(Debug)]
pub enum EffectError {
    Ledger(LedgerError),
    /// The call did not reach its effect; telling again is safe.
    DidNotHappen(OutsideError),
    /// The call may have had its effect; the next attempt finds out.
    InDoubt(OutsideError),
    /// The outside could not be asked.
    Asking(OutsideError),
    /// The outside was asked and does not know yet.
    StillInDoubt,
    /// Another attempt is at it, or died so recently that it may still live.
    BeingTold {
        /// Of the shop's time.
        wait: Duration,
    },
    /// The recorded answer does not decode: another build wrote it.
    Answer(serde_json::Error),
    AnswerTooLong {
        bytes: usize,
    },
}

impl EffectError {
    /// `wall` is the time that the other attempt may still need.
    pub(super) fn being_told(ledger: &Ledger, wall: Duration) -> Self {
        let wait = wall.mul_f64(ledger.clock().speed()).max(BEING_TOLD_WAIT_MIN);
        Self::BeingTold { wait }
    }

    /// The value of the metric's label.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "ledger_failed",
            Self::DidNotHappen(error) | Self::InDoubt(error) => error.fault.name(),
            Self::Asking(_) => "ask_failed",
            Self::StillInDoubt => "cannot_tell",
            Self::BeingTold { .. } => "being_told",
            Self::Answer(_) | Self::AnswerTooLong { .. } => "broken",
        }
    }
}

impl fmt::Display for EffectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(error) => error.fmt(f),
            Self::DidNotHappen(error) | Self::InDoubt(error) => error.fmt(f),
            Self::Asking(error) => write!(f, "asking what became of it: {error}"),
            Self::StillInDoubt => f.write_str("nobody can tell yet whether it happened"),
            Self::BeingTold { .. } => f.write_str("another attempt is bringing it about"),
            Self::Answer(error) => write!(f, "the recorded answer is not of this build: {error}"),
            Self::AnswerTooLong { bytes } => {
                write!(f, "the answer has {bytes} bytes, more than {}", super::ANSWER_BYTES_MAX)
            }
        }
    }
}

/// What the job does about it: waits where somebody else is at work (not an attempt), heeds a throttle, comes back
/// slowly where a person must act, gives up where only another build can help; else the kind's back-off.
impl From<EffectError> for JobError {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::BeingTold { wait } => JobError::snooze(wait, error.to_string()),
            EffectError::Answer(_) | EffectError::AnswerTooLong { .. } => {
                JobError::fail(anyhow::Error::msg(error.to_string()))
            }
            // A question that is refused settles nothing: what it asked about may have happened.
            EffectError::Asking(error) if matches!(error.fault, Fault::Refused { .. }) => {
                JobError::retry(error)
            }
            EffectError::DidNotHappen(error) | EffectError::InDoubt(error) | EffectError::Asking(error) => {
                verdict::of_outside(error)
            }
            EffectError::StillInDoubt => JobError::retry(anyhow::Error::msg(error.to_string())),
            EffectError::Ledger(error) => JobError::retry(error),
        }
    }
}
