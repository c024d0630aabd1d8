//! What a carrier could not do, by what the caller can do about it.

/// What a carrier could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or cannot write now. Where its answer was lost on the way, the call may have been done:
    /// trying again under the same ids and tokens is safe.
    #[error("the carrier is unavailable: {0}")]
    Unavailable(String),
    /// It has no room for more jobs now; those it has go on. Trying again later is safe.
    #[error("the carrier is full: {0}")]
    Full(String),
    /// The call itself is wrong: over a bound, an unknown cursor. Trying again is pointless.
    #[error("{0}")]
    Invalid(String),
    /// What is stored cannot be read: another program's file, a newer version, damage.
    #[error("{0}")]
    Unreadable(String),
}

impl StoreError {
    pub(super) fn claimed_by_another(known: &str, owner: &str) -> Self {
        Self::Invalid(format!(
            "this carrier belongs to the ledger {known}, and this process works with the ledger {owner}: \
             one of QUEUE_URL, QUEUE_NAMESPACE and DATABASE_URL is another shop's"
        ))
    }
}
