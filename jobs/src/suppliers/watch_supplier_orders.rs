//! Answers that YLH owes us: nobody can ask for them, so somebody must be told.
//!
//! YLH has no order query (facts: ylh.md 4). What is merely unsent or in doubt `sweep_orders` sets going again; when it
//! stays so, a person is told here.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome};

use super::book::Overdue;
use crate::findings::{FindingType, NewFinding};
use crate::shop::Shop;
use crate::stored::stored_row;

/// Orders that one run tells of.
const ALERTS_MAX: i64 = 500;

/// Finds supplier orders whose receipt, confirmation or cancel answer is overdue, and says so once.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchSupplierOrders {}

impl Job for WatchSupplierOrders {
    const KIND: &'static str = "watch_supplier_orders";
    const QUEUE: &'static str = "ylh";
    const ATTEMPTS_MAX: u32 = 3;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let creates = overdue(
            shop,
            "SELECT order_no, so_id, cancels FROM supplier_orders WHERE state = 'sending' AND sent_at < $1 \
             AND alerted_at IS NULL ORDER BY sent_at, order_no LIMIT $2",
            shop.settings.confirm_overdue_s,
        )
        .await?;
        let confirms = overdue(
            shop,
            "SELECT order_no, so_id, cancels FROM supplier_orders WHERE state IN ('accepted', 'out_of_stock') \
             AND cancel IN ('', 'failed') AND confirmed_at IS NULL AND touched_at < $1 AND alerted_at IS NULL \
             ORDER BY touched_at, order_no LIMIT $2",
            shop.settings.confirm_overdue_s,
        )
        .await?;
        let cancels = overdue(
            shop,
            "SELECT order_no, so_id, cancels FROM supplier_orders WHERE cancel = 'asked' \
             AND cancel_asked_at < $1 AND alerted_at IS NULL ORDER BY cancel_asked_at, order_no LIMIT $2",
            shop.settings.cancel_overdue_s,
        )
        .await?;
        let none_of_create =
            "nobody knows whether YLH has the order: ask YLH, then settle the effect ylh.create";
        alert(shop, job, &creates, "create_overdue", none_of_create, |_| Overdue::Create).await?;
        let none_of_confirm = "YLH has not confirmed or refused the order: ask YLH";
        alert(shop, job, &confirms, "confirm_overdue", none_of_confirm, |_| Overdue::Confirm).await?;
        let none_of_cancel = "YLH has not said what came of the cancel: ask YLH";
        alert(shop, job, &cancels, "cancel_overdue", none_of_cancel, |late| Overdue::Cancel(late.cancels))
            .await?;
        Ok(Outcome::result(
            json!({ "creates": creates.len(), "confirms": confirms.len(), "cancels": cancels.len() }),
        ))
    }
}

/// A supplier order whose answer is overdue.
struct Late {
    order_no: String,
    so_id: String,
    cancels: i64,
}

stored_row!(Late { order_no, so_id, cancels });

async fn overdue(shop: &Shop, sql: &'static str, after_s: u64) -> Result<Vec<Late>, JobError> {
    let before = shop.clock.now() - Duration::from_secs(after_s);
    Ok(sqlx::query_as(sql).bind(before.micros()).bind(ALERTS_MAX).fetch_all(shop.ledger.reads()).await?)
}

async fn alert(
    shop: &Shop,
    job: &JobContext,
    orders: &[Late],
    kind: &'static str,
    text: &str,
    answer: impl Fn(&Late) -> Overdue,
) -> Result<(), JobError> {
    for late in orders {
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        let marked = sqlx::query(
            "UPDATE supplier_orders SET alerted_at = $1 WHERE order_no = $2 AND alerted_at IS NULL",
        )
        .bind(shop.clock.now().micros())
        .bind(&late.order_no)
        .execute(tx.conn())
        .await?;
        if marked.rows_affected() == 1 {
            tx.event(&late.order_no, kind, text, &serde_json::Value::Null).await?;
            tx.raise(&NewFinding {
                kind: FindingType::SupplierOverdue,
                key: &answer(late).key(&late.so_id),
                order_no: Some(&late.order_no),
                amount_fen: None,
                text,
                evidence: json!({ "so_id": late.so_id }),
            })
            .await?;
            tx.commit().await?;
            metrics::counter!("windlass_supplier_answers_overdue_total", "answer" => kind).increment(1);
        }
    }
    Ok(())
}
