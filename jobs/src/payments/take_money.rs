//! Money came in: from a query or a callback, once or many times, early or late. One place decides what follows.
//!
//! Money is never dropped: what the order no longer wants goes back, or revives the order where the shop wants that
//! (facts: commerce-states.md 2, gap 2). A payment in dispute waits for a person ([`super::settle_payment`]).

use serde_json::json;
use windlass_engine::Timestamp;

use super::{NewRefund, PaymentState, RESOLVED_BY, RefundOrigin, Trade, reserve_refund};
use crate::findings::FindingType;
use crate::ledger::MoneyLine;
use crate::notifications::{Template, notify};
use crate::orders::{Case, Change, ChangeError, CheckSupply, OrderState, settle_close, wind_down};
use crate::settings::LatePayment;

/// What WeChat says of a payment that was made.
#[derive(Clone, Debug)]
pub struct Money {
    pub transaction_id: String,
    pub amount_fen: i64,
    pub paid_at: Option<Timestamp>,
    /// `query` or `callback`.
    pub known_by: &'static str,
}

pub async fn take_money(change: &mut Change<'_>, money: &Money) -> Result<(), ChangeError> {
    // What was paid was not closed, whatever became of our own call.
    settle_close(change, &Trade::Paid(money.clone())).await?;
    // It may have been told of before the order was recorded.
    let how = "the order is in the books, and its money with it";
    change.tx().resolve_finding(FindingType::Long, &money.transaction_id, RESOLVED_BY, how).await?;
    let payment = &change.standing.payment;
    if payment.state.has_money() {
        let known = payment.transaction_id.as_deref();
        // A disputed payment without a number is one that is in the books of another order: told of already.
        return if known.is_none() || known == Some(money.transaction_id.as_str()) {
            Ok(())
        } else {
            paid_twice(change, money).await
        };
    }
    let wanted_fen = payment.amount_fen;
    if is_known_elsewhere(change, &money.transaction_id).await? {
        return disputed_without(change, money).await;
    }
    if money.amount_fen != wanted_fen {
        record(change, money, PaymentState::Disputed).await?;
        let why = "another amount was paid than the order's: accept it or give all of it back";
        return dispute(change, money, why).await;
    }
    if change.standing.may_be_revived() && change.shop().settings.late_payment == LatePayment::Revive {
        record(change, money, PaymentState::Succeeded).await?;
        change.revive("paid after its time to pay was over").await?;
        return goes_on(change).await;
    }
    let late = change.standing.payment.state == PaymentState::Closed;
    record(change, money, if late { PaymentState::Late } else { PaymentState::Succeeded }).await?;
    match change.state() {
        OrderState::Pending => paid(change).await,
        state if state.is_winding_down() => wind_down(change).await,
        state if state.is_terminal() && state.wants_no_money() => {
            let amount_fen = change.standing.refundable_fen();
            let (reason, origin) = ("paid after the order was given up", RefundOrigin::Late);
            let new = NewRefund { amount_fen, reason, origin, asked_by: "", units: Vec::new() };
            reserve_refund(change, &new).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// The order has its money and goes on.
pub(super) async fn paid(change: &mut Change<'_>) -> Result<(), ChangeError> {
    change.move_to(OrderState::Paid, "the payment was made").await?;
    goes_on(change).await
}

async fn goes_on(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    change.next(&CheckSupply { order_no }).await?;
    notify(change, Template::OrderPaid, "paid").await
}

async fn record(change: &mut Change<'_>, money: &Money, state: PaymentState) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "UPDATE payments SET state = $1, paid_fen = $2, transaction_id = $3, paid_at = $4, known_by = $5, \
         touched_at = $6 WHERE order_no = $7",
    )
    .bind(state.as_str())
    .bind(money.amount_fen)
    .bind(&money.transaction_id)
    .bind(money.paid_at.map_or(now, Timestamp::micros))
    .bind(money.known_by)
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    audit(change, "payment.recorded", money, state.as_str());
    let data = json!({ "transaction_id": money.transaction_id, "amount_fen": money.amount_fen,
        "known_by": money.known_by });
    change.event("payment", state.as_str(), data).await?;
    change.refresh().await
}

/// The money is in the books of another order already, and must not be there twice.
async fn disputed_without(change: &mut Change<'_>, money: &Money) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query("UPDATE payments SET state = 'disputed', known_by = $1, touched_at = $2 WHERE order_no = $3")
        .bind(money.known_by)
        .bind(now)
        .bind(&order_no)
        .execute(change.tx().conn())
        .await?;
    audit(change, "payment.of_another_order", money, PaymentState::Disputed.as_str());
    let why = "its payment is in the books of another order: find out whose it is, then refuse it here";
    dispute(change, money, why).await?;
    change.refresh().await
}

/// Says so once, however often it is looked at.
async fn dispute(change: &mut Change<'_>, money: &Money, why: &str) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    let case = Case::new(FindingType::PaymentDisputed, &order_no, why);
    if change.needs_person(case.amount(money.amount_fen).data(evidence(money))).await? {
        metrics::counter!("windlass_payments_disputed_total").increment(1);
    }
    Ok(())
}

async fn paid_twice(change: &mut Change<'_>, money: &Money) -> Result<(), ChangeError> {
    let why =
        "a second payment was made for the order: give it back at WeChat under its transaction's number";
    let case = Case::new(FindingType::DuplicatePay, &money.transaction_id, why);
    if change.needs_person(case.amount(money.amount_fen).data(evidence(money))).await? {
        audit(change, "payment.second", money, "left_to_a_person");
        metrics::counter!("windlass_payments_disputed_total").increment(1);
    }
    Ok(())
}

/// What came beside what was expected, by whom it is known, and what became of it.
fn audit(change: &mut Change<'_>, what: &'static str, money: &Money, how: &str) {
    let line = MoneyLine::new(what, change.order_no())
        .amount(money.amount_fen)
        .expected(change.standing.payment.amount_fen)
        .transaction(&money.transaction_id)
        .how(&format!("{how}, by {}", money.known_by));
    change.tx().money(line);
}

fn evidence(money: &Money) -> serde_json::Value {
    json!({ "transaction_id": money.transaction_id, "amount_fen": money.amount_fen, "known_by": money.known_by })
}

async fn is_known_elsewhere(change: &mut Change<'_>, transaction_id: &str) -> Result<bool, ChangeError> {
    let order_no = change.order_no().to_owned();
    let other: Option<(String,)> =
        sqlx::query_as("SELECT order_no FROM payments WHERE transaction_id = $1 AND order_no <> $2")
            .bind(transaction_id)
            .bind(&order_no)
            .fetch_optional(change.tx().conn())
            .await?;
    Ok(other.is_some())
}
