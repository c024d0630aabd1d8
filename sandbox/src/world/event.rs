//! What can happen out there. One event is one line of the journal; the world is nothing but the events in order.

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use crate::bills::Day;
use crate::plants::{Mark, Plant};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) fact: Fact,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub(crate) enum Fact {
    OrderAccepted {
        so_id: String,
        online_no: String,
        lines: Vec<Line>,
        amount_fen: i64,
    },
    OrderConfirmed {
        so_id: String,
    },
    OrderRefused {
        so_id: String,
        reason: String,
    },
    OrderShipped {
        so_id: String,
    },
    OrderDelivered {
        so_id: String,
    },
    /// A confirmed order turned out not to be in stock.
    OrderOutOfStock {
        so_id: String,
        reason: String,
    },
    CancelAsked {
        so_id: String,
    },
    /// The supplier's answer to a cancellation, or goods that came back although nobody asked: refused at the door, or
    /// sent back later.
    CancelAnswered {
        so_id: String,
        outcome: CancelOutcome,
    },
    OrderNoticeTried {
        so_id: String,
        nth: u8,
        taken: bool,
    },

    PaymentOffered {
        out_trade_no: String,
        total_fen: i64,
        openid: String,
        description: String,
        pays_at: Option<Timestamp>,
        /// The shop placed it itself; the customer has not come to the till yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        prepaid: bool,
    },
    /// The customer of a payment that the shop placed comes to the till.
    CustomerCame {
        out_trade_no: String,
        pays_at: Option<Timestamp>,
    },
    PaymentMade {
        out_trade_no: String,
    },
    PaymentClosed {
        out_trade_no: String,
    },
    PaymentNoticeTried {
        out_trade_no: String,
        taken: bool,
    },

    RefundAccepted {
        out_refund_no: String,
        out_trade_no: String,
        refund_fen: i64,
        total_fen: i64,
        reason: String,
    },
    RefundSettled {
        out_refund_no: String,
        status: RefundStatus,
    },
    RefundNoticeTried {
        out_refund_no: String,
        taken: bool,
    },
    /// The merchant's balance was short when this refund was first asked for.
    RefundShort {
        out_refund_no: String,
    },
    /// An abnormal refund goes to another account.
    RefundRedirected {
        out_refund_no: String,
    },
    /// A new refund number that asked for more than was left of the payment.
    RefundRefused {
        out_refund_no: String,
    },

    MiniTokenIssued {
        token: String,
        expires_at: Timestamp,
        forced: bool,
    },
    ShippingUploaded {
        out_trade_no: String,
        upload: Upload,
    },
    /// The customer was asked to confirm receipt.
    ReceiptAsked {
        out_trade_no: String,
    },
    MessageSent {
        key: String,
        content: u64,
    },
    MailTaken {
        mail: Mail,
    },
    /// Another system of the shop's took a webhook: receiver and webhook-id.
    WebhookTaken {
        key: String,
        content: u64,
    },

    PlantAsked {
        plant: Plant,
    },
    /// A plant, by its number, has its place in the bills of a day.
    Planted {
        nth: u32,
        day: Day,
        mark: Mark,
    },
    /// A day's bills were asked for: they stay as they are.
    DayClosed {
        day: Day,
    },
}

/// One line of a supplier order. The last three are totals, not increments (facts: ylh.md 10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) code: Box<str>,
    pub(crate) qty: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) received: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) returned: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) rejected: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// How a cancellation ended (facts: ylh.md 5 and 10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CancelOutcome {
    pub(crate) verdict: Verdict,
    /// Empty when it succeeded.
    pub(crate) reason: Box<str>,
    pub(crate) lines: Box<[Line]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Failed,
    Whole,
    Partly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RefundStatus {
    Processing,
    Success,
    Closed,
    Abnormal,
}

impl RefundStatus {
    /// As WeChat Pay prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RefundStatus::Processing => "PROCESSING",
            RefundStatus::Success => "SUCCESS",
            RefundStatus::Closed => "CLOSED",
            RefundStatus::Abnormal => "ABNORMAL",
        }
    }
}

/// What was told to the mini-program about the shipping of one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) logistics_type: u8,
    pub(crate) delivery_mode: u8,
    /// No further parcel follows.
    pub(crate) finished: bool,
    pub(crate) upload_time: Timestamp,
    pub(crate) parcels: Vec<UploadedParcel>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadedParcel {
    pub(crate) tracking_no: String,
    pub(crate) express_company: String,
    pub(crate) item_desc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receiver_contact: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consignor_contact: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) message_id: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    /// The beginning of the message after its headers, as it came.
    pub(crate) body: String,
    /// Size of the whole message.
    pub(crate) bytes: u64,
}
