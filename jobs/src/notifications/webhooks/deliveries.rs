//! The log of deliveries: what each endpoint was told, what became of it, and asking for it anew.

use serde::Serialize;
use sqlx::AnyConnection;
use windlass_engine::{Job, JobId, NewJob, Timestamp};

use super::DeliverWebhook;
use super::endpoint::{Endpoint, EndpointState};
use super::endpoints::WebhookError;
use crate::ledger::{LedgerError, Tx};
use crate::shop::Shop;
use crate::stored::stored_row;

/// Rows on a page of deliveries, and tries that are told of one.
pub const DELIVERY_ROWS_MAX: u32 = 200;
/// Deliveries that are asked for anew at once, the oldest first.
pub const REDELIVERED_MAX: i64 = 1_000;

crate::stored::stored_states! {
    DeliveryState {
        /// It is being tried, or will be.
        Queued = "queued",
        Delivered = "delivered",
        /// Given up.
        Failed = "failed",
        /// The endpoint was gone or disabled before it was told.
        Dropped = "dropped",
    }
}

/// One message to one endpoint. Instants are microseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    pub endpoint: String,
    /// The webhook-id.
    pub message: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub order_no: String,
    pub state: DeliveryState,
    /// How often it was asked for anew.
    pub round: i64,
    /// Of this round.
    pub tries: i64,
    /// HTTP; None: there was no answer.
    pub status: Option<i64>,
    pub note: String,
    pub queued_at: i64,
    pub tried_at: Option<i64>,
    pub next_at: Option<i64>,
    pub settled_at: Option<i64>,
}

stored_row!(Delivery { endpoint, message, event_type, order_no, round, tries, status, note, queued_at, tried_at, next_at, settled_at } parsed { state });

#[derive(Clone, Debug, Serialize)]
pub struct DeliveryPage {
    /// The newest first.
    pub deliveries: Vec<Delivery>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Try {
    pub round: i64,
    pub nth: i64,
    pub at: i64,
    /// Wall time.
    pub took_ms: i64,
    pub status: Option<i64>,
    pub note: String,
}

stored_row!(Try { round, nth, at, took_ms, status, note });

macro_rules! delivery_columns {
    () => {
        "d.endpoint AS endpoint, d.message AS message, m.type AS event_type, m.order_no AS order_no, d.state AS state, \
         d.round AS round, d.tries AS tries, d.status AS status, d.note AS note, d.queued_at AS queued_at, \
         d.tried_at AS tried_at, d.next_at AS next_at, d.settled_at AS settled_at \
         FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message"
    };
}

/// What one endpoint was told, the newest first. `cursor`: where the page before ended.
///
/// # Errors
/// [`LedgerError::Invalid`] when the cursor is none of ours.
pub async fn deliveries(
    shop: &Shop,
    endpoint: &str,
    state: Option<DeliveryState>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<DeliveryPage, LedgerError> {
    let after = match cursor {
        None => (i64::MAX, String::new()),
        Some(text) => text
            .split_once('.')
            .and_then(|(at, message)| Some((at.parse().ok()?, message.to_owned())))
            .ok_or_else(|| LedgerError::Invalid("the cursor is none of this list".to_owned()))?,
    };
    let limit = limit.clamp(1, DELIVERY_ROWS_MAX);
    let sql = concat!(
        "SELECT ",
        delivery_columns!(),
        " WHERE d.endpoint = $1 AND (d.queued_at < $2 OR (d.queued_at = $2 AND d.message < $3)) \
         AND ($4 IS NULL OR d.state = $4) ORDER BY d.queued_at DESC, d.message DESC LIMIT $5"
    );
    let mut deliveries: Vec<Delivery> = sqlx::query_as(sql)
        .bind(endpoint.to_owned())
        .bind(after.0)
        .bind(after.1)
        .bind(state.map(|state| state.as_str().to_owned()))
        .bind(i64::from(limit) + 1)
        .fetch_all(shop.ledger.reads())
        .await?;
    let more = deliveries.len() > limit as usize;
    deliveries.truncate(limit as usize);
    let last = deliveries.last().filter(|_| more);
    let cursor = last.map(|last| format!("{}.{}", last.queued_at, last.message));
    Ok(DeliveryPage { deliveries, cursor })
}

/// Each try of one delivery, the oldest first.
///
/// # Errors
/// When the ledger fails.
pub async fn tries(shop: &Shop, endpoint: &str, message: &str) -> Result<Vec<Try>, LedgerError> {
    let rows = sqlx::query_as(
        "SELECT round, nth, at, took_ms, status, note FROM webhook_tries WHERE endpoint = $1 AND message = $2 \
         ORDER BY round, nth LIMIT $3",
    )
    .bind(endpoint.to_owned())
    .bind(message.to_owned())
    .bind(i64::from(DELIVERY_ROWS_MAX))
    .fetch_all(shop.ledger.reads())
    .await?;
    Ok(rows)
}

/// Which deliveries are asked for anew.
#[derive(Clone, Debug)]
pub enum Which {
    /// This message, also when it was delivered.
    Message(String),
    /// Whatever failed or was dropped since then.
    Since(Timestamp),
}

/// Delivers again, under the ids that the messages have; at most [`REDELIVERED_MAX`]. Answers how many.
///
/// # Errors
/// [`WebhookError::NotNow`] when the endpoint is disabled; [`WebhookError::Missing`] when there is none of that id.
pub async fn redeliver(shop: &Shop, id: &str, which: &Which, who: &str) -> Result<u64, WebhookError> {
    let mut tx = shop.ledger.begin().await?;
    let endpoint =
        Endpoint::read(tx.conn(), id).await?.ok_or_else(|| WebhookError::Missing(id.to_owned()))?;
    if endpoint.state == EndpointState::Disabled {
        return Err(WebhookError::NotNow(format!("the endpoint {id} is disabled: enable it first")));
    }
    let now = shop.clock.now().micros();
    let (message, since) = match which {
        Which::Message(message) => (Some(message.clone()), 0),
        Which::Since(since) => (None, since.micros()),
    };
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "UPDATE webhook_deliveries SET state = 'queued', round = round + 1, tries = 0, queued_at = $2, \
         settled_at = NULL, next_at = NULL, note = '' \
         WHERE endpoint = $1 AND message IN ( \
             SELECT message FROM webhook_deliveries WHERE endpoint = $1 \
             AND (message = $3 OR ($3 IS NULL AND queued_at >= $4 AND state IN ('failed', 'dropped'))) \
             AND state <> 'queued' ORDER BY queued_at, message LIMIT $5) \
         RETURNING message, round",
    )
    .bind(id.to_owned())
    .bind(now)
    .bind(message)
    .bind(since)
    .bind(REDELIVERED_MAX)
    .fetch_all(tx.conn())
    .await?;
    for (message, round) in &rows {
        let job = DeliverWebhook { endpoint: id.to_owned(), message: message.clone() };
        let job_id = job_id(&job, *round);
        tx.enqueue(&NewJob::of(&job, &shop.clock).id(job_id).tag(format!("webhook:{id}"))).await?;
    }
    tx.audit(who, "webhook.redeliver", id, &format!("{} messages", rows.len())).await?;
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// Of one round of one delivery.
pub(super) fn job_id(job: &DeliverWebhook, round: i64) -> JobId {
    JobId::derived(&[DeliverWebhook::KIND, &job.endpoint, &job.message, &round.to_string()])
}

/// Nothing that waits for the endpoint is told any more.
pub(super) async fn drop_waiting(tx: &mut Tx, endpoint: &str, why: &str) -> Result<(), LedgerError> {
    let now = tx.ledger().clock().now().micros();
    sqlx::query(
        "UPDATE webhook_deliveries SET state = 'dropped', note = $2, settled_at = $3, next_at = NULL \
         WHERE endpoint = $1 AND state = 'queued'",
    )
    .bind(endpoint.to_owned())
    .bind(why.to_owned())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

impl Delivery {
    /// None: there is no such delivery.
    pub(super) async fn read(
        conn: &mut AnyConnection,
        endpoint: &str,
        message: &str,
    ) -> Result<Option<(Self, String)>, sqlx::Error> {
        let sql = concat!("SELECT ", delivery_columns!(), " WHERE d.endpoint = $1 AND d.message = $2");
        let found: Option<Self> = sqlx::query_as(sql)
            .bind(endpoint.to_owned())
            .bind(message.to_owned())
            .fetch_optional(&mut *conn)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let (body,): (String,) = sqlx::query_as("SELECT body FROM webhook_messages WHERE id = $1")
            .bind(message.to_owned())
            .fetch_one(conn)
            .await?;
        Ok(Some((found, body)))
    }

    /// Names the effect: each round is one of its own.
    pub(super) fn effect_of(&self) -> String {
        match self.round {
            0 => format!("{}:{}", self.endpoint, self.message),
            round => format!("{}:{}#{round}", self.endpoint, self.message),
        }
    }
}
