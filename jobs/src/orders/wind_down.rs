//! Carries out what [`super::unwind`] decides, inside one change of the order: asks jobs to ask the outside,
//! reserves refunds, ends the order.

use super::change::{Change, ChangeError};
use super::state::OrderState;
use super::unwind::{NextStep, next_step};
use crate::notifications::{Template, notify};
use crate::payments::{NewRefund, RefundOrigin, reserve_refund};
use crate::suppliers::{CancelState, CancelSupplierOrder, set_cancel};

/// Begins to wind the order down, towards `refusing` or `cancelling`, for the reason that its customer will read.
pub async fn give_up(change: &mut Change<'_>, to: OrderState, reason: &str) -> Result<(), ChangeError> {
    debug_assert!(to.is_winding_down());
    change.move_to(to, reason).await?;
    // A cancel that failed before may go well now: it is asked for anew.
    if change.standing.supplier.as_ref().is_some_and(|supplier| supplier.cancel == CancelState::Failed) {
        set_cancel(change, CancelState::None, "").await?;
    }
    wind_down(change).await
}

/// Does what comes next for an order that winds down; nothing for any other. Callable after any change, any number
/// of times.
pub async fn wind_down(change: &mut Change<'_>) -> Result<(), ChangeError> {
    if !change.state().is_winding_down() {
        return Ok(());
    }
    change.refresh().await?;
    let refunds = change.standing.refund_amounts();
    match next_step(&change.standing.unwinding(&refunds)) {
        // The job that closes the payment calls here again when it is closed.
        NextStep::Wait | NextStep::ClosePayment => Ok(()),
        NextStep::AskSupplier => {
            set_cancel(change, CancelState::Wanted, "").await?;
            let order_no = change.order_no().to_owned();
            change.next(&CancelSupplierOrder { order_no }).await
        }
        NextStep::Resume => resume(change).await,
        NextStep::Refund { amount_fen } => {
            let reason = change.standing.order.reason.clone();
            let origin = RefundOrigin::Unwound;
            let new = NewRefund { amount_fen, reason: &reason, origin, asked_by: "", units: Vec::new() };
            reserve_refund(change, &new).await.map(drop)
        }
        // The payment in dispute or the refund that failed was raised as a finding when it became so.
        NextStep::NeedsPerson => Ok(()),
        NextStep::End(state) => end(change, state).await,
    }
}

async fn end(change: &mut Change<'_>, state: OrderState) -> Result<(), ChangeError> {
    let reason = change.standing.order.reason.clone();
    change.move_to(state, &reason).await?;
    // Who had the goods stopped on their way is not told that they cannot be had.
    let wanted_back =
        change.standing.supplier.as_ref().is_some_and(|supplier| !supplier.return_reason.is_empty());
    let template = if state == OrderState::Refused && !wanted_back {
        Template::OrderRefused
    } else {
        Template::OrderCancelled
    };
    notify(change, template, state.as_str()).await
}

/// The supplier keeps the order: it goes on where it was.
async fn resume(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let resume = change.standing.order.resume_state.parse().unwrap_or(OrderState::Placed);
    let to = if change.state().may_become(resume) { resume } else { OrderState::Placed };
    change.move_to(to, "the supplier could not cancel: the order goes on").await
}
