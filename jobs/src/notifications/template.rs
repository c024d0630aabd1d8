//! What people are told of, and which field of a subscribe message says what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened. The names are stored, and are those of the templates' files.
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
    /// To whoever runs the shop: how yesterday was.
    DailySummary,
    /// To whoever runs the shop: what a person must look at.
    FindingsRaised,
}

impl Template {
    pub const ALL: [Template; 9] = [
        Self::OrderPaid,
        Self::OrderShipped,
        Self::ReceiptReminder,
        Self::OrderCompleted,
        Self::OrderCancelled,
        Self::OrderRefused,
        Self::RefundMade,
        Self::DailySummary,
        Self::FindingsRaised,
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
            Self::DailySummary => "daily_summary",
            Self::FindingsRaised => "findings_raised",
        }
    }

    /// Told to the customer of an order; the others are told to the shop.
    pub const fn is_for_customers(self) -> bool {
        !matches!(self, Self::DailySummary | Self::FindingsRaised)
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
