//! What really happened out there, as the outside counts it: the books that the shop's own are compared with.

mod count;

pub(crate) use self::count::{totals, with_keys};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use crate::plants::PlantKind;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    pub effects: Vec<EffectTruth>,
    pub orders: OrderTotals,
    pub payments: PaymentTotals,
    pub refunds: RefundTotals,
    pub callbacks: CallbackTotals,
    /// What is not as it should be in the bills that were asked for, in the order of planting.
    #[serde(default)]
    pub plants: Vec<PlantTruth>,
    /// Only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<TruthKeys>,
}

/// One kind of effect: on how many keys it was had, and on how many of these more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectTruth {
    pub effect: String,
    pub keys: u64,
    pub doubled: u64,
}

/// How many orders have ever come so far; a delivered one was accepted, confirmed and shipped, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTotals {
    pub accepted: u64,
    pub confirmed: u64,
    pub refused: u64,
    pub shipped: u64,
    pub delivered: u64,
    pub cancelled: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTotals {
    pub offered: u64,
    pub paid: u64,
    pub closed: u64,
    pub paid_fen: i64,
    /// What came after the payment was closed, and which is not in `paid_fen`.
    #[serde(default)]
    pub late_fen: i64,
    /// Accepted and not closed, whether or not the money has arrived.
    pub refunded_fen: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundTotals {
    pub accepted: u64,
    pub succeeded: u64,
    pub closed: u64,
    pub abnormal: u64,
    /// Refunds with the amount and the reason of an earlier one of the same payment, under another number.
    pub alike: u64,
    /// Numbers that were refused because they asked for more than was left.
    pub refused_over: u64,
}

/// Of the callbacks that are owed to the shop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTotals {
    pub owed: u64,
    pub taken: u64,
    pub given_up: u64,
    /// Deliveries that came to an end, taken or not.
    pub tries: u64,
}

/// Everything by its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthKeys {
    /// Effect, then key, then how often.
    pub effects: BTreeMap<String, BTreeMap<String, u64>>,
    /// By `soId`.
    pub orders: BTreeMap<String, OrderTruth>,
    /// By `out_trade_no`.
    pub payments: BTreeMap<String, PaymentTruth>,
    /// By `out_refund_no`.
    pub refunds: BTreeMap<String, RefundTruth>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTruth {
    pub online_no: String,
    pub ext_order_no: String,
    /// accepted, confirmed, refused, shipped, delivered or cancelled.
    pub stage: String,
    pub amount_fen: i64,
    pub cancel_pending: bool,
    pub accepted_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    pub shipped_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub lines: Vec<LineTruth>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTruth {
    pub product_code: String,
    pub qty: u32,
    pub received: u32,
    pub returned: u32,
    pub rejected: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTruth {
    pub total_fen: i64,
    pub refunded_fen: i64,
    pub offered_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub transaction_id: Option<String>,
    /// How often shipping was finished at the mini-program: 0, 1 or, re-shipped, 2.
    pub shipped_times: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundTruth {
    pub out_trade_no: String,
    pub refund_fen: i64,
    pub reason: String,
    /// PROCESSING, SUCCESS, CLOSED or ABNORMAL.
    pub status: String,
    pub accepted_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

/// A difference that was planted, or a file that was spoiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantTruth {
    pub kind: PlantKind,
    /// What a reconciliation must call it; nothing: it must call it nothing.
    pub finding: Option<String>,
    /// Of the bill, such as `2026-01-05`.
    pub day: String,
    /// The numbers of what it went to, ours and WeChat's; of a whole file none.
    pub keys: Vec<String>,
    /// The amount that is in question.
    pub amount_fen: Option<i64>,
}
