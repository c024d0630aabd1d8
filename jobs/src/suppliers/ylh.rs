//! YLH (易理货): supplier orders are placed and cancelled here, and its callbacks are read.
//!
//! Whether an order in doubt is told again is the effect ledger's decision, not this client's: it says what
//! became of one call (facts: ylh.md). Rescheduling and delivery pictures are not used by the shop.

mod callback;
mod form;
mod order;
mod settings;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use windlass_engine::Timestamp;

pub use callback::{
    Callback, CallbackAnswer, CallbackItem, CallbackKeys, CallbackRefused, Method, verify, verify_form,
};
pub use form::{FORM_BYTES_MAX, FORM_FIELDS_MAX};
pub use order::{Consignee, OrderFlaw, SupplierLine, SupplierOrder};
pub use settings::{YlhPaths, YlhSettings};

use crate::outside::lenient::{maybe_text, rows as rows_field, text, text_of};
use crate::outside::{Call, Http, OutsideError, System};
use crate::token::{Attempt, Kept, Tokens, with_token};
use token::YlhTokens;
use wire::Envelope;

/// Most numbers in one store logistics call (facts: ylh.md 8).
pub const STORE_LOGISTICS_MAX: usize = 100;

const CREATE_PATH: &str = "/api/page/hmm/retailorder/receive-hmm-retail-order";
const CANCEL_PATH: &str = "/api/page/hmm/retailorder/cancel-hmm-retail-order";
const STORE_LOGISTICS_PATH: &str = "/api/composite/stock/logistics/get-store-logistics-by-order-code";

/// The client of one account at YLH.
#[derive(Clone)]
pub struct Ylh {
    http: Http,
    tokens: Tokens,
    source: Arc<YlhTokens>,
    settings: Arc<YlhSettings>,
}

/// YLH's answer to a create. Neither says that the order will be carried out: the confirm callback does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Accepted {
        haier_no: Option<String>,
    },
    /// YLH knows this `soId`: ours, when we have sent it before; else an alarm (facts: ylh.md 4).
    Duplicate,
}

/// YLH's answer to a cancel. The result comes by callback, maybe days later (facts: ylh.md 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAsked {
    Taken,
    AlreadyCancelled,
}

/// A delivery of an order, as store logistics lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Delivery {
    /// Haier's number of the order.
    #[serde(rename = "orderCode", deserialize_with = "text")]
    pub haier_no: String,
    #[serde(rename = "deliveryRecordCode", default, deserialize_with = "maybe_text")]
    pub delivery_record_code: Option<String>,
    #[serde(rename = "logisticsList", default, deserialize_with = "rows_field")]
    pub waybills: Vec<Waybill>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Waybill {
    #[serde(rename = "logisticsCode", default, deserialize_with = "text")]
    pub carrier_code: String,
    #[serde(rename = "logisticsName", default, deserialize_with = "text")]
    pub carrier_name: String,
    #[serde(rename = "expNo", default, deserialize_with = "text")]
    pub tracking_no: String,
    #[serde(rename = "barCodes", default, deserialize_with = "rows_field")]
    pub serial_nos: Vec<String>,
}

impl Ylh {
    pub fn new(http: Http, tokens: Tokens, settings: YlhSettings) -> Self {
        let settings = Arc::new(settings);
        let source = Arc::new(YlhTokens::new(http.clone(), settings.clone()));
        Self { http, tokens, source, settings }
    }

    /// Replaces the token when it would need it within `ahead`, and it is in use ([`Tokens::keep_alive`]).
    ///
    /// # Errors
    /// When a new one cannot be had.
    pub async fn keep_token(&self, ahead: Duration) -> Result<Kept, OutsideError> {
        self.tokens.keep_alive(&*self.source, ahead).await
    }

    /// Places an order. The same order makes the same bytes each time, so that a repetition is one.
    ///
    /// # Errors
    /// `Refused` for a business refusal and, with the code `invalid_order`, for an order that was not sent
    /// because its parts do not make one; `InDoubt` when YLH may have it (facts: ylh.md 4, outcome classes).
    pub async fn create(&self, order: &SupplierOrder) -> Result<Created, OutsideError> {
        let call = Call::write(System::Ylh, "create", self.settings.call_timeout).hiding(order.personal());
        let flawed = |flaw: OrderFlaw| call.refused("invalid_order", &flaw.to_string());
        let body = order.to_json(&self.settings).map_err(flawed)?;
        let url = self.settings.paths.url(&self.settings.paths.order, CREATE_PATH);
        let work = async {
            let envelope = self.ask(&call, &url, body).await?;
            if envelope.is_refusal() && self.settings.says_duplicate(&envelope) {
                return Ok(Created::Duplicate);
            }
            Ok(Created::Accepted { haier_no: envelope.accepted(&call)?.and_then(|data| haier_no(&data)) })
        };
        self.http.measured(&call, work).await
    }

    /// Asks YLH to cancel a sub-order. Safe to repeat (facts: ylh.md 5).
    ///
    /// # Errors
    /// As [`Ylh::create`].
    pub async fn cancel(
        &self,
        so_id: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<CancelAsked, OutsideError> {
        let call = Call::write(System::Ylh, "cancel", self.settings.call_timeout);
        let body = json!({
            "soId": so_id,
            "cancelTime": at.millis().to_string(),
            "cancelReason": reason,
            "sourceSystem": self.settings.source_system,
        });
        let url = self.settings.paths.url(&self.settings.paths.order, CANCEL_PATH);
        let work = async {
            let envelope = self.ask(&call, &url, body.to_string()).await?;
            if envelope.is_refusal() && self.settings.says_cancelled(&envelope) {
                return Ok(CancelAsked::AlreadyCancelled);
            }
            envelope.accepted(&call).map(|_| CancelAsked::Taken)
        };
        self.http.measured(&call, work).await
    }

    /// The deliveries of up to [`STORE_LOGISTICS_MAX`] orders, by Haier's numbers. An order without one is not
    /// in the answer.
    ///
    /// # Errors
    /// `Refused` with the code `too_many` for more numbers; else as every read.
    pub async fn store_logistics(&self, haier_nos: &[String]) -> Result<Vec<Delivery>, OutsideError> {
        let call = Call::read(System::Ylh, "store_logistics", self.settings.call_timeout);
        if haier_nos.len() > STORE_LOGISTICS_MAX {
            return Err(call.refused("too_many", &format!("{} numbers in one call", haier_nos.len())));
        }
        if haier_nos.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.settings.paths.url(&self.settings.paths.stock, STORE_LOGISTICS_PATH);
        let work = async {
            let envelope = self.ask(&call, &url, json!(haier_nos).to_string()).await?;
            envelope.rows(&call)
        };
        self.http.measured(&call, work).await
    }

    /// Posts `body`; after a 401 the same bytes once more with a new token (facts: ylh.md 2).
    async fn ask(&self, call: &Call, url: &str, body: String) -> Result<Envelope, OutsideError> {
        with_token(&self.tokens, &*self.source, async |token| {
            let mut call = call.clone();
            call.hide.push(token.value.expose().to_owned());
            let authorization = format!("{} {}", token.token_type, token.value.expose());
            let request = self.http.post(url).header(AUTHORIZATION, authorization);
            let request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            let answer = self.http.exchange(&call, request).await?;
            if answer.status == 401 {
                return Err(Attempt::TokenRefused(call.misconfigured("http_401", &answer.text())));
            }
            call.judge_status(&answer, self.http.clock())?;
            Ok(answer.json::<Envelope>(&call)?)
        })
        .await
    }
}

/// Haier's number, where the answer to a create names it already (not documented; facts: ylh.md 4).
fn haier_no(data: &serde_json::value::RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(
            rename = "retailOrderNo",
            alias = "retail_order_no",
            default,
            deserialize_with = "maybe_text"
        )]
        number: Option<String>,
    }
    match text_of(data) {
        Some(_) => None,
        None => serde_json::from_str::<Named>(data.get()).ok()?.number,
    }
}
