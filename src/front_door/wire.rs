//! What has come over one connection, as far as it matters for its end: whether a request is on its way that would be lost.
//!
//! hyper closes an idle connection without a look at what the system holds for it, and takes a request of which only the
//! first half has come for none. The connection notes here what it reads, and its service what was asked and answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a caller may take to say the whole head of a request: from its connecting, or from the closing of the port
/// where some of it has come.
const HEAD_MAX: Duration = Duration::from_secs(2);

/// Written by the connection and its service, read by whoever ends it: all in one task.
#[derive(Debug)]
pub struct Wire {
    opened: Instant,
    /// Something has come at all.
    has_spoken: AtomicBool,
    /// Something came that belongs to no request so far.
    has_begun: AtomicBool,
    /// A request is with its handler.
    is_asked: AtomicBool,
    /// The port is closed: each read that finds nothing looks again.
    is_ending: AtomicBool,
    /// What that look found.
    waits: AtomicBool,
}

impl Wire {
    pub fn new(opened: Instant) -> Self {
        let no = || AtomicBool::new(false);
        Self { opened, has_spoken: no(), has_begun: no(), is_asked: no(), is_ending: no(), waits: no() }
    }

    pub fn has_heard(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
        self.has_begun.store(true, Ordering::Relaxed);
        self.waits.store(false, Ordering::Relaxed);
    }

    pub fn has_looked(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// The head of a request is whole.
    pub fn asks(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// The answer begins. What was read until now was the request's.
    pub fn is_answered(&self) {
        self.has_begun.store(false, Ordering::Relaxed);
        self.is_asked.store(false, Ordering::Relaxed);
    }

    pub fn ends(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Whether a request is with its handler, or may be arriving `now`; the port closed at `closed`.
    pub fn is_expecting(&self, closed: Instant, now: Instant) -> bool {
        if self.is_asked.load(Ordering::Relaxed) {
            return true;
        }
        let is_new = !self.has_spoken.load(Ordering::Relaxed) && now < self.opened + HEAD_MAX;
        let has_begun = self.has_begun.load(Ordering::Relaxed) || self.waits.load(Ordering::Relaxed);
        is_new || (has_begun && now < closed + HEAD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_a_part_of_a_request_is_waited_for_and_not_for_ever() {
        let opened = Instant::now();
        let (wire, later) = (Wire::new(opened), opened + HEAD_MAX);
        assert!(wire.is_expecting(opened, opened), "who has just come is about to ask");
        assert!(!wire.is_expecting(later, later), "who says nothing is not waited for");
        wire.has_heard();
        assert!(wire.is_expecting(later, later), "half a head");
        assert!(!wire.is_expecting(opened, later), "half a head for too long");
        wire.asks();
        assert!(wire.is_expecting(opened, later), "an answer takes as long as it takes");
        wire.has_heard();
        wire.is_answered();
        assert!(!wire.is_expecting(later, later), "its body was no other request");
        wire.has_looked(true);
        assert!(wire.is_expecting(later, later), "the system holds the next one");
    }
}
