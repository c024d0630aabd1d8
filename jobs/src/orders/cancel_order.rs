//! Cancelling, from every state: what was not paid is closed at WeChat first, what the supplier has it must let go
//! of, what was paid goes back, and what was shipped cannot be cancelled any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::change::{Change, ChangeError};
use super::close_payment::{close, settle_close};
use super::state::OrderState;
use super::wind_down::{give_up, wind_down};
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF, expire_unpaid_orders::NOT_PAID, unknown_order};
use crate::payments::{PaymentState, Trade, ask_trade, take_money};
use crate::shop::Shop;

/// Cancels an order, as far as it still can be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{6,32}$"))]
    pub order_no: String,
    /// The customer and the supplier read it.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
    /// Leaves the order alone when it turns out to be paid: for orders that expire.
    #[serde(default)]
    pub only_if_unpaid: bool,
}

impl CancelOrder {
    /// The order's time to pay is over.
    pub fn expired(order_no: &str) -> Self {
        Self { order_no: order_no.to_owned(), reason: NOT_PAID.to_owned(), only_if_unpaid: true }
    }
}

impl Job for CancelOrder {
    const KIND: &'static str = "cancel_order";
    const QUEUE: &'static str = "orders";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    /// A person's cancel is never swallowed by one before it that just ended; two at once are harmless.
    fn unique_key(&self) -> Option<String> {
        self.only_if_unpaid.then(|| self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let begun = Change::begin(shop, job, &self.order_no).await;
        let mut change = begun.map_err(|error| unknown_order(error, job))?;
        match change.state() {
            // It has money, and a person decides about that: what is cancelled gets all of it back then.
            OrderState::Pending if change.standing.payment.state == PaymentState::Disputed => {
                if self.only_if_unpaid {
                    return Ok(Outcome::result(
                        json!({ "cancelled": false, "because": "its payment is in dispute" }),
                    ));
                }
                give_up(&mut change, OrderState::Cancelling, &self.reason).await?;
                finish(change).await
            }
            OrderState::Pending => {
                drop(change);
                self.cancel_unpaid(shop, job).await
            }
            OrderState::Cancelling if change.standing.payment.state == PaymentState::Paying => {
                drop(change);
                close_payment(shop, job, &self.order_no).await
            }
            OrderState::Cancelling | OrderState::Refusing => {
                wind_down(&mut change).await?;
                finish(change).await
            }
            OrderState::Paid | OrderState::Checked | OrderState::Placed | OrderState::Confirmed => {
                if self.only_if_unpaid {
                    return Ok(Outcome::result(json!({ "cancelled": false, "because": "it was paid" })));
                }
                give_up(&mut change, OrderState::Cancelling, &self.reason).await?;
                finish(change).await
            }
            OrderState::Shipped | OrderState::Delivered | OrderState::Completed => {
                let state = change.state();
                let why =
                    format!("cannot be cancelled any more: it is {state}; ask for a return (request_return)");
                change.event("cancel_refused", &why, json!({ "reason": self.reason })).await?;
                change.commit().await?;
                Ok(Outcome::result(json!({ "cancelled": false, "because": why })))
            }
            state @ (OrderState::Refused | OrderState::Cancelled) => Ok(Outcome::result(
                json!({ "cancelled": state == OrderState::Cancelled, "state": state.as_str() }),
            )),
        }
    }
}

impl CancelOrder {
    /// Money that came in already is found first: then the order counts as paid (facts: wechat-pay.md 6).
    async fn cancel_unpaid(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let trade = ask_trade(shop, &self.order_no).await?;
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        if change.state() != OrderState::Pending {
            return Err(JobError::retry(anyhow::anyhow!("the order moved meanwhile")));
        }
        if let Trade::Paid(money) = trade {
            take_money(&mut change, &money).await?;
            if !self.only_if_unpaid && change.state() == OrderState::Paid {
                give_up(&mut change, OrderState::Cancelling, &self.reason).await?;
            }
            return finish(change).await;
        }
        change.move_to(OrderState::Cancelling, &self.reason).await?;
        change.commit().await?;
        close_payment(shop, job, &self.order_no).await
    }
}

/// Closes the payment of an order that is being cancelled, and winds it on by what became of that.
async fn close_payment(shop: &Shop, job: &JobContext, order_no: &str) -> Result<Outcome, JobError> {
    let trade = match ask_trade(shop, order_no).await? {
        Trade::Open => close(shop, order_no).await?,
        over => over,
    };
    let mut change = Change::begin(shop, job, order_no).await?;
    match &trade {
        Trade::Paid(money) => take_money(&mut change, money).await?,
        Trade::Closed | Trade::Unknown if change.standing.payment.state == PaymentState::Paying => {
            settle_close(&mut change, &trade).await?;
            mark_closed(&mut change).await?;
            wind_down(&mut change).await?;
        }
        _ => {}
    }
    finish(change).await
}

async fn mark_closed(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "UPDATE payments SET state = 'closed', touched_at = $1 WHERE order_no = $2 AND state = 'paying'",
    )
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    change.event("payment", "closed", Value::Null).await
}

async fn finish(change: Change<'_>) -> Result<Outcome, JobError> {
    let state = change.state();
    change.commit().await?;
    Ok(Outcome::result(json!({ "state": state.as_str() })))
}
