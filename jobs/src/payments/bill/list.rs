//! What people look at: the bills of the newest days.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::Timestamp;

use super::{BillState, BillType};
use crate::ledger::{Ledger, LedgerError};
use crate::stored::parsed;

/// Bills on one page.
pub const BILL_ROWS_MAX: u32 = 500;

/// One bill, or the word of WeChat that there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BillView {
    pub id: String,
    pub mchid: String,
    /// `yyyy-MM-dd`.
    pub day: String,
    #[serde(rename = "type")]
    pub kind: BillType,
    pub state: BillState,
    pub version: i64,
    pub sha1: String,
    pub reason: String,
    /// Uncompressed.
    pub bytes: i64,
    pub rows: i64,
    pub bad_rows: i64,
    /// None: there is no file.
    pub adds_up: Option<bool>,
    /// As [`super::BillTotals`].
    pub totals: Value,
    pub fetched_at: Timestamp,
    pub asked_at: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
pub struct BillPage {
    /// The newest day first; of a day the newest first.
    pub bills: Vec<BillView>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// One page of bills after `cursor`, the end of the page before; of `day` alone where one is given.
///
/// # Errors
/// [`LedgerError::Invalid`] for a cursor that is none.
pub async fn bills(
    ledger: &Ledger,
    day: Option<&str>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<BillPage, LedgerError> {
    let limit = limit.clamp(1, BILL_ROWS_MAX) as usize;
    let (before_day, before_at, before_id) = match cursor {
        Some(cursor) => read_cursor(cursor)
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of bills".to_owned()))?,
        None => ("9999-99-99", i64::MAX, "~"),
    };
    let rows = sqlx::query(
        "SELECT id, mchid, day, type, state, version, sha1, reason, bytes, rows, bad_rows, adds_up, totals, \
         fetched_at, asked_at FROM bills \
         WHERE (day, fetched_at, id) < ($1, $2, $3) AND ($4 = '' OR day = $4) \
         AND state IN ('ready', 'expired', 'no_statement', 'refused') \
         ORDER BY day DESC, fetched_at DESC, id DESC LIMIT $5",
    )
    .bind(before_day.to_owned())
    .bind(before_at)
    .bind(before_id.to_owned())
    .bind(day.unwrap_or_default().to_owned())
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let mut bills = rows.iter().map(view).collect::<Result<Vec<_>, LedgerError>>()?;
    let more = bills.len() > limit;
    bills.truncate(limit);
    let cursor = bills
        .last()
        .filter(|_| more)
        .map(|last| format!("{}_{}_{}", last.day, last.fetched_at.micros(), last.id));
    Ok(BillPage { bills, cursor })
}

fn read_cursor(cursor: &str) -> Option<(&str, i64, &str)> {
    let mut parts = cursor.splitn(3, '_');
    Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?))
}

fn view(row: &AnyRow) -> Result<BillView, LedgerError> {
    let totals: String = row.try_get("totals")?;
    let state: BillState = parsed(row, "state")?;
    let adds_up: i64 = row.try_get("adds_up")?;
    Ok(BillView {
        id: row.try_get("id")?,
        mchid: row.try_get("mchid")?,
        day: row.try_get("day")?,
        kind: parsed(row, "type")?,
        state,
        version: row.try_get("version")?,
        sha1: row.try_get("sha1")?,
        reason: row.try_get("reason")?,
        bytes: row.try_get("bytes")?,
        rows: row.try_get("rows")?,
        bad_rows: row.try_get("bad_rows")?,
        adds_up: matches!(state, BillState::Ready | BillState::Expired).then_some(adds_up == 1),
        totals: if totals.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&totals).unwrap_or_default()
        },
        fetched_at: Timestamp::from_micros(row.try_get("fetched_at")?),
        asked_at: Timestamp::from_micros(row.try_get("asked_at")?),
    })
}
