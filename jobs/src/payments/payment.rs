//! The payment of an order: its states. One payment for an order, under the order's own number.

crate::stored::stored_states! {
    /// `paying -> succeeded | closed | disputed`, `closed -> late`. Money wins: `succeeded` and `late` are never left,
    /// refunds are rows of their own (facts: commerce-states.md 4).
    PaymentState {
        Paying = "paying",
        Succeeded = "succeeded",
        /// Cannot be paid any more, as far as WeChat said.
        Closed = "closed",
        /// Paid when the order no longer wanted it: goes back.
        Late = "late",
        /// Paid, but another amount than the order's: a person looks.
        Disputed = "disputed",
    }
}

impl PaymentState {
    pub const fn has_money(self) -> bool {
        matches!(self, Self::Succeeded | Self::Late | Self::Disputed)
    }
}
