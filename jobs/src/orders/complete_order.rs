//! The end of the way: delivered for long enough.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome, Timestamp};

use super::change::Change;
use super::state::OrderState;
use crate::notifications::{Template, notify};
use crate::shop::Shop;

/// Completes an order that was delivered some time ago.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteOrder {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

impl Job for CompleteOrder {
    const KIND: &'static str = "complete_order";
    const QUEUE: &'static str = "orders";
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        if change.state() != OrderState::Delivered {
            return Ok(Outcome::result(json!({ "skipped": "the order is not waiting for this" })));
        }
        let due_at = Timestamp::from_micros(change.standing.order.state_at)
            + Duration::from_secs(shop.settings.complete_after_s);
        if shop.clock.now() < due_at {
            return Err(JobError::snooze(due_at.since(shop.clock.now()), "not delivered for long enough"));
        }
        change.move_to(OrderState::Completed, "delivered, and nothing came back").await?;
        notify(&mut change, Template::OrderCompleted, "completed").await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}
