//! Winding an order down: what has to happen next before it may end as cancelled or refused.
//!
//! Pure. First the supplier must let go, then the money must go back (or the payment be closed), then it ends.

use super::state::OrderState;
use crate::payments::{PaymentState, RefundState};
use crate::suppliers::{CancelState, SupplierState};

/// What is known of an order that winds down.
#[derive(Clone, Debug)]
pub struct Unwinding<'a> {
    pub order: OrderState,
    pub payment: PaymentState,
    pub paid_fen: i64,
    pub supplier: Option<(SupplierState, CancelState)>,
    /// Amount and state of every refund of the order, without those that were replaced.
    pub refunds: &'a [(i64, RefundState)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Ask the supplier to cancel.
    AskSupplier,
    /// An answer is on its way: of the supplier, or of a refund.
    Wait,
    /// The supplier keeps the order: it goes on.
    Resume,
    /// Make sure that the payment can no longer be made.
    ClosePayment,
    /// Reserve and send so much back.
    Refund { amount_fen: i64 },
    /// A refund cannot go on by itself.
    NeedsPerson,
    /// Nothing is owed any more.
    End(OrderState),
}

/// Decides. Callable at any time and any number of times.
pub fn next_step(it: &Unwinding<'_>) -> NextStep {
    use NextStep::{AskSupplier, ClosePayment, End, NeedsPerson, Refund, Resume, Wait};

    match it.supplier {
        Some((SupplierState::Sending, _)) => return Wait,
        Some((state, cancel)) if state.is_live() => match cancel {
            CancelState::None => return AskSupplier,
            CancelState::Wanted | CancelState::Asked => return Wait,
            CancelState::Failed => return Resume,
            CancelState::Done => {}
        },
        _ => {}
    }
    match it.payment {
        PaymentState::Paying => return ClosePayment,
        PaymentState::Disputed => return NeedsPerson,
        PaymentState::Succeeded | PaymentState::Late | PaymentState::Closed => {}
    }
    let owed_fen = it.paid_fen.saturating_sub(reserved_fen(it.refunds));
    if it.refunds.iter().any(|(_, state)| state.needs_person()) {
        NeedsPerson
    } else if owed_fen > 0 {
        Refund { amount_fen: owed_fen }
    } else if it.refunds.iter().any(|(_, state)| !state.is_final()) {
        Wait
    } else if it.order == OrderState::Refusing {
        End(OrderState::Refused)
    } else {
        End(OrderState::Cancelled)
    }
}

/// What is promised back already: every refund that did not come to nothing, the pending ones too, so that two
/// at once can never exceed the payment.
pub fn reserved_fen(refunds: &[(i64, RefundState)]) -> i64 {
    refunds
        .iter()
        .filter(|(_, state)| state.holds_reserve())
        .fold(0, |sum, (fen, _)| sum.saturating_add(*fen))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paid(refunds: &[(i64, RefundState)]) -> Unwinding<'_> {
        Unwinding {
            order: OrderState::Cancelling,
            payment: PaymentState::Succeeded,
            paid_fen: 100,
            supplier: None,
            refunds,
        }
    }

    #[test]
    fn money_goes_back_before_the_order_is_cancelled() {
        assert_eq!(next_step(&paid(&[])), NextStep::Refund { amount_fen: 100 });
        assert_eq!(next_step(&paid(&[(100, RefundState::Requested)])), NextStep::Wait);
        assert_eq!(next_step(&paid(&[(100, RefundState::Accepted)])), NextStep::Wait);
        assert_eq!(next_step(&paid(&[(100, RefundState::Succeeded)])), NextStep::End(OrderState::Cancelled));
    }

    #[test]
    fn no_money_goes_back_while_the_supplier_holds_the_order() {
        for (state, cancel, step) in [
            (SupplierState::Sending, CancelState::None, NextStep::Wait),
            (SupplierState::Accepted, CancelState::None, NextStep::AskSupplier),
            (SupplierState::Confirmed, CancelState::Asked, NextStep::Wait),
            (SupplierState::Confirmed, CancelState::Failed, NextStep::Resume),
        ] {
            assert_eq!(next_step(&Unwinding { supplier: Some((state, cancel)), ..paid(&[]) }), step);
        }
    }

    #[test]
    fn a_refund_that_was_returned_to_the_shop_waits_for_a_person() {
        assert_eq!(next_step(&paid(&[(100, RefundState::Closed)])), NextStep::NeedsPerson);
        assert_eq!(next_step(&paid(&[(100, RefundState::Abnormal)])), NextStep::NeedsPerson);
    }

    proptest! {
        #[test]
        fn never_more_goes_back_than_was_paid(paid_fen in 0i64..1_000, parts in proptest::collection::vec(1i64..500, 0..5)) {
            let mut refunds = Vec::new();
            for part in parts {
                if reserved_fen(&refunds) + part <= paid_fen {
                    refunds.push((part, RefundState::Accepted));
                }
            }
            let it = Unwinding { paid_fen, ..paid(&refunds) };
            if let NextStep::Refund { amount_fen } = next_step(&it) {
                prop_assert!(amount_fen + reserved_fen(&refunds) == paid_fen);
            } else {
                prop_assert_eq!(reserved_fen(&refunds), paid_fen);
            }
        }
    }
}
