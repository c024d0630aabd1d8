//! Tells WeChat that the goods arrived, so that it asks the customer to confirm receipt and lets go of the money
//! sooner. Once for each order, after its shipment was uploaded (facts: wechat-mini-program.md 5).
//!
//! Nobody can ask WeChat whether it did, so a lost answer is left as it is: the order completes without it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::change::Change;
use super::standing::{self, Standing};
use super::state::OrderState;
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF};
use crate::effect::{Asked, Effect, EffectKind, Ended, perform};
use crate::mini_program::PaidOrder;
use crate::shop::Shop;

/// Shop's time until the upload is looked at again.
const UPLOAD_WAIT: Duration = Duration::from_secs(5 * 60);

/// Has WeChat ask the customer to confirm receipt.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnounceDelivery {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

/// What is to be told.
struct Arrival {
    order: PaidOrder,
    received_at: Timestamp,
}

impl Job for AnnounceDelivery {
    const KIND: &'static str = "announce_delivery";
    const QUEUE: &'static str = "wechat_mini";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(arrival) = self.arrival(shop).await? else {
            return Ok(Outcome::result(json!({ "skipped": "there is no receipt to be confirmed" })));
        };
        let effect = Effect { kind: EffectKind::ConfirmReceive, of: &self.order_no, about: &self.order_no };
        let ended = perform(
            &shop.ledger,
            effect,
            || async { Ok(Asked::CannotTell) },
            || shop.mini_program.notify_confirm_receive(&arrival.order, arrival.received_at),
        )
        .await?;
        let (text, note) = match ended {
            Ended::Done(()) => ("the customer is asked to confirm receipt", String::new()),
            Ended::Refused { code, reason } => {
                ("WeChat does not ask for receipt", format!("{code}: {reason}"))
            }
            Ended::InDoubt { .. } => ("whether WeChat asks for receipt is not known", String::new()),
        };
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        change.event("receipt", text, json!({ "note": note })).await?;
        change.commit().await?;
        Ok(Outcome::result(json!({ "told": text })))
    }
}

impl AnnounceDelivery {
    /// None: the order is not delivered, was given back, or its shipment is not WeChat's to know.
    async fn arrival(&self, shop: &Shop) -> Result<Option<Arrival>, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let standing = Standing::read(&mut conn, &self.order_no).await?;
        let Some(standing) = standing
            .filter(|standing| matches!(standing.order.state, OrderState::Delivered | OrderState::Completed))
        else {
            return Ok(None);
        };
        let parcels = standing::parcels(&mut conn, &self.order_no).await?;
        let upload: Option<(String, i64)> =
            sqlx::query_as("SELECT state, touched_at FROM shipping_uploads WHERE order_no = $1")
                .bind(&self.order_no)
                .fetch_optional(&mut *conn)
                .await?;
        let uploaded_at = match upload.as_ref().map(|(state, at)| (state.as_str(), *at)) {
            Some(("uploaded", at)) => at,
            Some(("wanted", _)) => {
                return Err(JobError::snooze(UPLOAD_WAIT, "the shipment is not uploaded yet"));
            }
            _ => return Ok(None),
        };
        let received_at = parcels.iter().filter_map(|parcel| parcel.delivered_at).max();
        let (Some(received_at), Some(id)) = (received_at, standing.payment.transaction_id) else {
            return Ok(None);
        };
        // WeChat takes no receipt from before it heard of the shipment.
        let received_at = Timestamp::from_micros(received_at.max(uploaded_at));
        Ok(Some(Arrival { order: PaidOrder::TransactionId(id), received_at }))
    }
}
