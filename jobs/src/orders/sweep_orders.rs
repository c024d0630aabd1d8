//! The net under the way: whatever wants a next step and was not touched for long gets its job again.
//!
//! Jobs are not lost (their rows stay in the outbox until they are over), but one may have died at its last attempt.
//! A unique key keeps a second job away while the first still lives. Each look takes what stands still in the order
//! of its keys: two sweeps at once wait for each other in line.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob, Outcome, Timestamp};

use super::cancel_order::CancelOrder;
use super::check_supply::CheckSupply;
use super::complete_order::CompleteOrder;
use super::standing::Standing;
use super::state::OrderState;
use super::sweep_effects::sweep_effects;
use super::unwind::{NextStep, next_step};
use super::upload_shipping::UploadShipping;
use crate::callback::callbacks_waiting;
use crate::ledger::{LedgerError, Tx};
use crate::notifications::{Channel, SendNotification, Template};
use crate::payments::{
    self, PaymentState, QueryPayment, QueryRefund, RefundState, RequestRefund, WechatCallback,
};
use crate::shop::Shop;
use crate::suppliers::{self, CancelState, CancelSupplierOrder, PlaceSupplierOrder, SupplierState};

/// Looks for orders, refunds, uploads, messages, callbacks and effects that stand still.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepOrders {}

impl Job for SweepOrders {
    const KIND: &'static str = "sweep_orders";
    const QUEUE: &'static str = "orders";
    const ATTEMPTS_MAX: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let sweep = Sweep::new(shop, job);
        let orders = sweep.orders().await?;
        let returns = sweep.returns().await?;
        let refunds = sweep.refunds().await?;
        let uploads = sweep.uploads().await?;
        let notifications = sweep.notifications().await?;
        let callbacks = sweep.callbacks().await?;
        let effects = sweep_effects(shop, job).await?;
        Ok(Outcome::result(json!({
            "orders": orders, "returns": returns, "refunds": refunds, "uploads": uploads, "notifications": notifications,
            "callbacks": callbacks, "effects": effects,
        })))
    }
}

struct Sweep<'a> {
    shop: &'a Shop,
    job: &'a JobContext,
    now: Timestamp,
    before: Timestamp,
    rows_max: i64,
}

impl<'a> Sweep<'a> {
    fn new(shop: &'a Shop, job: &'a JobContext) -> Self {
        let now = shop.clock.now();
        let before = now - Duration::from_secs(shop.settings.sweep_after_s);
        let rows_max = i64::try_from(shop.settings.sweep_rows_max).unwrap_or(i64::MAX);
        Self { shop, job, now, before, rows_max }
    }

    async fn begin(&self) -> Result<Tx, LedgerError> {
        let mut tx = self.shop.ledger.begin().await?;
        tx.on_behalf_of(self.job.id());
        Ok(tx)
    }

    /// The id says what stood still and when it was noticed: noticing it twice in one period is once.
    async fn again<J: Job>(&self, tx: &mut Tx, step: &J, what: &[&str]) -> Result<(), LedgerError> {
        self.again_as(tx, NewJob::of(step, &self.shop.clock), what).await
    }

    async fn again_as(&self, tx: &mut Tx, job: NewJob, what: &[&str]) -> Result<(), LedgerError> {
        let id = self.id(&[&[job.envelope.kind.as_str()], what].concat());
        tx.enqueue(&job.id(id)).await?;
        Ok(())
    }

    fn id(&self, what: &[&str]) -> JobId {
        let period =
            self.now.secs() / i64::try_from(self.shop.settings.sweep_after_s.max(1)).unwrap_or(i64::MAX);
        JobId::derived(&[what, &["again", &period.to_string()]].concat())
    }

    async fn orders(&self) -> Result<usize, LedgerError> {
        let mut still: Vec<(String,)> = sqlx::query_as(
            "SELECT order_no FROM orders \
             WHERE state IN ('pending', 'paid', 'checked', 'delivered', 'cancelling', 'refusing') \
             AND touched_at < $1 ORDER BY touched_at, order_no LIMIT $2",
        )
        .bind(self.before.micros())
        .bind(self.rows_max)
        .fetch_all(self.shop.ledger.reads())
        .await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (order_no,) in &still {
            let touched =
                sqlx::query("UPDATE orders SET touched_at = $1 WHERE order_no = $2 AND touched_at < $3")
                    .bind(self.now.micros())
                    .bind(order_no)
                    .bind(self.before.micros())
                    .execute(tx.conn())
                    .await?;
            if touched.rows_affected() == 1
                && let Some(standing) = Standing::read(tx.conn(), order_no).await?
            {
                self.order(&mut tx, &standing).await?;
            }
        }
        tx.commit().await?;
        Ok(still.len())
    }

    async fn order(&self, tx: &mut Tx, standing: &Standing) -> Result<(), LedgerError> {
        let version = format!("v{}", standing.order.version);
        let what = [standing.order.order_no.as_str(), version.as_str()];
        let order_no = standing.order.order_no.clone();
        match wanted(standing, self.now, &self.shop.settings) {
            Some(Step::CheckSupply) => self.again(tx, &CheckSupply { order_no }, &what).await,
            Some(Step::Place) => self.again(tx, &PlaceSupplierOrder { order_no }, &what).await,
            Some(Step::CancelAtSupplier) => self.again(tx, &CancelSupplierOrder { order_no }, &what).await,
            Some(Step::Complete) => self.again(tx, &CompleteOrder { order_no, received: false }, &what).await,
            Some(Step::QueryPayment) => self.again(tx, &QueryPayment { order_no }, &what).await,
            Some(Step::Expire) => self.again(tx, &CancelOrder::expired(&order_no), &what).await,
            Some(Step::WindDown) => {
                let reason = standing.order.reason.clone();
                let reason = if reason.is_empty() { "取消".to_owned() } else { cut(&reason) };
                let step = CancelOrder { order_no, reason, only_if_unpaid: false };
                self.again(tx, &step, &what).await
            }
            None => Ok(()),
        }
    }

    /// Cancels that are wanted of orders that do not wind down: returns, and orders that are over here.
    async fn returns(&self) -> Result<usize, LedgerError> {
        let mut still: Vec<(String,)> = sqlx::query_as(
            "SELECT s.order_no FROM supplier_orders AS s JOIN orders AS o ON o.order_no = s.order_no \
             WHERE s.cancel = 'wanted' AND s.touched_at < $1 AND o.state NOT IN ('cancelling', 'refusing') \
             ORDER BY s.touched_at, s.order_no LIMIT $2",
        )
        .bind(self.before.micros())
        .bind(self.rows_max)
        .fetch_all(self.shop.ledger.reads())
        .await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (order_no,) in &still {
            sqlx::query(
                "UPDATE supplier_orders SET touched_at = $1 WHERE order_no = $2 AND cancel = 'wanted'",
            )
            .bind(self.now.micros())
            .bind(order_no)
            .execute(tx.conn())
            .await?;
            let step = CancelSupplierOrder { order_no: order_no.clone() };
            self.again(&mut tx, &step, &["return", order_no]).await?;
        }
        tx.commit().await?;
        Ok(still.len())
    }

    async fn refunds(&self) -> Result<usize, LedgerError> {
        let abnormal_before = self.now - Duration::from_secs(self.shop.settings.abnormal_refund_every_s);
        let mut still: Vec<(String, String)> = sqlx::query_as(
            "SELECT refund_no, state FROM refunds WHERE (state IN ('requested', 'accepted') AND touched_at < $1) \
             OR (state = 'abnormal' AND replaced_by = '' AND touched_at < $3) \
             ORDER BY touched_at, refund_no LIMIT $2",
        )
        .bind(self.before.micros())
        .bind(self.rows_max)
        .bind(abnormal_before.micros())
        .fetch_all(self.shop.ledger.reads())
        .await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (refund_no, state) in &still {
            sqlx::query("UPDATE refunds SET touched_at = $1 WHERE refund_no = $2")
                .bind(self.now.micros())
                .bind(refund_no)
                .execute(tx.conn())
                .await?;
            let what = [refund_no.as_str()];
            let refund_no = refund_no.clone();
            if state == RefundState::Requested.as_str() {
                self.again(&mut tx, &RequestRefund { refund_no }, &what).await?;
            } else {
                self.again(&mut tx, &QueryRefund { refund_no }, &what).await?;
            }
        }
        tx.commit().await?;
        Ok(still.len())
    }

    async fn uploads(&self) -> Result<usize, LedgerError> {
        let mut still: Vec<(String,)> = sqlx::query_as(
            "SELECT order_no FROM shipping_uploads WHERE state = 'wanted' AND touched_at < $1 \
             ORDER BY touched_at, order_no LIMIT $2",
        )
        .bind(self.before.micros())
        .bind(self.rows_max)
        .fetch_all(self.shop.ledger.reads())
        .await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (order_no,) in &still {
            sqlx::query("UPDATE shipping_uploads SET touched_at = $1 WHERE order_no = $2")
                .bind(self.now.micros())
                .bind(order_no)
                .execute(tx.conn())
                .await?;
            self.again(&mut tx, &UploadShipping { order_no: order_no.clone() }, &[order_no]).await?;
        }
        tx.commit().await?;
        Ok(still.len())
    }

    async fn notifications(&self) -> Result<usize, LedgerError> {
        let mut still: Vec<(String, String, String, String, String)> = sqlx::query_as(
            "SELECT order_no, template, event, channel, recipient FROM notifications WHERE state = 'queued' \
             AND touched_at < $1 ORDER BY touched_at, order_no LIMIT $2",
        )
        .bind(self.before.micros())
        .bind(self.rows_max)
        .fetch_all(self.shop.ledger.reads())
        .await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (order_no, template, event, channel, recipient) in &still {
            sqlx::query(
                "UPDATE notifications SET touched_at = $1 WHERE order_no = $2 AND template = $3 AND event = $4 \
                 AND channel = $5 AND recipient = $6",
            )
            .bind(self.now.micros())
            .bind(order_no)
            .bind(template)
            .bind(event)
            .bind(channel)
            .bind(recipient)
            .execute(tx.conn())
            .await?;
            if let (Some(template), Some(channel)) = (Template::parse(template), Channel::parse(channel)) {
                let (order_no, event, recipient) = (order_no.clone(), event.clone(), recipient.clone());
                let step = SendNotification { order_no, template, event, channel, recipient };
                let key = step.dedup_key();
                self.again_as(&mut tx, step.job(&self.shop.clock), &[&key]).await?;
            }
        }
        tx.commit().await?;
        Ok(still.len())
    }

    async fn callbacks(&self) -> Result<usize, LedgerError> {
        let rows_max = u32::try_from(self.rows_max).unwrap_or(u32::MAX);
        let mut still = callbacks_waiting(&self.shop.ledger, self.before, rows_max).await?;
        still.sort_unstable();
        let mut tx = self.begin().await?;
        for (id, source) in &still {
            let job = if source == suppliers::YLH_CALLBACK_SOURCE {
                suppliers::job_for(self.shop, id)
            } else if source == WechatCallback::Payment.source() {
                payments::job_for(self.shop, WechatCallback::Payment, id)
            } else if source == WechatCallback::Refund.source() {
                payments::job_for(self.shop, WechatCallback::Refund, id)
            } else {
                continue;
            };
            let again = self.id(&[job.id.as_str()]);
            tx.enqueue(&job.id(again)).await?;
        }
        tx.commit().await?;
        Ok(still.len())
    }
}

/// The job that an order stands still for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Expire,
    QueryPayment,
    CheckSupply,
    Place,
    Complete,
    CancelAtSupplier,
    WindDown,
}

/// None: it waits for something that is not a job of its own (a callback, a refund, a person, its time).
fn wanted(standing: &Standing, now: Timestamp, settings: &crate::Settings) -> Option<Step> {
    let order = &standing.order;
    match order.state {
        // A disputed payment waits for a person.
        OrderState::Pending => {
            let unpaid = standing.payment.state == PaymentState::Paying;
            let step = if order.expires_at <= now.micros() { Step::Expire } else { Step::QueryPayment };
            unpaid.then_some(step)
        }
        OrderState::Paid => Some(Step::CheckSupply),
        OrderState::Checked => Some(Step::Place),
        OrderState::Delivered => {
            let due = Timestamp::from_micros(order.state_at) + Duration::from_secs(settings.complete_after_s);
            (due <= now).then_some(Step::Complete)
        }
        OrderState::Cancelling | OrderState::Refusing => winding(standing),
        _ => None,
    }
}

fn winding(standing: &Standing) -> Option<Step> {
    match standing.supplier.as_ref().map(|supplier| (supplier.state, supplier.cancel)) {
        Some((SupplierState::Sending, _)) => return Some(Step::Place),
        Some((state, CancelState::Wanted)) if state.is_live() => return Some(Step::CancelAtSupplier),
        _ => {}
    }
    let refunds = standing.refund_amounts();
    match next_step(&standing.unwinding(&refunds)) {
        NextStep::Wait | NextStep::NeedsPerson => None,
        NextStep::ClosePayment
        | NextStep::AskSupplier
        | NextStep::Resume
        | NextStep::Refund { .. }
        | NextStep::End(_) => Some(Step::WindDown),
    }
}

/// As long as a reason of a cancel may be.
fn cut(reason: &str) -> String {
    reason.chars().take(200).collect()
}
