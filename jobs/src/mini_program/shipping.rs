//! Shipping, as WeChat wants to know it before it lets go of the money (facts: wechat-mini-program.md 3, 4, 5).

mod list;
mod order;
mod upload;

pub use list::{ORDER_LIST_MAX, OrderPage};
pub use order::{OrderState, Settled, ShippedOrder, UploadedParcel, settle};
pub use upload::{
    Contact, LogisticsType, SHIPPING_LIST_MAX, ShippedParcel, ShippingUpload, Split, UploadAnswer, mask_phone,
};

use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::codes::{of_confirm_receive, of_get_order, of_upload};
use super::{MiniProgram, Reply};
use crate::outside::{Fault, OutsideError};

/// So long after a payment "payment not found" is passing: it shows here a little later (assumed in the sheet).
const PAYMENT_SHOWS_WITHIN_SECS: u64 = 600;
const PAYMENT_NOT_FOUND: i64 = 10_060_001;

/// Which payment a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaidOrder {
    TransactionId(String),
    OutTradeNo { mchid: String, out_trade_no: String },
}

impl PaidOrder {
    /// The names that `get_order` and its kin use; `upload_shipping_info` has others.
    fn as_merchant(&self) -> Value {
        match self {
            PaidOrder::TransactionId(id) => json!({ "transaction_id": id }),
            PaidOrder::OutTradeNo { mchid, out_trade_no } => {
                json!({ "merchant_id": mchid, "merchant_trade_no": out_trade_no })
            }
        }
    }
}

impl MiniProgram {
    /// Tells WeChat what was shipped. A payment may be shipped anew only once: after `InDoubt` and after
    /// [`UploadAnswer::AskOrder`] ask [`MiniProgram::get_order`] and [`settle`] before sending again.
    ///
    /// # Errors
    /// `Refused` with `invalid_shipping` for an upload that was not sent because WeChat would not take it.
    pub async fn upload_shipping_info(&self, upload: &ShippingUpload) -> Result<UploadAnswer, OutsideError> {
        let call = self.write("upload_shipping_info").hiding([upload.payer_openid.as_str()]);
        upload.check().map_err(|flaw| call.refused("invalid_shipping", flaw))?;
        let body = upload.to_json().to_string();
        let now = self.http.clock().now();
        let still_to_show = now.since(upload.paid_at).as_secs() < PAYMENT_SHOWS_WITHIN_SECS;
        let work = async {
            let answer = self.ask(&call, "/wxa/sec/order/upload_shipping_info", &body, of_upload).await;
            match answer {
                Ok(Reply::Done(_)) => Ok(UploadAnswer::Done),
                Ok(Reply::Same) => Ok(UploadAnswer::Unchanged),
                Ok(Reply::Ask(errcode)) => Ok(UploadAnswer::AskOrder { code: errcode.code.to_string() }),
                Err(error) if still_to_show && error.code() == Some(&PAYMENT_NOT_FOUND.to_string()) => {
                    Err(call.fail(Fault::Unavailable, &error.detail))
                }
                Err(error) => Err(error),
            }
        };
        self.http.measured(&call, work).await
    }

    /// A payment as WeChat's shipping knows it; none when it does not (yet).
    ///
    /// # Errors
    /// As every read.
    pub async fn get_order(&self, order: &PaidOrder) -> Result<Option<ShippedOrder>, OutsideError> {
        let call = self.read("get_order");
        let body = order.as_merchant().to_string();
        let work = async {
            match self.ask(&call, "/wxa/sec/order/get_order", &body, of_get_order).await? {
                Reply::Done(raw) => order::read(&call, &raw).map(Some),
                Reply::Same | Reply::Ask(_) => Ok(None),
            }
        };
        self.http.measured(&call, work).await
    }

    /// Reminds the customer to confirm receipt: once for each order, express only, after the carrier delivered.
    ///
    /// # Errors
    /// `InDoubt` when the customer may have been reminded.
    pub async fn notify_confirm_receive(
        &self,
        order: &PaidOrder,
        received_at: Timestamp,
    ) -> Result<(), OutsideError> {
        let call = self.write("notify_confirm_receive");
        let mut body = order.as_merchant();
        body["received_time"] = json!(received_at.secs());
        let body = body.to_string();
        let path = "/wxa/sec/order/notify_confirm_receive";
        let work = async {
            match self.ask(&call, path, &body, of_confirm_receive).await? {
                Reply::Done(_) | Reply::Same => Ok(()),
                Reply::Ask(errcode) => Err(call.lost(&errcode.to_string())),
            }
        };
        self.http.measured(&call, work).await
    }
}
