//! What YLH's callbacks do to an order. They come twice, late, in any order, and before our own answer was recorded:
//! each is judged by what it says and by where the order stands, and nothing goes backwards (facts: ylh.md 10, 11).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::book::{Returned, record_quantities, set_cancel, set_supplier};
use super::callbacks::order_of;
use super::cancel_supplier_order;
use super::place_supplier_order::{self, cancel_what_is_over};
use super::supplier_order::{CancelState, SupplierState};
use super::ylh::{Callback, Method, verify_form};
use crate::callback::callback;
use crate::orders::{
    Change, ChangeError, OrderState, STEP_ATTEMPTS_MAX, STEP_BACKOFF, bought, give_up, wind_down,
};
use crate::payments::reserve_refund;
use crate::shop::Shop;

/// Acts on a stored callback of YLH.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleSupplierCallback {
    #[schemars(length(min = 1, max = 64))]
    pub callback_id: String,
}

impl Job for HandleSupplierCallback {
    const KIND: &'static str = "handle_supplier_callback";
    const QUEUE: &'static str = "ylh";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.callback_id.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(stored) = callback(&shop.ledger, &self.callback_id).await? else {
            return Err(JobError::fail(anyhow::anyhow!("no callback {} is stored", self.callback_id)));
        };
        if stored.handled_at.is_some() {
            return Ok(Outcome::result(json!({ "skipped": "handled before" })));
        }
        let said = verify_form(&stored.body, &shop.ylh_callback_keys).map_err(JobError::fail)?;
        let mut conn = shop.ledger.reads().acquire().await?;
        let order_no = order_of(&mut conn, &said).await?;
        drop(conn);
        let Some(order_no) = order_no else {
            return Err(JobError::retry(anyhow::anyhow!("the order is not in the ledger")));
        };

        let mut change = Change::begin(shop, job, &order_no).await?;
        let heard = json!({ "method": said.method, "state": said.state, "haier_no": said.ext_order_no });
        change.event("supplier_callback", said.fail_msg.as_deref().unwrap_or_default(), heard).await?;
        settle_effects(&mut change, &said).await?;
        apply(&mut change, &said, said.at.unwrap_or(stored.received_at)).await?;
        change.tx().callback_handled(&self.callback_id).await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}

/// A callback says more than it says: YLH has the order, and heard the cancel that it answers.
async fn settle_effects(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    const HOW: &str = "YLH called back";
    place_supplier_order::is_there(change, said.ext_order_no.as_deref().unwrap_or_default(), HOW).await?;
    if said.method == Method::Cancel && matches!(supplier(change).1, CancelState::Wanted | CancelState::Asked)
    {
        cancel_supplier_order::is_answered(change, HOW).await?;
    }
    Ok(())
}

async fn apply(change: &mut Change<'_>, said: &Callback, said_at: Timestamp) -> Result<(), ChangeError> {
    match (said.method, said.state) {
        (Method::Confirm, 1) => confirmed(change, said).await,
        (Method::Confirm, 0) => not_accepted(change, said).await,
        (Method::OutOfStock, 1) => out_of_stock(change, said).await,
        (Method::Cancel, 1) => {
            record_quantities(change, &said.items, said_at).await?;
            cancelled(change, said).await
        }
        (Method::Cancel, 0) => not_cancelled(change, said.fail_msg.as_deref().unwrap_or("")).await,
        (Method::Cancel, 2) => {
            let returned = record_quantities(change, &said.items, said_at).await?;
            cancelled_in_part(change, said, &returned).await
        }
        // What 0 means with out-of-stock is not explained; a state that is not printed is for a person.
        (Method::OutOfStock, 0) => Ok(()),
        (_, state) => {
            let data = json!({ "state": state });
            change.needs_person("YLH says a state that is not known", data).await.map(drop)
        }
    }
}

/// As YLH has it; a callback is about an order that was sent, so there is one.
fn supplier(change: &Change<'_>) -> (SupplierState, CancelState) {
    change
        .standing
        .supplier
        .as_ref()
        .map_or((SupplierState::Sending, CancelState::None), |supplier| (supplier.state, supplier.cancel))
}

async fn confirmed(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    let haier_no = said.ext_order_no.as_deref();
    match supplier(change) {
        (SupplierState::Confirmed | SupplierState::Cancelled, _) => return Ok(()),
        // Older than the news of being out of stock, unless the supplier would not let go of the order since.
        (SupplierState::OutOfStock, cancel) if cancel != CancelState::Failed => return Ok(()),
        _ => {}
    }
    set_supplier(change, SupplierState::Confirmed, haier_no, "").await?;
    if change.state() == OrderState::Checked {
        change.move_to(OrderState::Placed, "YLH has the order: our own answer was lost or is late").await?;
    }
    match change.state() {
        OrderState::Placed => change.move_to(OrderState::Confirmed, "YLH confirmed the order").await,
        // Recorded, but it does not clear the cancel (facts: ylh.md 11).
        state if state.is_winding_down() => {
            change.set_resume(OrderState::Confirmed).await?;
            wind_down(change).await
        }
        state if state.wants_no_money() => cancel_what_is_over(change).await,
        _ => Ok(()),
    }
}

async fn not_accepted(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    if !matches!(supplier(change).0, SupplierState::Sending | SupplierState::Accepted) {
        return Ok(());
    }
    let reason = said.fail_msg.as_deref().unwrap_or("no reason given");
    set_supplier(change, SupplierState::Rejected, said.ext_order_no.as_deref(), reason).await?;
    refuse(change, &format!("the supplier did not accept the order: {reason}")).await
}

async fn out_of_stock(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    if !matches!(
        supplier(change).0,
        SupplierState::Sending | SupplierState::Accepted | SupplierState::Confirmed
    ) {
        return Ok(());
    }
    let reason = said.fail_msg.as_deref().unwrap_or("缺货");
    set_supplier(change, SupplierState::OutOfStock, said.ext_order_no.as_deref(), reason).await?;
    refuse(change, &format!("the supplier is out of stock: {reason}")).await
}

/// Wholly cancelled, intercepted, or refused at the door: also without anybody having asked.
async fn cancelled(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    if supplier(change).0 == SupplierState::Cancelled {
        return Ok(());
    }
    set_supplier(change, SupplierState::Cancelled, said.ext_order_no.as_deref(), "").await?;
    set_cancel(change, CancelState::Done, "").await?;
    if change.state() == OrderState::Completed {
        let amount_fen = change.standing.refundable_fen();
        return reserve_refund(change, amount_fen, "returned after completion").await;
    }
    refuse(change, "the supplier cancelled it, or it was refused at the door").await
}

async fn not_cancelled(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    let (state, cancel) = supplier(change);
    if state.is_live() && matches!(cancel, CancelState::Wanted | CancelState::Asked) {
        set_cancel(change, CancelState::Failed, reason).await?;
        wind_down(change).await?;
    }
    Ok(())
}

/// Some of it came back or was not taken: that much is refunded, once, whatever the callback is repeated.
async fn cancelled_in_part(
    change: &mut Change<'_>,
    said: &Callback,
    returned: &[Returned],
) -> Result<(), ChangeError> {
    let lines = change.lines().await?;
    let all = lines.iter().all(|line| {
        returned
            .iter()
            .any(|back| back.product_code == line.product_code && back.units >= back.total && back.total > 0)
    });
    if all {
        return cancelled(change, said).await;
    }
    let bought = bought(&lines);
    let due_fen = returned
        .iter()
        .fold(0, |sum: i64, back| sum.saturating_add(bought.worth_fen(&back.product_code, back.units)));
    let promised_fen = change.standing.payment.paid_fen.saturating_sub(change.standing.refundable_fen());
    reserve_refund(change, due_fen.saturating_sub(promised_fen), "returned or refused in part").await?;
    not_cancelled(change, "only in part").await
}

/// The order cannot be fulfilled: begins to wind it down, or goes on when it is being wound down already.
async fn refuse(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    match change.state() {
        state if state.is_winding_down() => wind_down(change).await,
        state if state.may_become(OrderState::Refusing) => {
            give_up(change, OrderState::Refusing, reason).await
        }
        _ => Ok(()),
    }
}
