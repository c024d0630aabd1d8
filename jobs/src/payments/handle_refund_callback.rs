//! WeChat says what became of a refund (facts: wechat-pay.md 4, 8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::callbacks::{finish, notice};
use super::refund::RefundState;
use super::refund_book::{RefundNews, record_refund};
use super::wechat_pay::{NoticeContent, RefundStatus};
use crate::orders::{Change, STEP_ATTEMPTS_MAX, STEP_BACKOFF};
use crate::shop::Shop;

/// Acts on a stored notice of a refund.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleRefundCallback {
    #[schemars(length(min = 1, max = 64))]
    pub callback_id: String,
}

impl Job for HandleRefundCallback {
    const KIND: &'static str = "handle_refund_callback";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.callback_id.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let NoticeContent::Refund(refund) = notice(shop, &self.callback_id).await?.content else {
            return Err(JobError::fail(anyhow::anyhow!(
                "a notice of a payment came to the refunds' address"
            )));
        };
        let state = match &refund.status {
            RefundStatus::Success => RefundState::Succeeded,
            RefundStatus::Closed => RefundState::Closed,
            RefundStatus::Abnormal => RefundState::Abnormal,
            RefundStatus::Processing | RefundStatus::Other(_) => RefundState::Accepted,
        };
        let news = RefundNews { state, refund_id: refund.refund_id, note: String::new() };
        // The order may be on its way into the ledger still: then another attempt finds it.
        let mut change = Change::begin(shop, job, &refund.out_trade_no).await?;
        record_refund(&mut change, &refund.out_refund_no, &news).await?;
        finish(change, &self.callback_id).await
    }
}
