//! WeChat says what became of a refund (facts: wechat-pay.md 4, 8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::callbacks::{finish, leave_to_person, notice};
use super::refund::RefundState;
use super::refund_book::{RefundNews, record_refund};
use super::wechat_pay::{NoticeContent, RefundNotice, RefundStatus};
use crate::findings::{FindingType, NewFinding};
use crate::money::Fen;
use crate::orders::{Case, Change, ChangeError, STEP_ATTEMPTS_MAX, STEP_BACKOFF};
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
        let heard = notice(shop, &self.callback_id).await?;
        if heard.handled_at.is_some() {
            return Ok(Outcome::result(json!({ "skipped": "handled before" })));
        }
        let NoticeContent::Refund(refund) = heard.notice.content else {
            return Err(JobError::fail(anyhow::anyhow!(
                "a notice of a payment came to the refunds' address"
            )));
        };
        let mut change = match Change::begin(shop, job, &refund.out_trade_no).await {
            // The order may be on its way into the ledger still: then another attempt finds it.
            Err(ChangeError::NoOrder(_)) if heard.is_old => {
                let finding = NewFinding {
                    kind: FindingType::ExtraRefund,
                    key: &refund.out_refund_no,
                    order_no: Some(&refund.out_trade_no),
                    amount_fen: refund.refund.map(Fen::get),
                    text: "money went back for an order that nobody handed in: find out who made the refund",
                    evidence: json!({ "out_refund_no": refund.out_refund_no, "callback": self.callback_id }),
                };
                return leave_to_person(shop, job, &self.callback_id, &finding).await;
            }
            begun => begun?,
        };
        check_amount(&mut change, &refund).await?;
        let news =
            RefundNews { state: state(&refund.status), refund_id: refund.refund_id, note: String::new() };
        record_refund(&mut change, &refund.out_refund_no, &news).await?;
        finish(change, &self.callback_id).await
    }
}

fn state(status: &RefundStatus) -> RefundState {
    match status {
        RefundStatus::Success => RefundState::Succeeded,
        RefundStatus::Closed => RefundState::Closed,
        RefundStatus::Abnormal => RefundState::Abnormal,
        RefundStatus::Processing | RefundStatus::Other(_) => RefundState::Accepted,
    }
}

/// Another amount than ours: what WeChat says of the refund is recorded, and somebody looks.
async fn check_amount(change: &mut Change<'_>, refund: &RefundNotice) -> Result<(), ChangeError> {
    let ours = change.standing.refunds.iter().find(|known| known.refund_no == refund.out_refund_no);
    let (Some(ours), Some(theirs)) = (ours, refund.refund) else { return Ok(()) };
    if ours.amount_fen == theirs.get() {
        return Ok(());
    }
    let data =
        json!({ "refund_no": refund.out_refund_no, "ours_fen": ours.amount_fen, "theirs_fen": theirs.get() });
    let why = "WeChat paid back another amount than was asked for: look at the refund there";
    let case = Case::new(FindingType::Amount, &refund.out_refund_no, why).amount(theirs.get()).data(data);
    change.needs_person(case).await.map(drop)
}
