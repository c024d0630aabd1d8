//! Writing refunds down: reserving one against the payment, and recording what became of it.
//!
//! Both inside a change of the order, whose lock keeps two reservations apart.

use std::time::Duration;

use serde_json::json;
use windlass_engine::{Job, JobId, Timestamp};

use super::refund::{RefundState, refund_no};
use super::request_refund::is_there;
use super::{QueryRefund, RequestRefund};
use crate::notifications::{Template, notify};
use crate::orders::{Change, ChangeError, wind_down};

/// Promises `amount_fen` to the customer and sends for it, in the same transaction: at most what was paid and is
/// not promised yet; nothing when nothing is left.
pub async fn reserve_refund(
    change: &mut Change<'_>,
    amount_fen: i64,
    reason: &str,
) -> Result<(), ChangeError> {
    let amount_fen = amount_fen.min(change.standing.refundable_fen());
    if amount_fen <= 0 {
        return Ok(());
    }
    let seq = change.standing.refunds.iter().map(|refund| refund.seq).max().unwrap_or(0) + 1;
    let order_no = change.order_no().to_owned();
    let refund_no = refund_no(&order_no, seq);
    let now = change.now();
    sqlx::query(
        "INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, requested_at, touched_at) \
         VALUES ($1, $2, $3, $4, $5, 'requested', $6, $6)",
    )
    .bind(&refund_no)
    .bind(&order_no)
    .bind(seq)
    .bind(amount_fen)
    .bind(reason)
    .bind(now.micros())
    .execute(change.tx().conn())
    .await?;
    let gap = gap_before(change, now);
    let id = JobId::derived(&[RequestRefund::KIND, &refund_no]);
    change
        .event("refund_requested", reason, json!({ "refund_no": refund_no, "amount_fen": amount_fen }))
        .await?;
    change.next_as(id, &RequestRefund { refund_no }, gap).await?;
    change.refresh().await
}

/// Refunds of one order keep a distance (facts: wechat-pay.md 8): each waits for the one before it.
fn gap_before(change: &Change<'_>, now: Timestamp) -> Duration {
    let gap = Duration::from_secs(change.shop().settings.refund_gap_s);
    let last = change.standing.refunds.iter().map(|refund| refund.requested_at).max();
    last.map_or(Duration::ZERO, |last| (Timestamp::from_micros(last) + gap).since(now))
}

/// What is known of a refund now.
#[derive(Clone, Debug)]
pub struct RefundNews {
    pub state: RefundState,
    pub refund_id: String,
    pub note: String,
}

/// Records the news of one refund; what was final stays, and nothing goes backwards. Winds the order on.
pub async fn record_refund(
    change: &mut Change<'_>,
    refund_no: &str,
    news: &RefundNews,
) -> Result<(), ChangeError> {
    let Some(known) = change.standing.refunds.iter().find(|refund| refund.refund_no == refund_no).cloned()
    else {
        let data = json!({ "refund_no": refund_no });
        return change.needs_person("a refund that is not in the books", data).await.map(drop);
    };
    is_there(change, refund_no, news).await?;
    if known.state.is_final() || known.state == news.state || news.state == RefundState::Requested {
        return Ok(());
    }
    let now = change.now().micros();
    let moved = sqlx::query(
        "UPDATE refunds SET state = $1, refund_id = CASE WHEN $2 = '' THEN refund_id ELSE $2 END, note = $3, \
         settled_at = $4, touched_at = $5 WHERE refund_no = $6 AND state = $7",
    )
    .bind(news.state.as_str())
    .bind(&news.refund_id)
    .bind(&news.note)
    .bind(news.state.is_final().then_some(now))
    .bind(now)
    .bind(refund_no)
    .bind(known.state.as_str())
    .execute(change.tx().conn())
    .await?;
    if moved.rows_affected() != 1 {
        return Err(ChangeError::Stale);
    }
    let data = json!({ "refund_no": refund_no, "amount_fen": known.amount_fen, "note": news.note });
    change.event("refund", news.state.as_str(), data).await?;
    if news.state.needs_person() {
        metrics::counter!("windlass_refunds_need_person_total").increment(1);
    }
    change.refresh().await?;
    match news.state {
        RefundState::Accepted => follow(change, refund_no).await?,
        RefundState::Succeeded => notify(change, Template::RefundMade, refund_no).await?,
        _ => {}
    }
    wind_down(change).await
}

/// Settles the effects of refunds that WeChat was heard of.
pub async fn refunds_are_known(change: &mut Change<'_>) -> Result<(), ChangeError> {
    for refund in change.standing.refunds.clone() {
        let news = RefundNews { state: refund.state, refund_id: refund.refund_id, note: refund.note };
        is_there(change, &refund.refund_no, &news).await?;
    }
    Ok(())
}

/// Sends for the refund's outcome: the callback may be lost.
async fn follow(change: &mut Change<'_>, refund_no: &str) -> Result<(), ChangeError> {
    let first = change.shop().settings.next_refund_poll(Duration::ZERO).unwrap_or_default();
    let id = JobId::derived(&[QueryRefund::KIND, refund_no]);
    change.next_as(id, &QueryRefund { refund_no: refund_no.to_owned() }, first).await
}
