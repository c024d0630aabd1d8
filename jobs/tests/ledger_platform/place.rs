//! A ledger on a file of its own, for one test.

use std::path::PathBuf;

use windlass_engine::{Clock, Timestamp};
use windlass_jobs::ledger::Ledger;

pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

/// The folder goes with it.
pub struct Place {
    folder: tempfile::TempDir,
    pub clock: Clock,
}

impl Place {
    pub fn new() -> Self {
        Self::with(Clock::by_hand(NOON))
    }

    pub fn with(clock: Clock) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path("ledger.db").display())
    }

    pub async fn ledger(&self) -> Ledger {
        Ledger::open(&self.url(), &self.clock).await.unwrap()
    }
}
