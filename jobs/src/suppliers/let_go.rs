//! What follows when the supplier lets go of an order, keeps it, or has some of its goods back: asked or unasked, before
//! the goods left, at the customer's door, or long after the order was complete.
//!
//! An order whose customer never had the goods winds down and is refused. One whose customer had them is complete:
//! `completed` says that they were delivered, which a return does not undo. What a return changes is money, and that has
//! books of its own (`refunds`, with the goods that each pays for). So an order is never in two states, and a return may
//! come once, several times or not at all.

use serde_json::json;

use super::book::{Returned, set_cancel, set_supplier};
use super::supplier_order::{CancelState, SupplierState};
use crate::findings::FindingType;
use crate::orders::{Case, Change, ChangeError, OrderState, bought, give_up, wind_down};
use crate::payments::{NewRefund, RefundOrigin, paid_units, reserve_refund};

/// What the customer reads where nobody gave another reason.
const NOT_ASKED: &str = "the supplier cancelled it, or it was refused at the door";

/// As YLH has it; a callback is about an order that was sent, so there is one.
pub fn supplier(change: &Change<'_>) -> (SupplierState, CancelState) {
    change
        .standing
        .supplier
        .as_ref()
        .map_or((SupplierState::Sending, CancelState::None), |supplier| (supplier.state, supplier.cancel))
}

/// Wholly cancelled, intercepted, sent back, or refused at the door: also without anybody having asked.
pub async fn let_go(change: &mut Change<'_>, haier_no: Option<&str>, note: &str) -> Result<(), ChangeError> {
    if supplier(change).0 == SupplierState::Cancelled {
        return Ok(());
    }
    let asked = is_asked(change);
    let reason = return_reason(change).unwrap_or_else(|| NOT_ASKED.to_owned());
    set_supplier(change, SupplierState::Cancelled, haier_no, note).await?;
    set_cancel(change, CancelState::Done, "").await?;
    if !asked && change.standing.refundable_fen() > 0 {
        unasked(change).await?;
    }
    if asked && change.state() == OrderState::Delivered {
        change.move_to(OrderState::Completed, "the customer had it, and sent it back").await?;
    }
    if change.state() == OrderState::Completed {
        let amount_fen = change.standing.refundable_fen();
        let new = back(amount_fen, &reason, Vec::new());
        return reserve_refund(change, &new).await.map(drop);
    }
    refuse(change, &reason).await
}

fn back(amount_fen: i64, reason: &str, units: Vec<(String, i64)>) -> NewRefund<'_> {
    NewRefund { amount_fen, reason, origin: RefundOrigin::Returned, asked_by: "", units }
}

fn is_asked(change: &Change<'_>) -> bool {
    matches!(supplier(change).1, CancelState::Wanted | CancelState::Asked)
}

fn return_reason(change: &Change<'_>) -> Option<String> {
    let supplier = change.standing.supplier.as_ref()?;
    Some(supplier.return_reason.clone()).filter(|reason| !reason.is_empty())
}

/// The whole order comes back although nobody asked: the money goes back by itself, and the finding ends with it.
async fn unasked(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let Some(so_id) = change.standing.supplier.as_ref().map(|supplier| supplier.so_id.clone()) else {
        return Ok(());
    };
    let has_left =
        matches!(change.state(), OrderState::Shipped | OrderState::Delivered | OrderState::Completed);
    let (kind, why) = if has_left {
        (
            FindingType::UnsolicitedReturn,
            "all goods came back although nobody asked; the money goes back by itself",
        )
    } else {
        (FindingType::SupplierRejected, "the supplier gave the order up; the money goes back by itself")
    };
    let amount_fen = change.standing.refundable_fen();
    change.needs_person(Case::new(kind, &so_id, why).amount(amount_fen)).await.map(drop)
}

/// The supplier does not let go: an order that winds down goes on, a return comes to nothing.
pub async fn kept(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    if !is_asked(change) {
        return Ok(());
    }
    set_cancel(change, CancelState::Failed, reason).await?;
    let is_over = change.state().is_terminal() && change.state().wants_no_money();
    if is_over && supplier(change).0.is_live() {
        return keeps_what_is_over(change, reason).await;
    }
    wind_down(change).await
}

/// The customer has the money back, and the goods go out all the same.
async fn keeps_what_is_over(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    let Some(so_id) = change.standing.supplier.as_ref().map(|supplier| supplier.so_id.clone()) else {
        return Ok(());
    };
    let key = format!("{so_id}:kept");
    let why = "the supplier will not cancel an order that is over here: have the goods stopped or paid for";
    let amount_fen = change.standing.order.total_fen;
    let case = Case::new(FindingType::SupplierRejected, &key, why).amount(amount_fen);
    change.needs_person(case.data(json!({ "reason": reason }))).await.map(drop)
}

/// Some of it came back or was not taken: that much is refunded, once, whatever is repeated and in whatever order.
pub async fn came_back(
    change: &mut Change<'_>,
    haier_no: Option<&str>,
    returned: &[Returned],
) -> Result<(), ChangeError> {
    let bought = bought(&change.lines().await?);
    let units_of = |code: &str| {
        let back = returned.iter().find(|back| back.product_code == code);
        back.map_or(0, |back| back.units)
    };
    if bought.products().all(|(code, quantity)| units_of(code) >= quantity) {
        return let_go(change, haier_no, "all of it came back").await;
    }
    let asked = is_asked(change);
    let paid = paid_units(change).await?;
    let mut units = Vec::new();
    let mut due_fen: i64 = 0;
    for (code, quantity) in bought.products() {
        let (now, before) = (units_of(code).min(quantity), paid.get(code).copied().unwrap_or(0));
        if now > before {
            let worth = bought.worth_fen(code, now).saturating_sub(bought.worth_fen(code, before));
            due_fen = due_fen.saturating_add(worth);
            units.push((code.to_owned(), now - before));
        }
    }
    // What a build that did not keep the goods of a refund has paid for them.
    let unsaid = change.standing.refunds.iter().filter(|refund| refund.origin == RefundOrigin::Unsaid);
    let unsaid_fen = unsaid.filter(|refund| refund.state.holds_reserve()).map(|refund| refund.amount_fen);
    let due_fen = due_fen.saturating_sub(unsaid_fen.fold(0, i64::saturating_add));
    let reason = return_reason(change).unwrap_or_else(|| "returned or refused in part".to_owned());
    if let Some(refund_no) = reserve_refund(change, &back(due_fen, &reason, units.clone())).await?
        && !asked
    {
        let why = "goods came back although nobody asked; their price goes back by itself";
        let case = Case::new(FindingType::UnsolicitedReturn, &refund_no, why).amount(due_fen);
        change.needs_person(case.data(json!({ "units": units }))).await?;
    }
    kept(change, "only in part").await
}

/// The order cannot be fulfilled: begins to wind it down, or goes on when it is being wound down already.
pub async fn refuse(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    match change.state() {
        state if state.is_winding_down() => wind_down(change).await,
        state if state.may_become(OrderState::Refusing) => {
            give_up(change, OrderState::Refusing, reason).await
        }
        _ => Ok(()),
    }
}
