//! A person decides about a payment in dispute: the order takes the money as it is, or all of it goes back.

use serde_json::json;

use super::take_money::paid;
use super::{NewRefund, PaymentState, RefundOrigin, reserve_refund};
use crate::by_hand::{ByHand, NotDone};
use crate::findings::FindingType;
use crate::ledger::MoneyLine;
use crate::orders::{Change, ChangeError, OrderState, give_up, wind_down};
use crate::shop::Shop;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The order goes on with the amount that came.
    Accept,
    /// Whatever came goes back, and the order is cancelled.
    Refund,
}

/// Carries the decision out and answers where the order then stands. Money for an order that is over or winding down
/// goes back either way.
///
/// # Errors
/// [`NotDone`] when the payment is not in dispute, or no money of this order is there to be accepted.
pub async fn settle_payment(
    shop: &Shop,
    order_no: &str,
    decision: Decision,
    by: ByHand<'_>,
) -> Result<OrderState, NotDone> {
    let tx = shop.ledger.begin().await?;
    let mut change = Change::within(shop, tx, order_no).await?;
    let payment = change.standing.payment.clone();
    if payment.state != PaymentState::Disputed {
        let state = payment.state.as_str();
        return Err(NotDone::NotOpen(format!("the payment of {order_no} is {state}, not in dispute")));
    }
    // Without a number of its own the money is in the books of another order.
    let has_money = payment.transaction_id.is_some() && payment.paid_fen > 0;
    if decision == Decision::Accept && !has_money {
        let why = "the money is in the books of another order: it can only be refused here";
        return Err(NotDone::NotOpen(why.to_owned()));
    }
    let goes_on = decision == Decision::Accept && !change.state().wants_no_money();
    let state = match (has_money, goes_on) {
        (false, _) => PaymentState::Closed,
        (true, true) => PaymentState::Succeeded,
        (true, false) => PaymentState::Late,
    };
    set_state(&mut change, state).await?;
    let line = MoneyLine::new("payment.settled_by_hand", order_no)
        .amount(payment.paid_fen)
        .expected(payment.amount_fen)
        .transaction(payment.transaction_id.as_deref().unwrap_or_default())
        .how(state.as_str())
        .by(by.who);
    change.tx().money(line);
    let data = json!({ "decision": decision, "by": by.who, "paid_fen": payment.paid_fen });
    change.event("payment_settled", by.reason(), data).await?;
    match change.state() {
        OrderState::Pending if goes_on => paid(&mut change).await?,
        OrderState::Pending => give_up(&mut change, OrderState::Cancelling, by.reason()).await?,
        state if state.is_winding_down() => wind_down(&mut change).await?,
        state if state.wants_no_money() => give_back(&mut change, by.reason()).await?,
        _ => {}
    }
    change.tx().resolve_finding(FindingType::PaymentDisputed, order_no, by.who, by.reason()).await?;
    by.note(change.tx(), "payment.settle", order_no, if goes_on { "accepted" } else { "refunded" }).await?;
    let state = change.state();
    change.commit().await?;
    Ok(state)
}

async fn give_back(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    let amount_fen = change.standing.refundable_fen();
    let new = NewRefund { amount_fen, reason, origin: RefundOrigin::Late, asked_by: "", units: Vec::new() };
    reserve_refund(change, &new).await.map(drop)
}

async fn set_state(change: &mut Change<'_>, state: PaymentState) -> Result<(), ChangeError> {
    let (now, order_no) = (change.now().micros(), change.order_no().to_owned());
    sqlx::query("UPDATE payments SET state = $1, touched_at = $2 WHERE order_no = $3 AND state = 'disputed'")
        .bind(state.as_str())
        .bind(now)
        .bind(&order_no)
        .execute(change.tx().conn())
        .await?;
    change.refresh().await
}
