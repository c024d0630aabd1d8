//! Answers that YLH owes us: nobody can ask for them, so somebody must be told.
//!
//! YLH has no order query (facts: ylh.md 4); what is merely unsent or in doubt `sweep_orders` looks after.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome};

use crate::shop::Shop;

/// Orders that one run tells of.
const ALERTS_MAX: i64 = 500;

/// Finds supplier orders whose confirmation or cancel answer is overdue, and says so once.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchSupplierOrders {}

impl Job for WatchSupplierOrders {
    const KIND: &'static str = "watch_supplier_orders";
    const QUEUE: &'static str = "ylh";
    const ATTEMPTS_MAX: u32 = 3;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let confirms = overdue(
            shop,
            "SELECT order_no FROM supplier_orders WHERE state IN ('accepted', 'out_of_stock') \
             AND cancel IN ('', 'failed') AND confirmed_at IS NULL AND touched_at < $1 AND alerted_at IS NULL \
             ORDER BY touched_at LIMIT $2",
            shop.settings.confirm_overdue_s,
        )
        .await?;
        let cancels = overdue(
            shop,
            "SELECT order_no FROM supplier_orders WHERE cancel = 'asked' \
             AND cancel_asked_at < $1 AND alerted_at IS NULL ORDER BY cancel_asked_at LIMIT $2",
            shop.settings.cancel_overdue_s,
        )
        .await?;
        alert(shop, job, &confirms, "confirm_overdue", "YLH has not confirmed or refused the order").await?;
        alert(shop, job, &cancels, "cancel_overdue", "YLH has not said what came of the cancel").await?;
        Ok(Outcome::result(json!({ "confirms": confirms.len(), "cancels": cancels.len() })))
    }
}

async fn overdue(shop: &Shop, sql: &'static str, after_s: u64) -> Result<Vec<String>, JobError> {
    let before = shop.clock.now() - Duration::from_secs(after_s);
    let rows: Vec<(String,)> =
        sqlx::query_as(sql).bind(before.micros()).bind(ALERTS_MAX).fetch_all(shop.ledger.reads()).await?;
    Ok(rows.into_iter().map(|(order_no,)| order_no).collect())
}

async fn alert(
    shop: &Shop,
    job: &JobContext,
    orders: &[String],
    kind: &'static str,
    text: &str,
) -> Result<(), JobError> {
    for order_no in orders {
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        let marked = sqlx::query(
            "UPDATE supplier_orders SET alerted_at = $1 WHERE order_no = $2 AND alerted_at IS NULL",
        )
        .bind(shop.clock.now().micros())
        .bind(order_no)
        .execute(tx.conn())
        .await?;
        if marked.rows_affected() == 1 {
            tx.event(order_no, kind, text, &serde_json::Value::Null).await?;
            tx.commit().await?;
            metrics::counter!("windlass_supplier_answers_overdue_total", "answer" => kind).increment(1);
        }
    }
    Ok(())
}
