//! Orders whose time to pay is over: each gets a job that asks once more, closes the payment and cancels it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob, Outcome};

use super::cancel_order::CancelOrder;
use crate::shop::Shop;

/// What the customer reads of an order that was not paid.
pub const NOT_PAID: &str = "超时未支付 (not paid in time)";

/// Gives up orders that were not paid in time.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpireUnpaidOrders {}

impl Job for ExpireUnpaidOrders {
    const KIND: &'static str = "expire_unpaid_orders";
    const QUEUE: &'static str = "orders";
    const ATTEMPTS_MAX: u32 = 3;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut expired: Vec<(String,)> = sqlx::query_as(
            "SELECT o.order_no FROM orders AS o JOIN payments AS p ON p.order_no = o.order_no \
             WHERE o.state = 'pending' AND o.expires_at <= $1 AND p.state = 'paying' \
             ORDER BY o.expires_at, o.order_no LIMIT $2",
        )
        .bind(shop.clock.now().micros())
        .bind(i64::try_from(shop.settings.expire_orders_max).unwrap_or(i64::MAX))
        .fetch_all(shop.ledger.reads())
        .await?;
        // In the order of their numbers, as everybody who puts the jobs of many orders at once.
        expired.sort_unstable();
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        for (order_no,) in &expired {
            tx.enqueue(&give_up_unpaid(shop, order_no)).await?;
        }
        tx.commit().await?;
        Ok(Outcome::result(json!({ "expired": expired.len() })))
    }
}

/// One job for one order, however often its expiry is noticed.
fn give_up_unpaid(shop: &Shop, order_no: &str) -> NewJob {
    let step = CancelOrder::expired(order_no);
    NewJob::of(&step, &shop.clock)
        .id(JobId::derived(&[CancelOrder::KIND, order_no, "expired"]))
        .tag(format!("order:{order_no}"))
}
