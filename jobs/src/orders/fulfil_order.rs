//! The first step of the way: the order is recorded, once, and its payment is looked for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::trace::{self, TraceContext};
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, JobId, NewJob, Outcome};

use super::order::Order;
use super::standing;
use crate::ledger::{LedgerError, MoneyLine, Tx};
use crate::payments::QueryPayment;
use crate::shop::Shop;

/// Rows of one INSERT of lines (design: sql.md, bulk load).
const LINES_AT_ONCE: usize = 50;

/// Records the order and begins its way: payment, supply, supplier, parcels, completion.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FulfilOrder {
    pub order: Order,
}

impl Job for FulfilOrder {
    const KIND: &'static str = "fulfil_order";
    const QUEUE: &'static str = "orders";
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        self.order.check().map_err(JobError::fail)?;
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        if record(shop, &mut tx, &self.order).await? {
            record_lines(&mut tx, &self.order).await?;
            record_payment(shop, &mut tx, &self.order).await?;
            tx.event(
                &self.order.no,
                "pending",
                "the order was recorded",
                &json!({ "total_fen": self.order.total_fen }),
            )
            .await?;
            look_for_payment(shop, &mut tx, &self.order.no).await?;
            tx.commit().await?;
            return Ok(Outcome::result(json!({ "order_no": self.order.no, "recorded": true })));
        }
        same_order_again(&mut tx, &self.order).await
    }
}

/// True when it was not there before.
async fn record(shop: &Shop, tx: &mut Tx, order: &Order) -> Result<bool, LedgerError> {
    let now = shop.clock.now();
    let time_to_pay = Duration::from_secs(shop.settings.time_to_pay_s);
    let recorded = sqlx::query(
        "INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, email, province, city, \
         area, town, detail, county_code, total_fen, remark, placed_at, expires_at, recorded_at, state_at, \
         touched_at, version, traceparent) VALUES ($1, 'pending', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, $14, $15, $16, $17, $17, $17, 1, $18) ON CONFLICT (order_no) DO NOTHING",
    )
    .bind(&order.no)
    .bind(order.fingerprint())
    .bind(&order.customer.openid)
    .bind(&order.customer.name)
    .bind(&order.customer.mobile)
    .bind(order.customer.email.as_deref().unwrap_or_default())
    .bind(&order.address.province)
    .bind(&order.address.city)
    .bind(&order.address.area)
    .bind(order.address.town.as_deref().unwrap_or_default())
    .bind(&order.address.detail)
    .bind(&order.address.county_code)
    .bind(order.total_fen)
    .bind(&order.remark)
    .bind(order.placed_at(now).micros())
    .bind(order.expires_at(now, time_to_pay).micros())
    .bind(now.micros())
    .bind(trace::current().filter(|context| context.sampled).map(TraceContext::to_traceparent))
    .execute(tx.conn())
    .await?;
    Ok(recorded.rows_affected() == 1)
}

async fn record_lines(tx: &mut Tx, order: &Order) -> Result<(), LedgerError> {
    for (chunk, lines) in order.lines.chunks(LINES_AT_ONCE).enumerate() {
        let rows: Vec<String> = (0..lines.len())
            .map(|n| {
                let p = 2 + n * 6;
                format!("($1, ${}, ${}, ${}, ${}, ${}, ${})", p, p + 1, p + 2, p + 3, p + 4, p + 5)
            })
            .collect();
        let sql = format!(
            "INSERT INTO order_lines (order_no, line_no, product_code, name, quantity, unit_price_fen, \
             discount_fen) VALUES {}",
            rows.join(", ")
        );
        // Only numbered parameters are put together here.
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&order.no);
        if lines.len() < LINES_AT_ONCE {
            insert = insert.persistent(false);
        }
        for (n, line) in lines.iter().enumerate() {
            let line_no = i64::try_from(chunk * LINES_AT_ONCE + n + 1).unwrap_or(i64::MAX);
            insert = insert
                .bind(line_no)
                .bind(&line.product_code)
                .bind(&line.name)
                .bind(line.quantity)
                .bind(line.unit_price_fen)
                .bind(line.discount_fen);
        }
        insert.execute(tx.conn()).await?;
    }
    Ok(())
}

async fn record_payment(shop: &Shop, tx: &mut Tx, order: &Order) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO payments (out_trade_no, order_no, state, amount_fen, touched_at) \
         VALUES ($1, $1, 'paying', $2, $3)",
    )
    .bind(&order.no)
    .bind(order.total_fen)
    .bind(shop.clock.now().micros())
    .execute(tx.conn())
    .await?;
    tx.money(MoneyLine::new("payment.expected", &order.no).amount(order.total_fen));
    Ok(())
}

async fn look_for_payment(shop: &Shop, tx: &mut Tx, order_no: &str) -> Result<(), LedgerError> {
    let step = QueryPayment { order_no: order_no.to_owned() };
    let mut query = NewJob::of(&step, &shop.clock)
        .id(JobId::derived(&[QueryPayment::KIND, order_no]))
        .tag(format!("order:{order_no}"));
    if let Some(first) = shop.settings.next_payment_poll(Duration::ZERO) {
        query = query.run_at(shop.clock.now() + first);
    }
    tx.enqueue(&query).await?;
    Ok(())
}

/// A repeat of the same order changes nothing; another order under its number is a failure that says so.
async fn same_order_again(tx: &mut Tx, order: &Order) -> Result<Outcome, JobError> {
    let known = standing::order(tx.conn(), &order.no).await?;
    match known {
        Some(known) if known.fingerprint == order.fingerprint() => {
            Ok(Outcome::result(json!({ "order_no": order.no, "recorded": false })))
        }
        Some(_) => {
            Err(JobError::fail(anyhow::anyhow!("another order is recorded under the number {}", order.no)))
        }
        None => Err(JobError::retry(anyhow::anyhow!("order {} came and went", order.no))),
    }
}
