//! What customers are told of, and which field of a template says what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened. The names are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    OrderPaid,
    OrderShipped,
    ReceiptReminder,
    OrderCompleted,
    OrderCancelled,
    OrderRefused,
    RefundMade,
}

impl Template {
    pub const ALL: [Template; 7] = [
        Self::OrderPaid,
        Self::OrderShipped,
        Self::ReceiptReminder,
        Self::OrderCompleted,
        Self::OrderCancelled,
        Self::OrderRefused,
        Self::RefundMade,
    ];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderPaid => "order_paid",
            Self::OrderShipped => "order_shipped",
            Self::ReceiptReminder => "receipt_reminder",
            Self::OrderCompleted => "order_completed",
            Self::OrderCancelled => "order_cancelled",
            Self::OrderRefused => "order_refused",
            Self::RefundMade => "refund_made",
        }
    }
}

/// A subscribe-message template as the shop has it at WeChat (facts: wechat-mini-program.md 2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeTemplate {
    pub id: String,
    /// A page of the mini program; `{order_no}` in it is replaced.
    #[serde(default)]
    pub page: Option<String>,
    /// By field key (`thing2`): what stands in it.
    pub fields: BTreeMap<String, Part>,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    OrderNo,
    /// The refund's number: it tells two refunds of one order apart.
    RefundNo,
    Products,
    /// What the order cost; of a refund, what went back.
    Amount,
    Reason,
    Carrier,
    TrackingNo,
    Time,
}
