//! Can it be delivered at all? Haier says what it sells, at what price, and how many it has for that county.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome};

use super::change::Change;
use super::standing::{self, LineRow};
use super::state::OrderState;
use super::wind_down::give_up;
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF};
use crate::shop::Shop;
use crate::suppliers::PlaceSupplierOrder;
use crate::suppliers::supply::{Supply, Wanted};

/// Asks Haier for every product of a paid order; goes on to the supplier or refuses with the reason.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSupply {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

impl Job for CheckSupply {
    const KIND: &'static str = "check_supply";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let order = standing::order(&mut conn, &self.order_no).await?;
        let Some(order) = order.filter(|order| order.state == OrderState::Paid) else {
            return Ok(Outcome::result(json!({ "skipped": "the order is not waiting for this" })));
        };
        let lines = standing::lines(&mut conn, &self.order_no).await?;
        drop(conn);

        let wanted = wanted(&lines);
        let supply = Supply::of(shop, &wanted, &order.county_code).await?;
        let refusals = supply.refusals(&wanted);

        let mut change = Change::begin(shop, job, &self.order_no).await?;
        if change.state() != OrderState::Paid {
            return Ok(Outcome::result(json!({ "skipped": "the order moved meanwhile" })));
        }
        if let Some(reason) = refusals.first() {
            change.event("supply", "cannot be delivered", json!({ "reasons": refusals })).await?;
            give_up(&mut change, OrderState::Refusing, reason).await?;
        } else {
            let below_cost = supply.below_cost(&lines);
            if !below_cost.is_empty() {
                change
                    .event("supply", "sold below what Haier asks", json!({ "products": below_cost }))
                    .await?;
            }
            change.move_to(OrderState::Checked, "Haier sells and has it all").await?;
            change.next(&PlaceSupplierOrder { order_no: self.order_no }).await?;
        }
        change.commit().await?;
        Ok(Outcome::done())
    }
}

/// Each product once, with the units of all its lines.
fn wanted(lines: &[LineRow]) -> Wanted {
    let mut wanted = Wanted::new();
    for line in lines {
        let units = wanted.entry(line.product_code.clone()).or_insert(0);
        *units = i64::saturating_add(*units, line.quantity);
    }
    wanted
}
