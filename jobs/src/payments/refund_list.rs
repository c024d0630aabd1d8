//! Refunds as people look at them: a page of them, in a state or waiting for a decision.

use serde::Serialize;

use super::refund::RefundState;
use crate::ledger::{Ledger, LedgerError};
use crate::orders::{RefundRow, refund_columns};

/// Rows on one page.
pub const REFUND_ROWS_MAX: u32 = 500;

#[derive(Clone, Debug, Serialize)]
pub struct RefundPage {
    /// The oldest first.
    pub refunds: Vec<RefundRow>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// One page of at most `limit` refunds after `cursor`, the end of the page before; `waiting`: only those that a person
/// must decide about.
///
/// # Errors
/// [`LedgerError::Invalid`] when the cursor is none.
pub async fn refunds(
    ledger: &Ledger,
    state: Option<RefundState>,
    waiting: bool,
    limit: u32,
    cursor: Option<&str>,
) -> Result<RefundPage, LedgerError> {
    let limit = limit.clamp(1, REFUND_ROWS_MAX) as usize;
    let (after_at, after_no) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(at, no)| Some((at.parse::<i64>().ok()?, no)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of refunds".to_owned()))?,
        None => (i64::MIN, ""),
    };
    let sql = concat!(
        "SELECT ",
        refund_columns!(),
        " FROM refunds WHERE (requested_at, refund_no) > ($1, $2) AND ($3 IS NULL OR state = $3) \
         AND ($4 = 0 OR (replaced_by = '' AND state IN ('closed', 'abnormal', 'refused'))) \
         ORDER BY requested_at, refund_no LIMIT $5"
    );
    let mut refunds: Vec<RefundRow> = sqlx::query_as(sql)
        .bind(after_at)
        .bind(after_no)
        .bind(state.map(|state| state.as_str().to_owned()))
        .bind(i64::from(waiting))
        .bind(limit as i64 + 1)
        .fetch_all(ledger.reads())
        .await?;
    let more = refunds.len() > limit;
    refunds.truncate(limit);
    let cursor = refunds.last().filter(|_| more);
    let cursor = cursor.map(|last| format!("{}_{}", last.requested_at, last.refund_no));
    Ok(RefundPage { refunds, cursor })
}
