//! WeChat says that a payment was made (facts: wechat-pay.md 4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use super::callbacks::{finish, notice};
use super::take_money::take_money;
use super::trade::money;
use super::wechat_pay::NoticeContent;
use crate::orders::{Change, STEP_ATTEMPTS_MAX, STEP_BACKOFF};
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
        let NoticeContent::Transaction(transaction) = notice(shop, &self.callback_id).await?.content else {
            return Err(JobError::fail(anyhow::anyhow!(
                "a notice of a refund came to the payments' address"
            )));
        };
        let Some(money) = money(&transaction, "callback") else {
            return Err(JobError::fail(anyhow::anyhow!("the notice does not say which payment or how much")));
        };
        // The order may be on its way into the ledger still: then another attempt finds it.
        let mut change = Change::begin(shop, job, &transaction.out_trade_no).await?;
        take_money(&mut change, &money).await?;
        finish(change, &self.callback_id).await
    }
}
