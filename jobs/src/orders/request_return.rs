//! The customer wants to give back what was shipped: the supplier is asked to stop it on its way or to take it back.
//!
//! What comes of it the supplier says by callback, after interception or inspection, maybe days later (facts: ylh.md 5);
//! [`crate::suppliers`] acts on that, and only then money goes back. Whether the time for returns is over is the
//! supplier's to say. Money without goods is [`super::refund_order`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::change::Change;
use super::state::OrderState;
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF, has_asked, unknown_order};
use crate::shop::Shop;
use crate::suppliers::{CancelState, CancelSupplierOrder, SupplierState, set_cancel, set_return_reason};

/// Asks the supplier to take back an order that was shipped.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestReturn {
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{6,32}$"))]
    pub order_no: String,
    /// The customer and the supplier read it.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
}

const EVENT: &str = "return_requested";

impl Job for RequestReturn {
    const KIND: &'static str = "request_return";
    const QUEUE: &'static str = "orders";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let begun = Change::begin(shop, job, &self.order_no).await;
        let mut change = begun.map_err(|error| unknown_order(error, job))?;
        if has_asked(&mut change, job, EVENT).await? {
            return Ok(Outcome::result(json!({ "asked": true })));
        }
        if let Some(why) = refusal(&change) {
            change.event("return_refused", why, json!({ "reason": self.reason })).await?;
            change.commit().await?;
            return Ok(Outcome::result(json!({ "asked": false, "because": why })));
        }
        change.event(EVENT, &self.reason, Value::Null).await?;
        set_return_reason(&mut change, &self.reason).await?;
        set_cancel(&mut change, CancelState::Wanted, "").await?;
        change.next(&CancelSupplierOrder { order_no: self.order_no }).await?;
        change.commit().await?;
        Ok(Outcome::result(json!({ "asked": true })))
    }
}

/// Why nothing can be given back.
fn refusal(change: &Change<'_>) -> Option<&'static str> {
    let supplier = change.standing.supplier.as_ref().map(|supplier| (supplier.state, supplier.cancel));
    match (change.state(), supplier) {
        (OrderState::Shipped | OrderState::Delivered | OrderState::Completed, Some((state, cancel))) => {
            match cancel {
                CancelState::Wanted | CancelState::Asked => Some("the supplier is asked already"),
                _ if state == SupplierState::Cancelled => Some("the supplier has all of it back already"),
                _ if !state.is_live() => Some("the supplier does not have the order"),
                CancelState::None | CancelState::Failed | CancelState::Done => None,
            }
        }
        (state, _) if state.wants_no_money() => Some("the order is given up: its money goes back by itself"),
        _ => Some("it was not shipped: cancel it (cancel_order)"),
    }
}
