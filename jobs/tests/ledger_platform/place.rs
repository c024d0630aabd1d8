//! A ledger of its own for one test, on either engine.

use std::path::PathBuf;

use windlass_engine::{Clock, Timestamp};
use windlass_jobs::ledger::Ledger;
use windlass_servers::Postgres;

pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The folder, and the database, go with it.
pub struct Place {
    folder: tempfile::TempDir,
    database: Option<String>,
    pub clock: Clock,
}

impl Place {
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, Clock::by_hand(NOON))
    }

    pub fn with(engine: Engine, clock: Clock) -> Self {
        let database = (engine == Engine::Postgres).then(Postgres::fresh_database);
        Self { folder: tempfile::tempdir().unwrap(), database, clock }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn url(&self) -> String {
        match &self.database {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", self.path("ledger.db").display()),
        }
    }

    pub async fn ledger(&self) -> Ledger {
        Ledger::open(&self.url(), &self.clock).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(url) = &self.database {
            Postgres::drop_database(url);
        }
    }
}
