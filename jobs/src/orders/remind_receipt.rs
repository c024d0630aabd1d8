//! Reminds the customer of an order that was delivered some days ago and is not complete.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, Outcome};

use super::change::Change;
use super::state::OrderState;
use crate::notifications::{Template, notify};
use crate::shop::Shop;

/// Tells the customer, once, that the order waits for their confirmation.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemindReceipt {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

impl Job for RemindReceipt {
    const KIND: &'static str = "remind_receipt";
    const QUEUE: &'static str = "orders";
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        if change.state() != OrderState::Delivered {
            return Ok(Outcome::result(json!({ "skipped": "the order waits for no receipt" })));
        }
        notify(&mut change, Template::ReceiptReminder, "delivered").await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}
