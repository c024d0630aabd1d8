//! What people decide where the platform must not: who decided, why, and the ways in which it cannot be done.
//!
//! Each decision is a function beside what it is about (an effect in doubt, a disputed payment, a refund that came to
//! nothing, an upload that WeChat refused). All of them write the audit log and the order's timeline in the
//! transaction that carries them out. Who may decide is the front door's affair.

use crate::ledger::{LedgerError, Tx};
use crate::orders::ChangeError;

/// Bytes of a reason; the rest is cut off.
pub const REASON_BYTES_MAX: usize = 1_000;

/// A person's decision.
#[derive(Clone, Copy, Debug)]
pub struct ByHand<'a> {
    /// As the audit log names them.
    pub who: &'a str,
    pub reason: &'a str,
}

/// Why a decision was not carried out. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotDone {
    #[error("{0}")]
    NoSuch(String),
    /// It is not, or no longer, open to this decision; the text says how it stands.
    #[error("{0}")]
    NotOpen(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<ChangeError> for NotDone {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoOrder(_) => Self::NoSuch(error.to_string()),
            ChangeError::NotAllowed { .. } | ChangeError::Stale => Self::NotOpen(error.to_string()),
            ChangeError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<sqlx::Error> for NotDone {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error.into())
    }
}

impl ByHand<'_> {
    /// Writes the decision into the audit log.
    pub(crate) async fn note(
        &self,
        tx: &mut Tx,
        what: &str,
        about: &str,
        decision: &str,
    ) -> Result<(), LedgerError> {
        tx.audit(self.who, what, about, &format!("{decision}: {}", self.reason())).await
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason[..self.reason.floor_char_boundary(REASON_BYTES_MAX)]
    }
}
