//! A callback's content, once its signature was found right (facts: wechat-pay.md 4).

use serde::Deserialize;
use windlass_engine::Timestamp;

use super::records::{Amount, TransactionWire, instant};
use super::{Distrust, RefundStatus, Resource, Transaction, Undecryptable, WechatPaySettings};
use crate::money::Fen;

/// A callback that is WeChat's and about our merchant. Whether its amount is that of our record is still to be
/// checked by who has the record. The same notice can come again, and at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    pub id: String,
    pub created_at: Option<Timestamp>,
    pub event: Event,
    pub content: NoticeContent,
    /// The decrypted content, to be kept.
    pub plaintext: String,
}

/// Shows the content without its plain text, which names the payer.
impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Notice");
        shown.field("id", &self.id).field("event", &self.event).field("content", &self.content);
        shown.finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    TransactionSuccess,
    RefundSuccess,
    RefundAbnormal,
    RefundClosed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeContent {
    Transaction(Transaction),
    Refund(RefundNotice),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundNotice {
    pub mchid: String,
    pub out_trade_no: String,
    pub transaction_id: String,
    pub out_refund_no: String,
    pub refund_id: String,
    pub status: RefundStatus,
    pub success_at: Option<Timestamp>,
    pub total: Option<Fen>,
    pub refund: Option<Fen>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Answer 401 and do nothing: a genuine one follows.
    #[error("not trusted: {0}")]
    Distrusted(#[source] Distrust),
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Undecryptable(#[from] Undecryptable),
    #[error("about another merchant or app")]
    NotOurs,
    /// Rightly signed, of a kind that this shop does not ask for.
    #[error("event {0} is not known")]
    UnknownEvent(String),
}

impl Refused {
    /// The HTTP status of our answer.
    pub const fn http_status(&self) -> u16 {
        match self {
            Refused::Distrusted(_) => 401,
            Refused::Undecryptable(_) => 500,
            Refused::Unreadable(_) | Refused::NotOurs | Refused::UnknownEvent(_) => 400,
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    #[serde(default)]
    create_time: Option<String>,
    event_type: String,
    resource: Resource,
}

#[derive(Deserialize)]
struct RefundWire {
    mchid: String,
    out_trade_no: String,
    #[serde(default)]
    transaction_id: String,
    out_refund_no: String,
    #[serde(default)]
    refund_id: String,
    refund_status: String,
    #[serde(default)]
    success_time: Option<String>,
    #[serde(default)]
    amount: Amount,
}

pub(super) fn read(body: &[u8], settings: &WechatPaySettings) -> Result<Notice, Refused> {
    let unreadable = |error: serde_json::Error| Refused::Unreadable(error.to_string());
    let wire: Wire = serde_json::from_slice(body).map_err(unreadable)?;
    let event = match wire.event_type.as_str() {
        "TRANSACTION.SUCCESS" => Event::TransactionSuccess,
        "REFUND.SUCCESS" => Event::RefundSuccess,
        "REFUND.ABNORMAL" => Event::RefundAbnormal,
        "REFUND.CLOSED" => Event::RefundClosed,
        other => return Err(Refused::UnknownEvent(other.chars().take(64).collect())),
    };
    let plain = wire.resource.decrypt(&settings.api_v3_key)?;
    let plaintext = String::from_utf8(plain).map_err(|error| Refused::Unreadable(error.to_string()))?;
    let content = if event == Event::TransactionSuccess {
        let transaction: Transaction =
            serde_json::from_str::<TransactionWire>(&plaintext).map_err(unreadable)?.into();
        if transaction.mchid != settings.mchid || transaction.appid != settings.appid {
            return Err(Refused::NotOurs);
        }
        NoticeContent::Transaction(transaction)
    } else {
        let refund: RefundWire = serde_json::from_str(&plaintext).map_err(unreadable)?;
        if refund.mchid != settings.mchid {
            return Err(Refused::NotOurs);
        }
        NoticeContent::Refund(refund.into())
    };
    Ok(Notice { id: wire.id, created_at: instant(wire.create_time.as_deref()), event, content, plaintext })
}

impl From<RefundWire> for RefundNotice {
    fn from(wire: RefundWire) -> Self {
        RefundNotice {
            mchid: wire.mchid,
            out_trade_no: wire.out_trade_no,
            transaction_id: wire.transaction_id,
            out_refund_no: wire.out_refund_no,
            refund_id: wire.refund_id,
            status: RefundStatus::read(&wire.refund_status),
            success_at: instant(wire.success_time.as_deref()),
            total: wire.amount.total,
            refund: wire.amount.refund,
        }
    }
}
