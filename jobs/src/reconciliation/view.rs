//! The comparisons that were made, as people look at them: a day's newest version or the one that is wanted, pages of
//! them, and their cases. How they come about is in [`super::book`].

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::Timestamp;

use super::book::ReconciliationState;
use super::day::Day;
use crate::findings::{Finding, read_finding};
use crate::ledger::{Ledger, LedgerError};
use crate::stored::parsed;

/// Rows on one page of reconciliations, and of findings of one.
pub const RECONCILIATION_ROWS_MAX: u32 = 500;

/// One version of a day's comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Reconciliation {
    pub id: String,
    pub mchid: String,
    /// `yyyy-MM-dd`.
    pub day: String,
    pub version: i64,
    pub state: ReconciliationState,
    pub trade_sha1: String,
    /// Empty: there was no flow of funds to compare.
    pub fund_sha1: String,
    /// Tries that it took so far.
    pub attempt: i64,
    #[serde(skip)]
    pub job_id: String,
    /// Why it was refused.
    pub reason: String,
    /// A [`super::Report`]; null until it has ended.
    pub report: Value,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReconciliationPage {
    /// The newest day first, every version of it.
    pub reconciliations: Vec<Reconciliation>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// The newest day whose bills were compared to the end.
pub async fn newest_day_compared(ledger: &Ledger) -> Result<Option<Day>, LedgerError> {
    let newest: Option<(String,)> =
        sqlx::query_as("SELECT day FROM reconciliations WHERE state = 'done' ORDER BY day DESC LIMIT 1")
            .fetch_optional(ledger.reads())
            .await?;
    Ok(newest.and_then(|(day,)| day.parse().ok()))
}

/// A day's newest version, or the one that is wanted.
pub async fn reconciliation(
    ledger: &Ledger,
    day: Day,
    version: Option<i64>,
) -> Result<Option<Reconciliation>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, mchid, day, version, state, trade_sha1, fund_sha1, attempt, job_id, reason, report, started_at, \
         finished_at FROM reconciliations WHERE day = $1 AND state <> 'abandoned' \
         AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1",
    )
    .bind(day.to_string())
    .bind(version.unwrap_or(0))
    .fetch_optional(ledger.reads())
    .await?;
    row.as_ref().map(read).transpose()
}

/// One page of at most `limit` after `cursor`, the end of the page before.
///
/// # Errors
/// [`LedgerError::Invalid`] when the cursor is none.
pub async fn reconciliations(
    ledger: &Ledger,
    limit: u32,
    cursor: Option<&str>,
) -> Result<ReconciliationPage, LedgerError> {
    let limit = limit.clamp(1, RECONCILIATION_ROWS_MAX) as usize;
    let (before_day, before_version) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(day, version)| Some((day.parse::<Day>().ok()?.to_string(), version.parse().ok()?)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of reconciliations".to_owned()))?,
        None => ("9999-12-31".to_owned(), i64::MAX),
    };
    let rows = sqlx::query(
        "SELECT id, mchid, day, version, state, trade_sha1, fund_sha1, attempt, job_id, reason, report, started_at, \
         finished_at FROM reconciliations WHERE (day, version) < ($1, $2) \
         ORDER BY day DESC, version DESC LIMIT $3",
    )
    .bind(before_day)
    .bind(before_version)
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let mut reconciliations = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let more = reconciliations.len() > limit;
    reconciliations.truncate(limit);
    let cursor = reconciliations.last().filter(|_| more);
    let cursor = cursor.map(|last| format!("{}_{}", last.day, last.version));
    Ok(ReconciliationPage { reconciliations, cursor })
}

/// Cases of one version by their ids, at most `limit` after `after`.
pub async fn findings_of(
    ledger: &Ledger,
    id: &str,
    limit: u32,
    after: &str,
) -> Result<Vec<Finding>, LedgerError> {
    let rows = sqlx::query(
        "SELECT f.id, f.type, f.key, f.state, f.owner, f.order_no, f.amount_fen, f.text, f.evidence, f.reason, \
         f.settled_by, f.adjustment_fen, f.raised_at, f.changed_at, f.settled_at \
         FROM reconciliation_findings l JOIN findings f ON f.id = l.finding_id \
         WHERE l.reconciliation_id = $1 AND l.finding_id > $2 ORDER BY l.finding_id LIMIT $3",
    )
    .bind(id.to_owned())
    .bind(after.to_owned())
    .bind(i64::from(limit.clamp(1, RECONCILIATION_ROWS_MAX)))
    .fetch_all(ledger.reads())
    .await?;
    rows.iter().map(read_finding).collect()
}

pub(super) fn read(row: &AnyRow) -> Result<Reconciliation, LedgerError> {
    let report: String = row.try_get("report")?;
    Ok(Reconciliation {
        id: row.try_get("id")?,
        mchid: row.try_get("mchid")?,
        day: row.try_get("day")?,
        version: row.try_get("version")?,
        state: parsed(row, "state")?,
        trade_sha1: row.try_get("trade_sha1")?,
        fund_sha1: row.try_get("fund_sha1")?,
        attempt: row.try_get("attempt")?,
        job_id: row.try_get("job_id")?,
        reason: row.try_get("reason")?,
        report: if report.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&report)
                .map_err(|error| LedgerError::Unreadable(format!("a report is no JSON: {error}")))?
        },
        started_at: Timestamp::from_micros(row.try_get("started_at")?),
        finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(Timestamp::from_micros),
    })
}
