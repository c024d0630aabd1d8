//! What other systems are told of, and the message that tells it.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use windlass_engine::{NewJob, Timestamp};

use super::DeliverWebhook;
use super::deliveries::job_id;
use crate::ledger::{LedgerError, Tx};
use crate::notifications::Template;
use crate::orders::{Change, ChangeError, standing};

/// Bytes of a message's body; what is longer loses its lists.
pub const EVENT_BYTES_MAX: usize = 128 * 1024;
/// Lines and parcels of an order that a message lists.
const LINES_LISTED_MAX: usize = 100;

crate::stored::stored_states! {
    /// A type of event. The names are a promise to receivers.
    EventType {
        OrderPaid = "order.paid",
        OrderShipped = "order.shipped",
        OrderCompleted = "order.completed",
        OrderCancelled = "order.cancelled",
        OrderRefused = "order.refused",
        RefundSucceeded = "refund.succeeded",
        FindingRaised = "finding.raised",
        /// Asked for by hand, to see whether an endpoint takes it.
        WebhookTest = "webhook.test",
    }
}

impl EventType {
    /// What customers are told of, other systems are told of too.
    const fn of_template(template: Template) -> Option<Self> {
        Some(match template {
            Template::OrderPaid => Self::OrderPaid,
            Template::OrderShipped => Self::OrderShipped,
            Template::OrderCompleted => Self::OrderCompleted,
            Template::OrderCancelled => Self::OrderCancelled,
            Template::OrderRefused => Self::OrderRefused,
            Template::RefundMade => Self::RefundSucceeded,
            Template::ReceiptReminder | Template::DailySummary | Template::FindingsRaised => return None,
        })
    }

    /// Whether an endpoint that asked for these types, separated by spaces, is told of this one.
    pub fn is_among(self, types: &str) -> bool {
        let sort = self.as_str().split_once('.').map_or("", |(sort, _)| sort);
        let mut wanted = types.split(' ').filter(|word| !word.is_empty()).peekable();
        wanted.peek().is_none()
            || wanted.any(|word| word == self.as_str() || word.strip_suffix(".*") == Some(sort))
    }

    /// Whether a subscription may name it: a type, or `order.*` for all of a sort.
    pub fn is_known(word: &str) -> bool {
        Self::ALL.iter().any(|known| {
            known.as_str() == word
                || word
                    .strip_suffix(".*")
                    .is_some_and(|sort| known.as_str().split_once('.').map(|(s, _)| s) == Some(sort))
        })
    }
}

/// Tells of what happened to an order, in the transaction in which it happened.
pub(crate) async fn tell_of_order(
    change: &mut Change<'_>,
    template: Template,
    event: &str,
) -> Result<(), ChangeError> {
    let Some(event_type) = EventType::of_template(template) else { return Ok(()) };
    if listeners(change.tx(), event_type).await?.is_empty() {
        return Ok(());
    }
    let order_no = change.order_no().to_owned();
    let data = order_data(change, event).await?;
    tell(change.tx(), event_type, &format!("{order_no}:{event}"), &order_no, data).await?;
    Ok(())
}

/// Tells every endpoint that wants the type, once for (type, key). Answers the message's id; None: nobody wants it, or
/// it was told before.
pub(crate) async fn tell(
    tx: &mut Tx,
    event_type: EventType,
    key: &str,
    order_no: &str,
    data: Value,
) -> Result<Option<String>, LedgerError> {
    let endpoints = listeners(tx, event_type).await?;
    tell_those(tx, &endpoints, event_type, key, order_no, data).await
}

/// As [`tell`], to these endpoints whatever they asked for.
pub(super) async fn tell_those(
    tx: &mut Tx,
    endpoints: &[String],
    event_type: EventType,
    key: &str,
    order_no: &str,
    data: Value,
) -> Result<Option<String>, LedgerError> {
    if endpoints.is_empty() {
        return Ok(None);
    }
    let clock = tx.ledger().clock().clone();
    let now = clock.now();
    let id = message_id(tx.ledger().identity(), event_type, key);
    let body = body(event_type, now, data);
    let made = sqlx::query(
        "INSERT INTO webhook_messages (id, type, order_no, body, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id.clone())
    .bind(event_type.as_str())
    .bind(order_no.to_owned())
    .bind(body)
    .bind(now.micros())
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    for endpoint in endpoints {
        sqlx::query(
            "INSERT INTO webhook_deliveries (endpoint, message, state, queued_at) VALUES ($1, $2, 'queued', $3) \
             ON CONFLICT (endpoint, message) DO NOTHING",
        )
        .bind(endpoint.clone())
        .bind(id.clone())
        .bind(now.micros())
        .execute(tx.conn())
        .await?;
        let job = DeliverWebhook { endpoint: endpoint.clone(), message: id.clone() };
        let mut new = NewJob::of(&job, &clock).id(job_id(&job, 0)).tag(format!("webhook:{endpoint}"));
        if !order_no.is_empty() {
            new = new.tag(format!("order:{order_no}"));
        }
        tx.enqueue(&new).await?;
    }
    Ok(Some(id))
}

/// What happened must not fail for the length of what is said about it: a message that is too long loses its lists, and
/// says so.
fn body(event_type: EventType, now: Timestamp, mut data: Value) -> String {
    let worded = |data: &Value| {
        json!({ "type": event_type.as_str(), "timestamp": now.to_rfc3339(), "data": data }).to_string()
    };
    let whole = worded(&data);
    if whole.len() <= EVENT_BYTES_MAX {
        return whole;
    }
    if let Some(members) = data.as_object_mut() {
        members.retain(|_, member| !member.is_array());
        members.insert("shortened".to_owned(), json!(true));
    }
    worded(&data)
}

/// The enabled endpoints that want the type.
async fn listeners(tx: &mut Tx, event_type: EventType) -> Result<Vec<String>, LedgerError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT id, types FROM webhook_endpoints WHERE state = 'enabled' ORDER BY id")
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().filter(|(_, types)| event_type.is_among(types)).map(|(id, _)| id).collect())
}

/// Of one shop's event for ever the same, and of no other shop's.
fn message_id(shop: &str, event_type: EventType, key: &str) -> String {
    let hash = digest(&SHA256, format!("{shop}\0{}\0{key}", event_type.as_str()).as_bytes());
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{hex}")
}

/// The order as others may know it: no name, address, telephone or openid of the customer.
async fn order_data(change: &mut Change<'_>, event: &str) -> Result<Value, ChangeError> {
    let lines = change.lines().await?;
    let order_no = change.order_no().to_owned();
    let parcels = standing::parcels(change.tx().conn(), &order_no).await?;
    let standing = &change.standing;
    let (order, payment) = (&standing.order, &standing.payment);
    let refund = standing.refunds.iter().find(|refund| refund.refund_no == event);
    let mut data = json!({
        "order_no": order.order_no,
        "state": order.state,
        "total_fen": order.total_fen,
        "paid_fen": payment.paid_fen,
        "transaction_id": payment.transaction_id,
        "reason": order.reason,
        "lines": lines.iter().take(LINES_LISTED_MAX).map(|line| json!({
            "product_code": line.product_code,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price_fen": line.unit_price_fen,
        })).collect::<Vec<_>>(),
        "lines_total": lines.len(),
        "parcels": parcels.iter().take(LINES_LISTED_MAX).map(|parcel| json!({
            "carrier": parcel.carrier,
            "carrier_name": parcel.carrier_name,
            "tracking_no": parcel.tracking_no,
        })).collect::<Vec<_>>(),
    });
    if let Some(refund) = refund {
        data["refund"] = json!({
            "refund_no": refund.refund_no,
            "amount_fen": refund.amount_fen,
            "reason": refund.reason,
        });
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_told_what_it_asked_for() {
        assert!(EventType::OrderPaid.is_among(""));
        assert!(EventType::OrderPaid.is_among("refund.succeeded order.paid"));
        assert!(EventType::OrderShipped.is_among("order.*"));
        assert!(!EventType::RefundSucceeded.is_among("order.*"));
        assert!(!EventType::OrderPaid.is_among("order.shipped"));
        assert!(EventType::is_known("order.*") && EventType::is_known("finding.raised"));
        assert!(!EventType::is_known("orders.*") && !EventType::is_known("order.eaten"));
    }

    #[test]
    fn a_message_that_is_too_long_loses_its_lists_and_says_so() {
        let at = Timestamp::from_secs(1_767_585_600);
        let data =
            |name: String| json!({ "order_no": "SO-1", "lines": [{ "name": name }], "lines_total": 1 });
        let short = body(EventType::OrderPaid, at, data("x".to_owned()));
        assert!(short.contains(r#""lines":[{"name":"x"}]"#) && !short.contains("shortened"));
        let long = body(EventType::OrderPaid, at, data("x".repeat(EVENT_BYTES_MAX)));
        let long: Value = serde_json::from_str(&long).unwrap();
        assert_eq!(long["data"], json!({ "order_no": "SO-1", "lines_total": 1, "shortened": true }));
    }

    #[test]
    fn an_id_is_of_one_event_of_one_shop() {
        let id = |shop, kind, key| message_id(shop, kind, key);
        assert_eq!(id("a", EventType::OrderPaid, "1"), id("a", EventType::OrderPaid, "1"));
        assert_ne!(id("a", EventType::OrderPaid, "1"), id("b", EventType::OrderPaid, "1"));
        assert_ne!(id("a", EventType::OrderPaid, "1"), id("a", EventType::OrderShipped, "1"));
        assert_ne!(id("a", EventType::OrderPaid, "1"), id("a", EventType::OrderPaid, "2"));
    }
}
