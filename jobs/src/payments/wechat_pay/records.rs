//! WeChat's records of a payment and of a refund (facts: wechat-pay.md 6, 8).

use serde::Deserialize;
use windlass_engine::Timestamp;

use crate::money::Fen;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TradeState {
    Success,
    /// Paid, then refunded, wholly or in part: money was taken.
    Refund,
    NotPay,
    Closed,
    Revoked,
    UserPaying,
    PayError,
    Accept,
    Other(String),
}

impl TradeState {
    fn read(text: &str) -> Self {
        match text {
            "SUCCESS" => TradeState::Success,
            "REFUND" => TradeState::Refund,
            "NOTPAY" => TradeState::NotPay,
            "CLOSED" => TradeState::Closed,
            "REVOKED" => TradeState::Revoked,
            "USERPAYING" => TradeState::UserPaying,
            "PAYERROR" => TradeState::PayError,
            "ACCEPT" => TradeState::Accept,
            other => TradeState::Other(other.to_owned()),
        }
    }

    /// The customer's money was taken.
    pub fn is_paid(&self) -> bool {
        matches!(self, TradeState::Success | TradeState::Refund)
    }

    /// It will never be paid any more.
    pub fn is_over_unpaid(&self) -> bool {
        matches!(self, TradeState::Closed | TradeState::Revoked | TradeState::PayError)
    }
}

/// A payment as WeChat has it. Amounts are there once it was paid.
#[derive(Clone, PartialEq, Eq)]
pub struct Transaction {
    pub appid: String,
    pub mchid: String,
    pub out_trade_no: String,
    pub transaction_id: Option<String>,
    pub state: TradeState,
    pub success_at: Option<Timestamp>,
    pub payer_openid: Option<String>,
    pub total: Option<Fen>,
    /// What the customer paid: less than the total when coupons were used.
    pub payer_total: Option<Fen>,
    pub attach: Option<String>,
}

/// Shows which payment it is and not whose.
impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("out_trade_no", &self.out_trade_no)
            .field("transaction_id", &self.transaction_id)
            .field("state", &self.state)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundStatus {
    Processing,
    Success,
    /// The money went back to the merchant: a new number and a person's look are needed.
    Closed,
    /// The card is dead or frozen: a person must act.
    Abnormal,
    Other(String),
}

impl RefundStatus {
    pub(super) fn read(text: &str) -> Self {
        match text {
            "PROCESSING" => RefundStatus::Processing,
            "SUCCESS" => RefundStatus::Success,
            "CLOSED" | "CLOSE" => RefundStatus::Closed,
            "ABNORMAL" => RefundStatus::Abnormal,
            other => RefundStatus::Other(other.to_owned()),
        }
    }
}

/// A refund as WeChat has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub refund_id: String,
    pub out_refund_no: String,
    pub transaction_id: String,
    pub out_trade_no: String,
    pub status: RefundStatus,
    pub created_at: Option<Timestamp>,
    pub success_at: Option<Timestamp>,
    pub total: Fen,
    pub refund: Fen,
    pub payer_refund: Option<Fen>,
}

#[derive(Deserialize)]
pub(super) struct TransactionWire {
    #[serde(default)]
    appid: String,
    #[serde(default)]
    mchid: String,
    out_trade_no: String,
    #[serde(default)]
    transaction_id: Option<String>,
    trade_state: String,
    #[serde(default)]
    success_time: Option<String>,
    #[serde(default)]
    attach: Option<String>,
    #[serde(default)]
    payer: Option<Payer>,
    #[serde(default)]
    amount: Option<Amount>,
}

#[derive(Deserialize)]
struct Payer {
    #[serde(default)]
    openid: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Amount {
    pub(super) total: Option<Fen>,
    pub(super) refund: Option<Fen>,
    pub(super) payer_total: Option<Fen>,
    pub(super) payer_refund: Option<Fen>,
}

#[derive(Deserialize)]
pub(super) struct RefundWire {
    refund_id: String,
    out_refund_no: String,
    #[serde(default)]
    transaction_id: String,
    #[serde(default)]
    out_trade_no: String,
    status: String,
    #[serde(default)]
    create_time: Option<String>,
    #[serde(default)]
    success_time: Option<String>,
    amount: Amount,
}

pub(super) fn instant(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text?).ok()
}

impl From<TransactionWire> for Transaction {
    fn from(wire: TransactionWire) -> Self {
        let amount = wire.amount.unwrap_or_default();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Transaction {
            appid: wire.appid,
            mchid: wire.mchid,
            out_trade_no: wire.out_trade_no,
            transaction_id: said(wire.transaction_id),
            state: TradeState::read(&wire.trade_state),
            success_at: instant(wire.success_time.as_deref()),
            payer_openid: wire.payer.and_then(|payer| said(payer.openid)),
            total: amount.total,
            payer_total: amount.payer_total,
            attach: said(wire.attach),
        }
    }
}

impl RefundWire {
    /// None when the amounts are missing.
    pub(super) fn read(self) -> Option<Refund> {
        Some(Refund {
            refund_id: self.refund_id,
            out_refund_no: self.out_refund_no,
            transaction_id: self.transaction_id,
            out_trade_no: self.out_trade_no,
            status: RefundStatus::read(&self.status),
            created_at: instant(self.create_time.as_deref()),
            success_at: instant(self.success_time.as_deref()),
            total: self.amount.total?,
            refund: self.amount.refund?,
            payer_refund: self.amount.payer_refund,
        })
    }
}
