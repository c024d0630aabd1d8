//! A word on stderr when the log itself fails: it cannot be logged. Once a minute, however often it happens.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Complaint {
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    pub fn say(&mut self, what: &str) {
        if let Some(words) = self.words(what, Instant::now()) {
            eprintln!("{words}");
        }
    }

    fn words(&mut self, what: &str, now: Instant) -> Option<String> {
        if self.said.is_some_and(|said| now.duration_since(said) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        let before = std::mem::take(&mut self.unsaid);
        self.said = Some(now);
        Some(if before == 0 {
            format!("warning: {what}")
        } else {
            format!("warning: {what} ({before} times more before)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute_and_how_often_it_was_not() {
        let (mut complaint, now) = (Complaint::default(), Instant::now());
        assert_eq!(complaint.words("full", now).unwrap(), "warning: full");
        assert_eq!(complaint.words("full", now + EVERY / 2), None);
        assert_eq!(complaint.words("full", now + EVERY).unwrap(), "warning: full (1 times more before)");
    }
}
