//! Refunds: their states, their numbers.

crate::stored::stored_states! {
    /// `requested -> accepted -> succeeded | closed | abnormal`; `requested -> refused` (facts: wechat-pay.md 8).
    RefundState {
        /// Reserved against the payment here; not known to be accepted there.
        Requested = "requested",
        /// WeChat works on it.
        Accepted = "accepted",
        Succeeded = "succeeded",
        /// The money went back to the shop: another refund needs a new number and a person's look.
        Closed = "closed",
        /// The customer's card is dead or frozen: a person must act at WeChat.
        Abnormal = "abnormal",
        /// WeChat will not make it, for a stated reason.
        Refused = "refused",
    }
}

impl RefundState {
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Closed | Self::Abnormal | Self::Refused)
    }

    pub const fn needs_person(self) -> bool {
        matches!(self, Self::Closed | Self::Abnormal | Self::Refused)
    }

    /// Whether its amount is still promised to the customer.
    pub const fn holds_reserve(self) -> bool {
        !matches!(self, Self::Closed | Self::Refused)
    }
}

/// The `out_refund_no` of an order's refund: the same at every try (facts: wechat-pay.md 8).
pub fn refund_no(order_no: &str, seq: i64) -> String {
    format!("{order_no}-R{seq}")
}
