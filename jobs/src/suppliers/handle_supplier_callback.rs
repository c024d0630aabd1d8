//! What YLH's callbacks do to an order. They come twice, late, in any order, and before our own answer was recorded:
//! each is judged by what it says and by where the order stands, and nothing goes backwards (facts: ylh.md 10, 11).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::book::{record_quantities, set_supplier};
use super::callbacks::order_of;
use super::cancel_supplier_order;
use super::let_go::{came_back, kept, let_go, refuse, supplier};
use super::place_supplier_order::{self, cancel_what_is_over};
use super::supplier_order::{CancelState, SupplierState, so_id};
use super::ylh::{Callback, Method, verify_form};
use crate::callback::callback;
use crate::findings::FindingType;
use crate::orders::{Case, Change, ChangeError, OrderState, STEP_ATTEMPTS_MAX, STEP_BACKOFF, wind_down};
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
            let_go(change, said.ext_order_no.as_deref(), "").await
        }
        (Method::Cancel, 0) => kept(change, said.fail_msg.as_deref().unwrap_or("")).await,
        (Method::Cancel, 2) => {
            let returned = record_quantities(change, &said.items, said_at).await?;
            came_back(change, said.ext_order_no.as_deref(), &returned).await
        }
        _ => not_known(change, said).await,
    }
}

/// A state that is not printed, and out-of-stock with 0, of which it is not said what it means (facts: ylh.md 10): it
/// changes nothing, and somebody should ask YLH.
async fn not_known(change: &mut Change<'_>, said: &Callback) -> Result<(), ChangeError> {
    let data = json!({ "method": said.method, "state": said.state, "text": said.fail_msg });
    let key = format!("{}:{:?}:{}", change.order_no(), said.method, said.state).to_lowercase();
    let why = "YLH says a state of which it is not known what it means: nothing was changed; ask YLH";
    change.needs_person(Case::new(FindingType::Status, &key, why).data(data)).await.map(drop)
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
    let so_id = so_id(change.order_no());
    let why = "the supplier did not accept the order; the money goes back by itself, and then this ends";
    let case = Case::new(FindingType::SupplierRejected, &so_id, why).amount(change.standing.order.total_fen);
    change.needs_person(case.data(json!({ "reason": reason }))).await?;
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
