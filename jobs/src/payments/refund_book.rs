//! Writing refunds down: reserving one against the payment, and recording what became of it.
//!
//! Both inside a change of the order, whose lock keeps two reservations apart. Which goods a refund pays for is in
//! `refund_lines` ([`paid_units`]): whoever speaks next of goods that came back is answered with the difference.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use windlass_engine::{Job, JobId, Timestamp};

use super::refund::{RefundOrigin, RefundState, refund_no};
use super::request_refund::is_there;
use super::{QueryRefund, RequestRefund};
use crate::findings::FindingType;
use crate::ledger::MoneyLine;
use crate::notifications::{Template, notify};
use crate::orders::{Case, Change, ChangeError, wind_down};

/// Refunds of one payment (facts: wechat-pay.md 8).
pub const REFUNDS_MAX: i64 = 50;

/// A refund that is to be made.
#[derive(Clone, Debug)]
pub struct NewRefund<'a> {
    pub amount_fen: i64,
    /// The customer reads it.
    pub reason: &'a str,
    pub origin: RefundOrigin,
    /// The id of the job that asks; empty where it follows from the order.
    pub asked_by: &'a str,
    /// Product codes and units that it pays for.
    pub units: Vec<(String, i64)>,
}

/// Promises `amount_fen` to the customer and sends for it, in the same transaction: at most what was paid and is
/// not promised yet. None: nothing is left, or WeChat makes no more refunds of this payment, which a person is told.
pub async fn reserve_refund(
    change: &mut Change<'_>,
    new: &NewRefund<'_>,
) -> Result<Option<String>, ChangeError> {
    let amount_fen = new.amount_fen.min(change.standing.refundable_fen());
    if amount_fen <= 0 {
        return Ok(None);
    }
    let seq = change.standing.refunds.iter().map(|refund| refund.seq).max().unwrap_or(0) + 1;
    let order_no = change.order_no().to_owned();
    if seq > REFUNDS_MAX {
        no_more_refunds(change, amount_fen).await?;
        return Ok(None);
    }
    let refund_no = refund_no(&order_no, seq);
    let now = change.now();
    let send_at = send_at(change, now);
    sqlx::query(
        "INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, origin, asked_by, requested_at, \
         send_at, touched_at) VALUES ($1, $2, $3, $4, $5, 'requested', $6, $7, $8, $9, $8)",
    )
    .bind(&refund_no)
    .bind(&order_no)
    .bind(seq)
    .bind(amount_fen)
    .bind(new.reason)
    .bind(new.origin.as_str())
    .bind(new.asked_by)
    .bind(now.micros())
    .bind(send_at.micros())
    .execute(change.tx().conn())
    .await?;
    let line = MoneyLine::new("refund.requested", &order_no).amount(amount_fen).refund(&refund_no);
    change.tx().money(line.how(new.origin.as_str()));
    record_units(change, &refund_no, &new.units).await?;
    let id = JobId::derived(&[RequestRefund::KIND, &refund_no]);
    let data =
        json!({ "refund_no": refund_no, "amount_fen": amount_fen, "origin": new.origin, "units": new.units });
    change.event("refund_requested", new.reason, data).await?;
    let step = RequestRefund { refund_no: refund_no.clone() };
    change.next_as(id, &step, send_at.since(now)).await?;
    change.refresh().await?;
    Ok(Some(refund_no))
}

async fn record_units(
    change: &mut Change<'_>,
    refund_no: &str,
    units: &[(String, i64)],
) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    for (product_code, units) in units {
        sqlx::query(
            "INSERT INTO refund_lines (refund_no, order_no, product_code, units) VALUES ($1, $2, $3, $4)",
        )
        .bind(refund_no)
        .bind(&order_no)
        .bind(product_code)
        .bind(*units)
        .execute(change.tx().conn())
        .await?;
    }
    Ok(())
}

/// Units of each product that were paid back, or whose refund waits for a person: neither is paid for again.
pub async fn paid_units(change: &mut Change<'_>) -> Result<BTreeMap<String, i64>, ChangeError> {
    let order_no = change.order_no().to_owned();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT l.product_code, CAST(SUM(l.units) AS BIGINT) AS units FROM refund_lines AS l \
         JOIN refunds AS r ON r.refund_no = l.refund_no WHERE l.order_no = $1 AND r.replaced_by = '' \
         GROUP BY l.product_code ORDER BY l.product_code",
    )
    .bind(&order_no)
    .fetch_all(change.tx().conn())
    .await?;
    Ok(rows.into_iter().collect())
}

async fn no_more_refunds(change: &mut Change<'_>, amount_fen: i64) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    change
        .tx()
        .money(MoneyLine::new("refund.not_possible", &order_no).amount(amount_fen).how("no_more_refunds"));
    let key = format!("{order_no}:no-more");
    let why = "WeChat makes no more than 50 refunds of one payment: pay this amount back in another way";
    let case = Case::new(FindingType::RefundRefused, &key, why).amount(amount_fen);
    change.needs_person(case).await.map(drop)
}

/// Refunds of one order keep a distance (facts: wechat-pay.md 8): each waits for the one before it.
fn send_at(change: &Change<'_>, now: Timestamp) -> Timestamp {
    let gap = Duration::from_secs(change.shop().settings.refund_gap_s);
    let last = change.standing.refunds.iter().map(|refund| refund.send_at.max(refund.requested_at)).max();
    last.map_or(now, |last| (Timestamp::from_micros(last) + gap).max(now))
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
        let why = "WeChat speaks of a refund that is not in the books: find out who made it";
        let data = json!({ "refund_no": refund_no, "state": news.state });
        let case = Case::new(FindingType::ExtraRefund, refund_no, why).data(data);
        return change.needs_person(case).await.map(drop);
    };
    is_there(change, refund_no, news).await?;
    if !known.state.may_become(news.state) {
        return contradicted(change, &known, news).await;
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
    let line =
        MoneyLine::new("refund.recorded", change.order_no()).amount(known.amount_fen).refund(refund_no);
    change.tx().money(line.refund_id(&news.refund_id).how(news.state.as_str()));
    let data = json!({ "refund_no": refund_no, "amount_fen": known.amount_fen, "note": news.note });
    change.event("refund", news.state.as_str(), data).await?;
    change.refresh().await?;
    match news.state {
        RefundState::Accepted => follow(change, refund_no).await?,
        RefundState::Succeeded => paid_back(change, refund_no).await?,
        RefundState::Closed | RefundState::Abnormal | RefundState::Refused => {
            let amount_fen = known.amount_fen;
            failed(change, refund_no, amount_fen, news).await?;
        }
        RefundState::Requested => {}
    }
    wind_down(change).await
}

/// A refund that came to nothing here and all the same paid the customer there may have paid twice.
async fn contradicted(
    change: &mut Change<'_>,
    known: &crate::orders::RefundRow,
    news: &RefundNews,
) -> Result<(), ChangeError> {
    // WeChat's "processing" may come behind the news that it closed the refund: that contradicts nothing.
    let contradicts = matches!(
        (known.state, news.state),
        (RefundState::Closed, RefundState::Succeeded)
            | (RefundState::Refused, RefundState::Succeeded | RefundState::Accepted)
    );
    if !contradicts {
        return Ok(());
    }
    let why =
        "WeChat makes a refund after all that had come to nothing: look whether the customer has it twice";
    let line = MoneyLine::new("refund.contradicted", change.order_no()).amount(known.amount_fen);
    let line = line.refund(&known.refund_no).refund_id(&news.refund_id);
    change.tx().money(line.how(&format!("was {}, is {}", known.state.as_str(), news.state.as_str())));
    let data = json!({ "refund_no": known.refund_no, "was": known.state, "is": news.state,
        "replaced_by": known.replaced_by });
    let case = Case::new(FindingType::ExtraRefund, &known.refund_no, why).amount(known.amount_fen).data(data);
    change.needs_person(case).await.map(drop)
}

async fn paid_back(change: &mut Change<'_>, refund_no: &str) -> Result<(), ChangeError> {
    const HOW: &str = "the money went back";
    for kind in [FindingType::RefundAbnormal, FindingType::UnsolicitedReturn, FindingType::MissingRefund] {
        change.tx().resolve_finding(kind, refund_no, RESOLVED_BY, HOW).await?;
    }
    if change.standing.refunds.iter().all(|refund| refund.state.is_final() && !refund.needs_person())
        && let Some(so_id) = change.standing.supplier.as_ref().map(|supplier| supplier.so_id.clone())
    {
        for kind in [FindingType::SupplierRejected, FindingType::UnsolicitedReturn] {
            change.tx().resolve_finding(kind, &so_id, RESOLVED_BY, HOW).await?;
        }
    }
    notify(change, Template::RefundMade, refund_no).await
}

/// Who resolves what settles itself.
pub const RESOLVED_BY: &str = "windlass";

async fn failed(
    change: &mut Change<'_>,
    refund_no: &str,
    amount_fen: i64,
    news: &RefundNews,
) -> Result<(), ChangeError> {
    metrics::counter!("windlass_refunds_need_person_total").increment(1);
    let (kind, why) = match news.state {
        RefundState::Abnormal => (
            FindingType::RefundAbnormal,
            "the customer's card takes no refund: act in WeChat's merchant platform, or replace the refund",
        ),
        RefundState::Closed => {
            let how = "the refund came back to the shop";
            change.tx().resolve_finding(FindingType::RefundAbnormal, refund_no, RESOLVED_BY, how).await?;
            (
                FindingType::RefundClosed,
                "WeChat gave the refund back to the shop: replace it when it is clear why",
            )
        }
        _ => (
            FindingType::RefundRefused,
            "WeChat will not make the refund: see the note, then replace it or pay in another way",
        ),
    };
    let data = json!({ "refund_no": refund_no, "note": news.note });
    let case = Case::new(kind, refund_no, why).amount(amount_fen).data(data);
    change.needs_person(case).await.map(drop)
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
