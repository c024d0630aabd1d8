//! Refunds: their states, their numbers.

crate::stored::stored_states! {
    /// `requested -> accepted -> succeeded | closed | abnormal`; `requested -> refused`; and once a person acted at
    /// WeChat, `abnormal -> succeeded | closed` (facts: wechat-pay.md 8).
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

crate::stored::stored_states! {
    /// Why a refund was made.
    RefundOrigin {
        /// Made by a build that did not say.
        Unsaid = "",
        /// The order was given up.
        Unwound = "unwound",
        /// The supplier has goods back, or could not hand them over.
        Returned = "returned",
        /// Paid after the order was given up.
        Late = "late",
        /// Somebody asked for it.
        Asked = "asked",
        /// Takes the place of one that came to nothing.
        Replaced = "replaced",
    }
}

impl RefundState {
    /// Whether WeChat may still say something else of it.
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Requested => !matches!(to, Self::Requested),
            Self::Accepted => matches!(to, Self::Succeeded | Self::Closed | Self::Abnormal),
            Self::Abnormal => matches!(to, Self::Succeeded | Self::Closed),
            Self::Succeeded | Self::Closed | Self::Refused => false,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_backwards_and_only_a_persons_act_moves_an_abnormal_refund() {
        for state in RefundState::ALL {
            assert!(!state.may_become(RefundState::Requested) && !state.may_become(*state));
            assert!(!RefundState::Succeeded.may_become(*state));
        }
        assert!(RefundState::Abnormal.may_become(RefundState::Succeeded));
        assert!(!RefundState::Abnormal.may_become(RefundState::Accepted));
    }
}
