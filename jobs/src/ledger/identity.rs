//! The id by which this ledger is told from every other one, whatever it is called and wherever it is moved.

use windlass_engine::{Clock, JobId};

use super::error::LedgerError;
use super::writer::Writer;

/// Made by whoever opens the ledger first; of several at once one wins.
pub(super) async fn of(writer: &Writer, clock: &Clock) -> Result<String, LedgerError> {
    let mut tx = writer.begin().await?;
    let now = clock.wall();
    sqlx::query("INSERT INTO ledger_identity (one, id, made_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING")
        // As good a UUID as any.
        .bind(JobId::new(now).as_str().to_owned())
        .bind(now.micros())
        .execute(&mut *tx)
        .await?;
    let (id,): (String,) =
        sqlx::query_as("SELECT id FROM ledger_identity WHERE one = 1").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(id)
}
