//! Greylisting (RFC 6647): a sender and recipient that were never seen together are sent away once with 450. Who comes
//! again is let in for good; who only pretends to be a mail server does not come again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Pairs that are remembered; then everybody is a stranger again.
const PAIRS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Greylist {
    seen: Mutex<HashSet<(String, String)>>,
}

impl Greylist {
    /// Whether the two are strangers; from now on they are none.
    pub(super) fn is_strange(&self, from: &str, to: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= PAIRS_MAX {
            seen.clear();
        }
        seen.insert((from.to_owned(), to.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_sent_away_once() {
        let list = Greylist::default();
        assert!(list.is_strange("a@b", "c@d"));
        assert!(!list.is_strange("a@b", "c@d"));
        assert!(list.is_strange("a@b", "e@f"));
    }
}
