//! Sends a refund that the ledger has reserved: the same number and the same parameters at every try.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::refund::RefundState;
use super::refund_book::{RefundNews, record_refund};
use super::wechat_pay::{PaymentRef, Refund, RefundRequest, RefundStatus};
use crate::effect::{Asked, Effect, EffectKind, Ended, perform};
use crate::money::Fen;
use crate::orders::{Change, ChangeError, RefundRow, STEP_ATTEMPTS_MAX, STEP_BACKOFF, Standing, refund_row};
use crate::outside::{Fault, OutsideError};
use crate::shop::Shop;

/// The shop's balance is short: the same number may do when it is filled (facts: wechat-pay.md 9).
const NOT_ENOUGH_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// Sends the money of one reserved refund back.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRefund {
    #[schemars(length(min = 1, max = 64))]
    pub refund_no: String,
}

/// What is kept of WeChat's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RefundAnswer {
    refund_id: String,
    status: String,
}

impl Job for RequestRefund {
    const KIND: &'static str = "request_refund";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.refund_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let refund = refund_row(&mut conn, &self.refund_no).await?;
        let Some(refund) = refund.filter(|refund| refund.state == RefundState::Requested) else {
            return Ok(Outcome::result(json!({ "skipped": "the refund is not waiting to be sent" })));
        };
        let standing = Standing::read(&mut conn, &refund.order_no).await?;
        drop(conn);
        let Some(standing) = standing else {
            return Err(JobError::fail(anyhow::anyhow!("the refund {} has no order", self.refund_no)));
        };
        wait_for_turn(shop, &standing, &refund)?;
        let request = request(&standing, &refund);

        let ended = perform(
            &shop.ledger,
            effect(&refund.refund_no, &refund.order_no),
            || async { Ok(ask(shop, &refund.refund_no).await?.map_or(Asked::NeverHeard, Asked::Happened)) },
            || tell(shop, &request),
        )
        .await?;

        let mut change = Change::begin(shop, job, &refund.order_no).await?;
        record_refund(&mut change, &refund.refund_no, &news(ended)?).await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}

/// One refund of an order at a time, and a minute between two (facts: wechat-pay.md 8). Waiting uses up no attempt.
fn wait_for_turn(shop: &Shop, standing: &Standing, refund: &RefundRow) -> Result<(), JobError> {
    let left = Timestamp::from_micros(refund.send_at).since(shop.clock.now());
    if !left.is_zero() {
        return Err(JobError::snooze(left, "refunds of one order keep a distance"));
    }
    let is_before = |other: &RefundRow| other.seq < refund.seq && other.state == RefundState::Requested;
    if standing.refunds.iter().any(is_before) {
        let gap = Duration::from_secs(shop.settings.refund_gap_s.max(1));
        return Err(JobError::snooze(gap, "an earlier refund of the order is not sent yet"));
    }
    Ok(())
}

fn effect<'a>(refund_no: &'a str, order_no: &'a str) -> Effect<'a> {
    Effect { kind: EffectKind::WechatRefund, of: refund_no, about: order_no }
}

/// WeChat speaks of the refund: it has it, whatever became of our own call.
pub(crate) async fn is_there(
    change: &mut Change<'_>,
    refund_no: &str,
    news: &RefundNews,
) -> Result<(), ChangeError> {
    let status = match news.state {
        RefundState::Succeeded => "SUCCESS",
        RefundState::Closed => "CLOSED",
        RefundState::Abnormal => "ABNORMAL",
        RefundState::Accepted => "PROCESSING",
        RefundState::Requested | RefundState::Refused => return Ok(()),
    };
    let answer = RefundAnswer { refund_id: news.refund_id.clone(), status: status.to_owned() };
    let order_no = change.order_no().to_owned();
    change.tx().effect_happened(effect(refund_no, &order_no), &answer, "WeChat knows the refund").await?;
    Ok(())
}

fn request(standing: &Standing, refund: &RefundRow) -> RefundRequest {
    RefundRequest {
        payment: match &standing.payment.transaction_id {
            Some(id) => PaymentRef::TransactionId(id.clone()),
            None => PaymentRef::OutTradeNo(standing.payment.out_trade_no.clone()),
        },
        out_refund_no: refund.refund_no.clone(),
        reason: Some(refund.reason.clone()).filter(|reason| !reason.is_empty()),
        notify_url: None,
        refund: Fen(refund.amount_fen),
        total: Fen(standing.payment.paid_fen),
    }
}

async fn ask(shop: &Shop, refund_no: &str) -> Result<Option<RefundAnswer>, OutsideError> {
    Ok(shop.wechat_pay.query_refund(refund_no).await?.map(RefundAnswer::from))
}

async fn tell(shop: &Shop, request: &RefundRequest) -> Result<RefundAnswer, OutsideError> {
    match shop.wechat_pay.refund(request).await {
        Ok(refund) => Ok(refund.into()),
        Err(mut error) => match &error.fault {
            Fault::Refused { code } if code == "NOT_ENOUGH" => {
                metrics::counter!("windlass_refunds_not_enough_total").increment(1);
                error.fault = Fault::Throttled { retry_after: Some(NOT_ENOUGH_RETRY_AFTER) };
                Err(error)
            }
            // "Already refunded" comes as a refusal too: what WeChat has under our number decides.
            Fault::Refused { .. } => match ask(shop, &request.out_refund_no).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(error),
                Err(unanswered) => Err(unanswered),
            },
            _ => Err(error),
        },
    }
}

fn news(ended: Ended<RefundAnswer>) -> Result<RefundNews, JobError> {
    match ended {
        Ended::Done(answer) => Ok(answer.news()),
        Ended::Refused { code, reason } => Ok(RefundNews {
            state: RefundState::Refused,
            refund_id: String::new(),
            note: format!("{code}: {reason}"),
        }),
        Ended::InDoubt { .. } => {
            Err(JobError::retry(anyhow::anyhow!("whether WeChat has the refund is not known")))
        }
    }
}

impl From<Refund> for RefundAnswer {
    fn from(refund: Refund) -> Self {
        let status = match refund.status {
            RefundStatus::Processing => "PROCESSING",
            RefundStatus::Success => "SUCCESS",
            RefundStatus::Closed => "CLOSED",
            RefundStatus::Abnormal => "ABNORMAL",
            RefundStatus::Other(_) => "OTHER",
        };
        Self { refund_id: refund.refund_id, status: status.to_owned() }
    }
}

impl RefundAnswer {
    pub(super) fn news(self) -> RefundNews {
        let state = match self.status.as_str() {
            "SUCCESS" => RefundState::Succeeded,
            "CLOSED" => RefundState::Closed,
            "ABNORMAL" => RefundState::Abnormal,
            // Also for a status that is not known: accepted, and asked for again.
            _ => RefundState::Accepted,
        };
        RefundNews { state, refund_id: self.refund_id, note: String::new() }
    }
}
