//! The calls that move or ask about money: query, close, refund (facts: wechat-pay.md 6, 7, 8).

use reqwest::Method;
use serde_json::json;

use super::records::{RefundWire, TransactionWire};
use super::{Refund, Reply, Transaction, WechatPay};
use crate::money::Fen;
use crate::outside::{Answer, Call, OutsideError};

const OUT_TRADE_NO_CHARS: std::ops::RangeInclusive<usize> = 6..=32;
const OUT_REFUND_NO_CHARS: std::ops::RangeInclusive<usize> = 1..=64;
const REASON_CHARS_MAX: usize = 80;

/// What came of asking WeChat to close an order. None of these proves that it is closed: query it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseAnswer {
    Taken,
    AlreadyClosed,
    /// WeChat will not close it; it may have been paid.
    PerhapsPaid {
        code: String,
    },
}

/// Which payment a refund is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentRef {
    TransactionId(String),
    OutTradeNo(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    pub payment: PaymentRef,
    /// The same number refunds once, however often it is sent with the same parameters.
    pub out_refund_no: String,
    pub reason: Option<String>,
    pub notify_url: Option<String>,
    pub refund: Fen,
    /// The payment's whole amount.
    pub total: Fen,
}

impl WechatPay {
    /// The payment of our number; none when WeChat does not know it.
    ///
    /// # Errors
    /// As every read.
    pub async fn query_by_out_trade_no(
        &self,
        out_trade_no: &str,
    ) -> Result<Option<Transaction>, OutsideError> {
        let call = self.read("query_payment");
        let number = path_part(&call, out_trade_no, OUT_TRADE_NO_CHARS, "-_*")?;
        let path = format!("/v3/pay/transactions/out-trade-no/{number}?mchid={}", self.settings.mchid);
        let work = async {
            match self.ask(&call, Method::GET, &path, None).await? {
                Reply::Done(answer) => Ok(Some(answer.json::<TransactionWire>(&call)?.into())),
                Reply::No(error) if error.is_not_there() => Ok(None),
                Reply::No(error) => Err(error.class(&call, self.http.clock())),
            }
        };
        self.http.measured(&call, work).await
    }

    /// Asks WeChat to close an unpaid order, not sooner than five minutes after its creation.
    ///
    /// # Errors
    /// `InDoubt` when it may have been closed.
    pub async fn close(&self, out_trade_no: &str) -> Result<CloseAnswer, OutsideError> {
        let call = self.write("close_payment");
        let number = path_part(&call, out_trade_no, OUT_TRADE_NO_CHARS, "-_*")?;
        let path = format!("/v3/pay/transactions/out-trade-no/{number}/close");
        let body = json!({ "mchid": self.settings.mchid }).to_string();
        let work = async {
            match self.ask(&call, Method::POST, &path, Some(body)).await? {
                Reply::Done(_) => Ok(CloseAnswer::Taken),
                Reply::No(error) => match error.code.as_str() {
                    "ORDER_CLOSED" => Ok(CloseAnswer::AlreadyClosed),
                    "ORDER_PAID" | "INVALID_REQUEST" => Ok(CloseAnswer::PerhapsPaid { code: error.code }),
                    _ => Err(error.class(&call, self.http.clock())),
                },
            }
        };
        self.http.measured(&call, work).await
    }

    /// Asks for a refund; the answer says that it was accepted, and where it stands.
    ///
    /// # Errors
    /// `InDoubt` when WeChat may have it: query it, or send the same again. `Refused` with `NOT_ENOUGH` when
    /// the merchant's balance is short (later, the same number may do), and with `invalid_refund` for a request
    /// that was not sent because its amounts are no refund's.
    pub async fn refund(&self, request: &RefundRequest) -> Result<Refund, OutsideError> {
        let call = self.write("refund");
        let body = refund_body(&call, request)?;
        let work = async {
            match self.ask(&call, Method::POST, "/v3/refund/domestic/refunds", Some(body)).await? {
                Reply::Done(answer) => read_refund(&call, &answer),
                Reply::No(error) => Err(error.class(&call, self.http.clock())),
            }
        };
        self.http.measured(&call, work).await
    }

    /// The refund of our number; none when WeChat does not know it.
    ///
    /// # Errors
    /// As every read.
    pub async fn query_refund(&self, out_refund_no: &str) -> Result<Option<Refund>, OutsideError> {
        let call = self.read("query_refund");
        let number = path_part(&call, out_refund_no, OUT_REFUND_NO_CHARS, "-_|*@")?;
        let path = format!("/v3/refund/domestic/refunds/{number}");
        let work = async {
            match self.ask(&call, Method::GET, &path, None).await? {
                Reply::Done(answer) => read_refund(&call, &answer).map(Some),
                Reply::No(error) if error.is_not_there() => Ok(None),
                Reply::No(error) => Err(error.class(&call, self.http.clock())),
            }
        };
        self.http.measured(&call, work).await
    }
}

fn read_refund(call: &Call, answer: &Answer) -> Result<Refund, OutsideError> {
    let wire: RefundWire = answer.json(call)?;
    wire.read().ok_or_else(|| call.lost("a refund without amounts"))
}

fn refund_body(call: &Call, request: &RefundRequest) -> Result<String, OutsideError> {
    if request.refund <= Fen::ZERO || request.refund > request.total {
        return Err(call.refused("invalid_refund", "a refund is above nothing and not above the payment"));
    }
    check_number(call, &request.out_refund_no, OUT_REFUND_NO_CHARS, "-_|*@")?;
    let mut body = json!({
        "out_refund_no": request.out_refund_no,
        "amount": { "refund": request.refund, "total": request.total, "currency": "CNY" },
    });
    match &request.payment {
        PaymentRef::TransactionId(id) => body["transaction_id"] = json!(id),
        PaymentRef::OutTradeNo(number) => body["out_trade_no"] = json!(number),
    }
    if let Some(reason) = &request.reason {
        body["reason"] = json!(reason.chars().take(REASON_CHARS_MAX).collect::<String>());
    }
    if let Some(url) = &request.notify_url {
        body["notify_url"] = json!(url);
    }
    Ok(body.to_string())
}

/// A number of ours, fit to stand in a path.
fn path_part(
    call: &Call,
    number: &str,
    chars: std::ops::RangeInclusive<usize>,
    signs: &str,
) -> Result<String, OutsideError> {
    check_number(call, number, chars, signs)?;
    Ok(number.replace('|', "%7C"))
}

fn check_number(
    call: &Call,
    number: &str,
    chars: std::ops::RangeInclusive<usize>,
    signs: &str,
) -> Result<(), OutsideError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    if chars.contains(&number.len()) && number.chars().all(allowed) {
        return Ok(());
    }
    Err(call.refused("invalid_number", "a number of ours is not one that WeChat takes"))
}
