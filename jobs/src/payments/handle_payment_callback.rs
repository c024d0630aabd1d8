//! WeChat says that a payment was made (facts: wechat-pay.md 4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::callbacks::{finish, leave_to_person, notice};
use super::take_money::take_money;
use super::trade::money;
use super::wechat_pay::{NoticeContent, Transaction};
use crate::findings::{FindingType, NewFinding};
use crate::orders::{Change, ChangeError, STEP_ATTEMPTS_MAX, STEP_BACKOFF};
use crate::shop::Shop;

/// Acts on a stored notice of a payment.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlePaymentCallback {
    #[schemars(length(min = 1, max = 64))]
    pub callback_id: String,
}

impl Job for HandlePaymentCallback {
    const KIND: &'static str = "handle_payment_callback";
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
        let NoticeContent::Transaction(transaction) = heard.notice.content else {
            return Err(JobError::fail(anyhow::anyhow!(
                "a notice of a refund came to the payments' address"
            )));
        };
        let order_no = &transaction.out_trade_no;
        if !transaction.state.is_paid() {
            return not_paid(shop, job, &self.callback_id, &transaction).await;
        }
        let Some(money) = money(&transaction, "callback") else {
            return Err(JobError::fail(anyhow::anyhow!("the notice does not say which payment or how much")));
        };
        let mut change = match Change::begin(shop, job, order_no).await {
            // The order may be on its way into the ledger still: then another attempt finds it.
            Err(ChangeError::NoOrder(_)) if heard.is_old => {
                let finding = NewFinding {
                    kind: FindingType::Long,
                    key: &money.transaction_id,
                    order_no: Some(order_no),
                    amount_fen: Some(money.amount_fen),
                    text: "money came for an order that nobody handed in: look for its fulfil_order among the dead \
                           jobs and hand it in again, or give the money back",
                    evidence: json!({ "out_trade_no": order_no, "callback": self.callback_id }),
                };
                return leave_to_person(shop, job, &self.callback_id, &finding).await;
            }
            begun => begun?,
        };
        take_money(&mut change, &money).await?;
        finish(change, &self.callback_id).await
    }
}

/// WeChat tells only of payments that were made: one that was not changes nothing (facts: wechat-pay.md 4, 6).
async fn not_paid(
    shop: &Shop,
    job: &JobContext,
    callback_id: &str,
    transaction: &Transaction,
) -> Result<Outcome, JobError> {
    metrics::counter!("windlass_wechat_unknown_states_total").increment(1);
    let finding = NewFinding {
        kind: FindingType::Status,
        key: callback_id,
        order_no: Some(&transaction.out_trade_no),
        amount_fen: None,
        text: "WeChat tells of a payment in a state that is not paid: nothing was changed; look there what it means",
        evidence: json!({ "trade_state": format!("{:?}", transaction.state), "callback": callback_id }),
    };
    leave_to_person(shop, job, callback_id, &finding).await
}
