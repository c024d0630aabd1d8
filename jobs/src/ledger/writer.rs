//! How a write transaction begins on each engine, and what keeps two of them apart.
//!
//! SQLite has one writer: `BEGIN IMMEDIATE` on a pool of one connection, so whatever a transaction reads stays so
//! until it ends. PostgreSQL runs many at once, at READ COMMITTED whatever the database's default: each statement
//! sees what was committed before *it*, so a statement that had to wait for a row goes on with the row as the other
//! one left it. SERIALIZABLE would fail transactions for conflicts that these guards already order, and a failed one
//! would cost its job an attempt. What no longer follows from there being one writer is held by:
//!
//! - **an order** and all that hangs on it: the change's first statement raises `orders.version`, which locks the
//!   row; everything is read after that, and every move is a compare-and-set;
//! - **an effect**: begun by `ON CONFLICT DO NOTHING` or a compare-and-set on its count of calls, ended by UPDATEs
//!   that name the states they may leave; rows changed tell who was first, never a read before;
//! - **one of a kind** (outbox ids and unique keys, callbacks, messages, shipping uploads, the money of one
//!   transaction): a unique index. Expected conflicts are `ON CONFLICT`; an unexpected one fails the job, whose
//!   next attempt finds the row;
//! - **a token's claim**: one upsert with its condition inside;
//! - **bounds that are counted** (accepted jobs, keys) may be passed by what other processes write at that moment.
//!
//! Transactions that touch many rows take them in the order of their keys, so that two of them wait for each other
//! in line; where they change them in several statements, they lock all of them before the first. Where PostgreSQL still finds a deadlock it fails one of the two: [`LedgerError::Unavailable`], nothing
//! stored. The group commit tries again by itself, a relay in its next round, a job at its next attempt.

use sqlx::{Any, AnyPool, Transaction};

use super::error::LedgerError;

/// Clones share the connections.
#[derive(Clone)]
pub(crate) struct Writer {
    pool: AnyPool,
    begin: &'static str,
}

impl Writer {
    pub(super) fn new(pool: AnyPool, begin: &'static str) -> Self {
        Self { pool, begin }
    }

    pub async fn begin(&self) -> Result<Transaction<'static, Any>, LedgerError> {
        Ok(self.pool.begin_with(self.begin).await?)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
