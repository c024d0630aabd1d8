//! Cases as people look at them: one, a page of them, how many are open.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::Timestamp;

use super::{FindingState, FindingType};
use crate::ledger::{Ledger, LedgerError};
use crate::stored::parsed;

/// Rows on one page.
pub const FINDING_ROWS_MAX: u32 = 500;

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: FindingType,
    pub key: String,
    pub state: FindingState,
    pub owner: Option<String>,
    pub order_no: Option<String>,
    /// What is at stake.
    pub amount_fen: Option<i64>,
    pub text: String,
    pub evidence: Value,
    /// Why it is over.
    pub reason: Option<String>,
    pub settled_by: Option<String>,
    /// What was booked to make good for it.
    pub adjustment_fen: Option<i64>,
    pub raised_at: Timestamp,
    pub changed_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FindingPage {
    /// The oldest first.
    pub findings: Vec<Finding>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// Which cases are wanted; None: any.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter<'a> {
    pub kind: Option<FindingType>,
    pub state: Option<FindingState>,
    pub owner: Option<&'a str>,
    pub order_no: Option<&'a str>,
}

/// One page of at most `limit` cases after `cursor`, the end of the page before.
///
/// # Errors
/// [`LedgerError::Invalid`] when the cursor is none.
pub async fn findings(
    ledger: &Ledger,
    filter: &FindingFilter<'_>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<FindingPage, LedgerError> {
    let limit = limit.clamp(1, FINDING_ROWS_MAX) as usize;
    let (after_at, after_id) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of findings".to_owned()))?,
        None => (i64::MIN, ""),
    };
    let rows = sqlx::query(
        "SELECT id, type, key, state, owner, order_no, amount_fen, text, evidence, reason, settled_by, \
         adjustment_fen, raised_at, changed_at, settled_at FROM findings \
         WHERE (raised_at, id) > ($1, $2) AND ($3 IS NULL OR type = $3) AND ($4 IS NULL OR state = $4) \
         AND ($5 IS NULL OR owner = $5) AND ($6 IS NULL OR order_no = $6) \
         ORDER BY raised_at, id LIMIT $7",
    )
    .bind(after_at)
    .bind(after_id.to_owned())
    .bind(filter.kind.map(|kind| kind.as_str().to_owned()))
    .bind(filter.state.map(|state| state.as_str().to_owned()))
    .bind(filter.owner.map(str::to_owned))
    .bind(filter.order_no.map(str::to_owned))
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let mut findings = rows.iter().map(read_finding).collect::<Result<Vec<_>, _>>()?;
    let more = findings.len() > limit;
    findings.truncate(limit);
    let cursor = findings.last().filter(|_| more);
    let cursor = cursor.map(|last| format!("{}_{}", last.raised_at.micros(), last.id));
    Ok(FindingPage { findings, cursor })
}

/// One case by its id.
pub async fn finding(ledger: &Ledger, id: &str) -> Result<Option<Finding>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, type, key, state, owner, order_no, amount_fen, text, evidence, reason, settled_by, \
         adjustment_fen, raised_at, changed_at, settled_at FROM findings WHERE id = $1",
    )
    .bind(id.to_owned())
    .fetch_optional(ledger.reads())
    .await?;
    row.as_ref().map(read_finding).transpose()
}

/// The cases of one order, the oldest first, at most [`FINDING_ROWS_MAX`].
pub async fn findings_of_order(ledger: &Ledger, order_no: &str) -> Result<Vec<Finding>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, type, key, state, owner, order_no, amount_fen, text, evidence, reason, settled_by, \
         adjustment_fen, raised_at, changed_at, settled_at FROM findings WHERE order_no = $1 \
         ORDER BY raised_at, id LIMIT $2",
    )
    .bind(order_no.to_owned())
    .bind(i64::from(FINDING_ROWS_MAX))
    .fetch_all(ledger.reads())
    .await?;
    rows.iter().map(read_finding).collect()
}

/// How many cases of each type wait for somebody, types without one included.
pub async fn findings_open_by_type(ledger: &Ledger) -> Result<Vec<(FindingType, i64)>, LedgerError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT type, COUNT(*) AS findings_n FROM findings WHERE settled_at IS NULL GROUP BY type",
    )
    .fetch_all(ledger.reads())
    .await?;
    let count = |kind: FindingType| {
        let found = rows.iter().find(|(name, _)| name == kind.as_str());
        (kind, found.map_or(0, |(_, count)| *count))
    };
    Ok(FindingType::ALL.iter().copied().map(count).collect())
}

pub(crate) fn read_finding(row: &AnyRow) -> Result<Finding, LedgerError> {
    let instant =
        |column| Ok::<_, LedgerError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    let evidence: String = row.try_get("evidence")?;
    Ok(Finding {
        id: row.try_get("id")?,
        kind: parsed(row, "type")?,
        key: row.try_get("key")?,
        state: parsed(row, "state")?,
        owner: row.try_get("owner")?,
        order_no: row.try_get("order_no")?,
        amount_fen: row.try_get("amount_fen")?,
        text: row.try_get("text")?,
        evidence: serde_json::from_str(&evidence).map_err(|error| {
            LedgerError::Unreadable(format!("the evidence of a finding is no JSON: {error}"))
        })?,
        reason: row.try_get("reason")?,
        settled_by: row.try_get("settled_by")?,
        adjustment_fen: row.try_get("adjustment_fen")?,
        raised_at: Timestamp::from_micros(row.try_get("raised_at")?),
        changed_at: Timestamp::from_micros(row.try_get("changed_at")?),
        settled_at: instant("settled_at")?,
    })
}
