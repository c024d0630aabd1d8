//! Reads the timeline of an order: what happened to it, oldest first. Written by [`Tx::event`](super::Tx::event).

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};
use windlass_engine::Timestamp;

use super::Ledger;
use super::error::LedgerError;

/// Rows on one page of a timeline.
pub const TIMELINE_ROWS_MAX: u32 = 500;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderEvent {
    pub id: String,
    pub at: Timestamp,
    pub kind: String,
    pub text: String,
    pub job_id: Option<String>,
    pub data: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TimelinePage {
    /// The oldest first.
    pub events: Vec<OrderEvent>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// One page of at most `limit` events after `cursor`, the end of the page before.
pub async fn timeline(
    ledger: &Ledger,
    order_no: &str,
    limit: u32,
    cursor: Option<&str>,
) -> Result<TimelinePage, LedgerError> {
    let mut conn = ledger.reads().acquire().await?;
    timeline_in(&mut conn, order_no, limit, cursor).await
}

/// As [`timeline`], on a connection of the caller's.
pub(crate) async fn timeline_in(
    conn: &mut AnyConnection,
    order_no: &str,
    limit: u32,
    cursor: Option<&str>,
) -> Result<TimelinePage, LedgerError> {
    let limit = limit.clamp(1, TIMELINE_ROWS_MAX) as usize;
    let (after_at, after_id) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of a timeline".to_owned()))?,
        None => (i64::MIN, ""),
    };
    let rows = sqlx::query(
        "SELECT id, at, kind, text, job_id, data FROM order_events \
         WHERE order_no = $1 AND (at, id) > ($2, $3) ORDER BY at, id LIMIT $4",
    )
    .bind(order_no)
    .bind(after_at)
    .bind(after_id)
    .bind(limit as i64 + 1)
    .fetch_all(conn)
    .await?;
    let mut events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    let more = events.len() > limit;
    events.truncate(limit);
    let cursor = events.last().filter(|_| more).map(|last| format!("{}_{}", last.at.micros(), last.id));
    Ok(TimelinePage { events, cursor })
}

fn event(row: &AnyRow) -> Result<OrderEvent, LedgerError> {
    let data: Option<String> = row.try_get("data")?;
    Ok(OrderEvent {
        id: row.try_get("id")?,
        at: Timestamp::from_micros(row.try_get("at")?),
        kind: row.try_get("kind")?,
        text: row.try_get("text")?,
        job_id: row.try_get("job_id")?,
        data: data
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| LedgerError::Unreadable(format!("the data of an event is no JSON: {error}")))?,
    })
}
