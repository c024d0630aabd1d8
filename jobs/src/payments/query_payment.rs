//! Is it paid? Asked on WeChat's polling scheme until it is, or until the order's expiry takes over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome};

use super::take_money::take_money;
use super::trade::{Trade, ask_trade};
use crate::orders::{Change, OrderState, STEP_ATTEMPTS_MAX, STEP_BACKOFF, standing};
use crate::shop::Shop;

/// Asks WeChat whether an order's payment was made.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryPayment {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

impl Job for QueryPayment {
    const KIND: &'static str = "query_payment";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: windlass_engine::Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let order = standing::order(&mut conn, &self.order_no).await?;
        drop(conn);
        let Some(order) = order.filter(|order| order.state == OrderState::Pending) else {
            return Ok(Outcome::result(json!({ "skipped": "the order is not waiting for its payment" })));
        };
        match ask_trade(shop, &self.order_no).await? {
            Trade::Paid(money) => {
                let mut change = Change::begin(shop, job, &self.order_no).await?;
                take_money(&mut change, &money).await?;
                change.commit().await?;
                Ok(Outcome::result(json!({ "paid": true })))
            }
            Trade::Open | Trade::Closed | Trade::Unknown => {
                let age = shop.clock.now().since(windlass_engine::Timestamp::from_micros(order.recorded_at));
                match shop.settings.next_payment_poll(age) {
                    Some(next) => Err(JobError::snooze(next.saturating_sub(age), "not paid yet")),
                    None => Ok(Outcome::result(json!({ "paid": false, "left_to": "expire_unpaid_orders" }))),
                }
            }
        }
    }
}
