//! Somebody gives money back: for goods that the shop took back or left with the customer, or as a courtesy.
//!
//! Never more than was paid less what is promised already, and goods that are paid for once are not paid for again,
//! also when the supplier says later that they came back. The order stays where it is: an order that is not wanted any
//! more is cancelled ([`super::cancel_order`]), goods are sent back through the supplier ([`super::request_return`]).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::change::{Change, ChangeError};
use super::state::OrderState;
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF, bought, unknown_order};
use crate::payments::{NewRefund, REFUNDS_MAX, RefundOrigin, paid_units, reserve_refund};
use crate::shop::Shop;

/// WeChat gives nothing back later than this after the payment (facts: wechat-pay.md 8).
const REFUND_WITHIN: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Gives back the price of goods, or an amount: one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundOrder {
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{6,32}$"))]
    pub order_no: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub lines: Vec<ReturnedLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000_000_i64))]
    pub amount_fen: Option<i64>,
    /// The customer reads it.
    #[schemars(length(min = 1, max = 80))]
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnedLine {
    #[schemars(length(min = 1, max = 64))]
    pub product_code: String,
    #[schemars(range(min = 1, max = 100_000))]
    pub units: i64,
}

/// What is to be given back, or why nothing is.
enum Judged {
    Due { amount_fen: i64, units: Vec<(String, i64)> },
    Refused(String),
}

impl Job for RefundOrder {
    const KIND: &'static str = "refund_order";
    const QUEUE: &'static str = "orders";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let begun = Change::begin(shop, job, &self.order_no).await;
        let mut change = begun.map_err(|error| unknown_order(error, job))?;
        if let Some(refund_no) = asked_before(&mut change, job).await? {
            return Ok(Outcome::result(json!({ "refund_no": refund_no })));
        }
        let refused = match self.judge(&mut change).await? {
            Judged::Refused(why) => why,
            Judged::Due { amount_fen, units } => {
                let new = NewRefund {
                    amount_fen,
                    reason: &self.reason,
                    origin: RefundOrigin::Asked,
                    asked_by: job.id().as_str(),
                    units,
                };
                if let Some(refund_no) = reserve_refund(&mut change, &new).await? {
                    change.commit().await?;
                    return Ok(Outcome::result(json!({ "refund_no": refund_no, "amount_fen": amount_fen })));
                }
                "WeChat makes no more refunds of this payment".to_owned()
            }
        };
        change.event("refund_refused", &refused, json!({ "reason": self.reason })).await?;
        change.commit().await?;
        Ok(Outcome::result(json!({ "refund_no": null, "because": refused })))
    }
}

/// The refund that an earlier attempt of this very job has reserved.
async fn asked_before(change: &mut Change<'_>, job: &JobContext) -> Result<Option<String>, ChangeError> {
    let order_no = change.order_no().to_owned();
    let row: Option<(String,)> =
        sqlx::query_as("SELECT refund_no FROM refunds WHERE order_no = $1 AND asked_by = $2")
            .bind(&order_no)
            .bind(job.id().as_str())
            .fetch_optional(change.tx().conn())
            .await?;
    Ok(row.map(|(refund_no,)| refund_no))
}

impl RefundOrder {
    async fn judge(&self, change: &mut Change<'_>) -> Result<Judged, ChangeError> {
        if let Some(why) = closed_to_refunds(change) {
            return Ok(Judged::Refused(why));
        }
        let judged = match (self.lines.as_slice(), self.amount_fen) {
            ([], Some(amount_fen)) => Judged::Due { amount_fen, units: Vec::new() },
            ([_, ..], None) => self.goods(change).await?,
            _ => Judged::Refused("say either `lines` or `amount_fen`".to_owned()),
        };
        let Judged::Due { amount_fen, .. } = &judged else { return Ok(judged) };
        let left_fen = change.standing.refundable_fen();
        if *amount_fen > left_fen {
            let why = format!("{amount_fen} fen are asked for, and {left_fen} fen can still be given back");
            return Ok(Judged::Refused(why));
        }
        let has_left = change.standing.order.state >= OrderState::Shipped;
        if *amount_fen == left_fen && !has_left {
            let why = "all of it is asked for before it was shipped: cancel the order (cancel_order)";
            return Ok(Judged::Refused(why.to_owned()));
        }
        Ok(judged)
    }

    /// The price of the goods, which must be bought, delivered or on their way, and not paid back yet.
    async fn goods(&self, change: &mut Change<'_>) -> Result<Judged, ChangeError> {
        if change.state() < OrderState::Shipped {
            let why =
                "goods that were not shipped cannot come back: give back an amount, or cancel the order";
            return Ok(Judged::Refused(why.to_owned()));
        }
        let bought = bought(&change.lines().await?);
        let paid = paid_units(change).await?;
        let (mut amount_fen, mut units): (i64, Vec<(String, i64)>) = (0, Vec::new());
        for line in &self.lines {
            let code = line.product_code.as_str();
            if units.iter().any(|(known, _)| known == code) {
                return Ok(Judged::Refused(format!("{code} is there twice")));
            }
            let quantity = bought.products().find(|(known, _)| *known == code).map_or(0, |(_, units)| units);
            let before = paid.get(code).copied().unwrap_or(0);
            if line.units < 1 || line.units > quantity - before {
                let left = (quantity - before).max(0);
                return Ok(Judged::Refused(format!("{left} units of {code} can still be paid back")));
            }
            let worth = bought.worth_fen(code, before + line.units) - bought.worth_fen(code, before);
            amount_fen = amount_fen.saturating_add(worth);
            units.push((code.to_owned(), line.units));
        }
        if amount_fen < 1 {
            return Ok(Judged::Refused("these goods cost nothing".to_owned()));
        }
        Ok(Judged::Due { amount_fen, units })
    }
}

fn closed_to_refunds(change: &Change<'_>) -> Option<String> {
    let (order, payment) = (&change.standing.order, &change.standing.payment);
    if order.state.wants_no_money() {
        return Some(format!("the order is {}: its money goes back by itself", order.state));
    }
    if order.state == OrderState::Pending || payment.paid_fen == 0 {
        return Some("it is not paid".to_owned());
    }
    let paid_at = Timestamp::from_micros(payment.paid_at.unwrap_or(order.recorded_at));
    if change.now().since(paid_at) > REFUND_WITHIN {
        return Some("it was paid more than a year ago: WeChat gives nothing back".to_owned());
    }
    let made = i64::try_from(change.standing.refunds.len()).unwrap_or(i64::MAX);
    (made >= REFUNDS_MAX).then(|| format!("WeChat makes no more than {REFUNDS_MAX} refunds of one payment"))
}
