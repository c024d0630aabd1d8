//! The ledger: the SQL record of the business, and the connections to it.
//!
//! It lives in a SQLite file or in a PostgreSQL database: the same schema, the same query texts. Writes go through
//! transactions ([`Ledger::begin`]), reads through a pool beside them. A transaction changes the business and
//! enqueues jobs together or not at all ([`Tx::enqueue`]). No transaction is held across a call to the outside. What
//! keeps two transactions apart on each engine is said in `writer.rs`; what the tables mean, by the modules that own
//! them, not here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{Notify, mpsc};
use windlass_engine::Clock;
use windlass_engine::trace::{Span, SpanKind};

use crate::outbox::accept::{self, Write};

pub mod api_keys;
mod audit;
mod error;
mod identity;
mod in_flight;
mod money_trail;
mod open;
mod shelf;
mod timeline;
mod tx;
mod writer;

pub use audit::{AuditEntry, last_act};
pub use error::{LedgerError, is_ledger_away};
pub(crate) use in_flight::{InFlight, Telling};
pub use money_trail::{MoneyLine, MoneyTrail, TARGET as AUDIT_TARGET};
pub use shelf::LedgerShelf;
pub(crate) use timeline::timeline_in;
pub use timeline::{OrderEvent, TIMELINE_ROWS_MAX, TimelinePage, timeline};
pub use tx::Tx;
pub(crate) use writer::Writer;

/// How long one call that tells the outside something may take, in wall time. A call that was begun longer ago has
/// no living caller.
pub const TELL_TIME_MAX: Duration = Duration::from_secs(30);
/// Accepted jobs that may wait for their end; above it [`Ledger::accept`] refuses more. Jobs that the business
/// itself makes within its transactions are not refused: they end what was accepted.
pub const OUTBOX_ROWS_MAX: u64 = 1_000_000;

/// Clones share the connections. Needs a Tokio runtime for as long as it lives.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    identity: String,
    writer: Writer,
    reads: AnyPool,
    snapshot: &'static str,
    clock: Clock,
    /// Tells the relay that rows were put.
    wake: Arc<Notify>,
    writes: mpsc::Sender<Write>,
    positions: Arc<Positions>,
    /// Effects that this process is telling the outside right now.
    in_flight: InFlight,
    money_trail: OnceLock<Arc<dyn MoneyTrail>>,
}

impl Ledger {
    /// Opens the ledger at `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE` and brings its schema to this
    /// build's. A file is made when it is absent, a database is not.
    ///
    /// # Errors
    /// [`LedgerError::CannotOpen`], whose text says what to do.
    pub async fn open(url: &str, clock: &Clock) -> Result<Ledger, LedgerError> {
        Self::open_with(url, clock, TELL_TIME_MAX).await
    }

    /// As [`Ledger::open`], with another bound on the time that one call to the outside may take.
    pub async fn open_with(url: &str, clock: &Clock, tell_time_max: Duration) -> Result<Ledger, LedgerError> {
        Self::open_bounded(url, clock, tell_time_max, OUTBOX_ROWS_MAX).await
    }

    /// As [`Ledger::open_with`], and with another bound on the jobs that may wait for their end.
    pub async fn open_bounded(
        url: &str,
        clock: &Clock,
        tell_time_max: Duration,
        outbox_rows_max: u64,
    ) -> Result<Ledger, LedgerError> {
        Self::open_watched(url, clock, tell_time_max, outbox_rows_max, None).await
    }

    /// As [`Ledger::open_bounded`]; a statement that takes `slow` or longer is logged (target `sqlx::query`): its text,
    /// never a value that was bound to it.
    pub async fn open_watched(
        url: &str,
        clock: &Clock,
        tell_time_max: Duration,
        outbox_rows_max: u64,
        slow: Option<Duration>,
    ) -> Result<Ledger, LedgerError> {
        let open::Pools { writer, reads, snapshot } = open::open(url, slow).await?;
        let identity = identity::of(&writer, clock).await?;
        let wake = Arc::new(Notify::new());
        let positions = Arc::new(Positions(AtomicI64::new(0)));
        let writes =
            accept::start(writer.clone(), clock.clone(), positions.clone(), wake.clone(), outbox_rows_max);
        let in_flight = InFlight::new(clock, tell_time_max);
        Ok(Ledger(Arc::new(Inner {
            identity,
            writer,
            reads,
            snapshot,
            clock: clock.clone(),
            wake,
            writes,
            positions,
            in_flight,
            money_trail: OnceLock::new(),
        })))
    }

    /// The steps of this build's schema that the ledger at `url` lacks. None where there is no ledger yet: whoever opens
    /// it makes it. Changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::CannotOpen`], whose text says what to do.
    pub async fn steps_missing(url: &str) -> Result<Vec<i64>, LedgerError> {
        open::steps_missing(url).await
    }

    /// The last step of the schema: an open ledger has taken all of them.
    pub const fn schema_version(&self) -> i64 {
        open::SCHEMA_VERSION
    }

    /// What keeps the ledger, with its version and what its settings promise of a commit.
    pub async fn keeper(&self) -> Result<String, LedgerError> {
        let asks = if self.engine() == "sqlite" {
            "SELECT 'SQLite ' || sqlite_version() || ', synchronous=FULL: a commit is on disk' AS words"
        } else {
            "SELECT 'PostgreSQL ' || current_setting('server_version') \
                 || ', fsync ' || current_setting('fsync') \
                 || ', synchronous_commit ' || current_setting('synchronous_commit') AS words"
        };
        let (words,): (String,) = sqlx::query_as(asks).fetch_one(self.reads()).await?;
        Ok(words)
    }

    /// What keeps it, by the names that OpenTelemetry has for databases.
    pub(crate) fn engine(&self) -> &'static str {
        let options = self.reads().connect_options();
        if options.database_url.scheme() == "sqlite" { "sqlite" } else { "postgresql" }
    }

    /// A UUID that this ledger has had since it was first opened and no other one has.
    pub fn identity(&self) -> &str {
        &self.0.identity
    }

    /// Begins a transaction that may write. Few live at a time (on SQLite one): keep it short, never across a call
    /// to the outside, and begin no second one while it lives. Dropping it undoes it.
    pub async fn begin(&self) -> Result<Tx, LedgerError> {
        // From here: waiting for the ledger's lock is a part of it.
        let span = Span::child(SpanKind::Client, || "ledger transaction");
        let inner = self.0.writer.begin().await?;
        Ok(Tx::new(inner, self.clone(), span))
    }

    /// Connections that can only read; each statement sees what was committed before it.
    pub fn reads(&self) -> &AnyPool {
        &self.0.reads
    }

    /// A transaction that only reads, all of it as it was at one moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, LedgerError> {
        Ok(self.0.reads.begin_with(self.0.snapshot).await?)
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Has every decision about money written to `trail` before it holds. The first trail stays.
    pub fn keep_money_trail(&self, trail: Arc<dyn MoneyTrail>) {
        // A second one of a process would be the same file.
        let _ = self.0.money_trail.set(trail);
    }

    pub(crate) fn money_trail(&self) -> Option<Arc<dyn MoneyTrail>> {
        self.0.money_trail.get().cloned()
    }

    /// Proves that the ledger answers and can be written to.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("SELECT COUNT(*) AS n FROM tokens").fetch_one(self.reads()).await?;
        // SQLite's write lock is taken and given back; PostgreSQL refuses to write where it has become a standby.
        let mut tx = self.0.writer.begin().await?;
        sqlx::query("UPDATE tokens SET name = name WHERE 1 = 0").execute(&mut *tx).await?;
        tx.rollback().await?;
        Ok(())
    }

    /// Closes the connections; what was committed stays. Other clones can do nothing after it.
    pub async fn close(&self) {
        self.0.writer.close().await;
        self.0.reads.close().await;
    }

    pub(crate) fn wake(&self) -> &Notify {
        &self.0.wake
    }

    pub(crate) fn writes(&self) -> &mpsc::Sender<Write> {
        &self.0.writes
    }

    pub(crate) fn positions(&self) -> &Positions {
        &self.0.positions
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

/// Numbers that only grow, within a process strictly: the order of what is written in one instant of the shop.
pub(crate) struct Positions(AtomicI64);

impl Positions {
    pub fn next(&self, clock: &Clock) -> i64 {
        let wall = clock.wall().micros();
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(wall.max(last + 1)))
            .unwrap_or_else(|last| last);
        wall.max(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_strictly_however_fast_they_are_taken() {
        let (clock, positions) = (Clock::system(), Positions(AtomicI64::new(0)));
        let taken: Vec<i64> = std::thread::scope(|scope| {
            let take = || (0..1_000).map(|_| positions.next(&clock)).collect::<Vec<_>>();
            let threads = [scope.spawn(take), scope.spawn(take)];
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(taken[..1_000].is_sorted_by(|a, b| a < b) && taken[1_000..].is_sorted_by(|a, b| a < b));
        let distinct: std::collections::HashSet<_> = taken.iter().collect();
        assert_eq!(distinct.len(), 2_000);
    }
}
