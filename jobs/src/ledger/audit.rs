//! Reads the audit log: who did what by hand. Written by [`Tx::audit`](super::Tx::audit).

use serde::Serialize;
use windlass_engine::Timestamp;

use super::Ledger;
use super::error::LedgerError;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub who: String,
    pub detail: String,
}

/// The newest act of this sort on this thing.
///
/// # Errors
/// When the ledger does not answer.
pub async fn last_act(ledger: &Ledger, what: &str, about: &str) -> Result<Option<AuditEntry>, LedgerError> {
    let row: Option<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT at, who, detail FROM audit_log WHERE what = $1 AND about = $2 ORDER BY at DESC, id DESC LIMIT 1",
    )
    .bind(what.to_owned())
    .bind(about.to_owned())
    .fetch_optional(ledger.reads())
    .await?;
    Ok(row.map(|(at, who, detail)| AuditEntry {
        at: Timestamp::from_micros(at),
        who,
        detail: detail.unwrap_or_default(),
    }))
}
