//! The end of the way: delivered for long enough, or received as the customer says. A return under way keeps it open.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome, Timestamp};

use super::change::Change;
use super::state::OrderState;
use crate::notifications::{Template, notify};
use crate::shop::Shop;
use crate::suppliers::CancelState;

/// Completes an order that was delivered some time ago.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteOrder {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
    /// The customer has confirmed receipt: nothing is waited for.
    #[serde(default)]
    pub received: bool,
}

/// Shop's time until a return under way is looked at again.
const RETURN_WAIT: Duration = Duration::from_secs(3_600);

impl Job for CompleteOrder {
    const KIND: &'static str = "complete_order";
    const QUEUE: &'static str = "orders";
    type Context = Shop;

    /// A confirmation does not wait behind the job that waits for one.
    fn unique_key(&self) -> Option<String> {
        (!self.received).then(|| self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        if change.state() != OrderState::Delivered {
            return Ok(Outcome::result(json!({ "skipped": "the order is not waiting for this" })));
        }
        let due_at = Timestamp::from_micros(change.standing.order.state_at)
            + Duration::from_secs(shop.settings.complete_after_s);
        let is_coming_back = change
            .standing
            .supplier
            .as_ref()
            .is_some_and(|supplier| matches!(supplier.cancel, CancelState::Wanted | CancelState::Asked));
        if is_coming_back {
            return Err(JobError::snooze(RETURN_WAIT, "the supplier was asked to take it back"));
        }
        if !self.received && shop.clock.now() < due_at {
            return Err(JobError::snooze(due_at.since(shop.clock.now()), "not delivered for long enough"));
        }
        let why =
            if self.received { "the customer confirmed receipt" } else { "delivered, and nothing came back" };
        change.move_to(OrderState::Completed, why).await?;
        notify(&mut change, Template::OrderCompleted, "completed").await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}
