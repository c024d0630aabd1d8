//! A ledger of its own for one test, on either engine.

use std::path::{Path, PathBuf};

use windlass_engine::Clock;
use windlass_jobs::ledger::Ledger;
use windlass_servers::Postgres;

use crate::NOON;

/// What a ledger is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A folder, an address for a ledger, and a clock. The folder, and the database, go with it.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    database: Option<String>,
    pub clock: Clock,
}

impl Place {
    /// Its clock stands at [`NOON`] until it is moved by hand.
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, Clock::by_hand(NOON))
    }

    pub fn with(engine: Engine, clock: Clock) -> Self {
        let database = (engine == Engine::Postgres).then(Postgres::fresh_database);
        Self { folder: tempfile::tempdir().expect("a folder"), database, clock }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The ledger's address.
    pub fn url(&self) -> String {
        match &self.database {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", self.path("ledger.db").display()),
        }
    }

    pub async fn ledger(&self) -> Ledger {
        Ledger::open(&self.url(), &self.clock).await.expect("the ledger opens")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(url) = &self.database {
            Postgres::drop_database(url);
        }
    }
}
