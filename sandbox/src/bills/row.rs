//! One movement of money, as the bills tell it: what happened, with what a plant makes of it.

use windlass_engine::Timestamp;

use super::text::fee_fen;
use crate::plants::{Mark, PlantKind, Planted, Plants};
use crate::world::event::RefundStatus;
use crate::world::money::{Payment, Refund};
use crate::world::state::State;

/// What an amount is off by.
const AMOUNT_OFF_FEN: i64 = 100;
/// What a fee is off by; a tolerance of one fen must not cover it.
const FEE_OFF_FEN: i64 = 5;
/// What a running balance jumps by.
const BALANCE_OFF_FEN: i64 = 100;

/// What a row is about; the order is that of rows of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Payment(u32),
    Refund(u32),
    /// The money of a refund that was closed came back to the merchant.
    Closing(u32),
    /// By its index among the plants.
    Other(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Payment,
    Refund,
    Closing,
}

pub(super) struct Row<'a> {
    pub(super) at: Timestamp,
    pub(super) sort: Sort,
    pub(super) transaction_id: String,
    pub(super) out_trade_no: &'a str,
    pub(super) openid: &'a str,
    pub(super) description: &'a str,
    /// What was paid, or given back.
    pub(super) fen: i64,
    /// Taken with a payment, given back with a refund; never negative.
    pub(super) fee_fen: i64,
    pub(super) state: &'static str,
    pub(super) refund_id: String,
    pub(super) out_refund_no: &'a str,
    pub(super) refund_state: &'static str,
    pub(super) refunded_at: Option<Timestamp>,
    /// The row is there twice.
    pub(super) twice: bool,
    pub(super) of_another: bool,
    /// The fund flow bill has no income of it.
    pub(super) without_income: bool,
    /// By how much the running balance jumps here.
    pub(super) jump_fen: i64,
}

impl<'a> Row<'a> {
    /// The row that `about` is in the bills, dated `at`.
    pub(super) fn of(state: &'a State, about: About, at: Timestamp) -> Option<Self> {
        match about {
            About::Payment(no) => {
                let payment = state.payments.at(no)?;
                Some(Self::of_payment(payment, at).planted(state.plants.of_payment(no)))
            }
            About::Refund(no) => {
                let refund = state.refunds.at(no)?;
                Some(Self::of_refund(refund, state.payments.get(&refund.out_trade_no)?, at))
            }
            About::Closing(no) => {
                let refund = state.refunds.at(no)?;
                let row = Self::of_refund(refund, state.payments.get(&refund.out_trade_no)?, at);
                Some(Self { sort: Sort::Closing, ..row })
            }
            About::Other(index) => Self::of_plant(state, state.plants.at(index)?, at),
        }
    }

    fn of_payment(payment: &'a Payment, at: Timestamp) -> Self {
        Self {
            at,
            sort: Sort::Payment,
            transaction_id: payment.transaction_id().unwrap_or_default(),
            out_trade_no: &payment.out_trade_no,
            openid: &payment.openid,
            description: &payment.description,
            fen: payment.total_fen,
            fee_fen: fee_fen(payment.total_fen),
            state: "SUCCESS",
            refund_id: String::new(),
            out_refund_no: "",
            refund_state: "",
            refunded_at: None,
            twice: false,
            of_another: false,
            without_income: false,
            jump_fen: 0,
        }
    }

    fn of_refund(refund: &'a Refund, payment: &'a Payment, at: Timestamp) -> Self {
        // As it stood when the bill was made.
        let made_at = super::Day::of(refund.accepted_at).bills_made_at();
        let (refund_state, refunded_at) = match refund.first_end {
            Some((ended, status)) if ended <= made_at => match status {
                RefundStatus::Success => ("SUCCESS", Some(ended)),
                RefundStatus::Closed => ("FAIL", None),
                RefundStatus::Abnormal => ("CHANGE", None),
                RefundStatus::Processing => ("PROCESSING", None),
            },
            _ => ("PROCESSING", None),
        };
        Self {
            sort: Sort::Refund,
            fen: refund.refund_fen,
            fee_fen: fee_fen(refund.refund_fen),
            state: "REFUND",
            refund_id: refund.refund_id(),
            out_refund_no: &refund.out_refund_no,
            refund_state,
            refunded_at,
            ..Self::of_payment(payment, at)
        }
    }

    fn of_plant(state: &'a State, planted: &'a Planted, at: Timestamp) -> Option<Self> {
        let plain = |out_trade_no, openid, fen| Self {
            at,
            sort: Sort::Payment,
            transaction_id: String::new(),
            out_trade_no,
            openid,
            description: "",
            fen,
            fee_fen: fee_fen(fen),
            state: "SUCCESS",
            refund_id: String::new(),
            out_refund_no: "",
            refund_state: "",
            refunded_at: None,
            twice: false,
            of_another: planted.kind() == PlantKind::ForeignMerchant,
            without_income: false,
            jump_fen: 0,
        };
        match &planted.mark {
            Mark::OtherPayment { out_trade_no, transaction_id, openid, fen, .. } => {
                Some(Self { transaction_id: transaction_id.clone(), ..plain(out_trade_no, openid, *fen) })
            }
            Mark::OtherRefund { no, out_refund_no, refund_id, fen, .. } => {
                let payment = state.payments.at(*no)?;
                Some(Self {
                    sort: Sort::Refund,
                    transaction_id: payment.transaction_id().unwrap_or_default(),
                    state: "REFUND",
                    refund_id: refund_id.clone(),
                    out_refund_no,
                    refund_state: "SUCCESS",
                    refunded_at: Some(at),
                    ..plain(&payment.out_trade_no, &payment.openid, *fen)
                })
            }
            _ => None,
        }
    }

    fn planted<'p>(mut self, plants: impl Iterator<Item = &'p Planted>) -> Self {
        for planted in plants {
            match planted.kind() {
                PlantKind::Amount => {
                    self.fen += AMOUNT_OFF_FEN;
                    self.fee_fen = fee_fen(self.fen);
                }
                PlantKind::Fee => self.fee_fen += FEE_OFF_FEN,
                PlantKind::FundMismatch => self.without_income = true,
                PlantKind::BrokenBalance => self.jump_fen = BALANCE_OFF_FEN,
                PlantKind::DuplicateRow => self.twice = true,
                _ => {}
            }
        }
        self
    }

    /// What it does to the merchant's balance.
    pub(super) fn flow_fen(&self) -> i64 {
        if self.of_another {
            return 0;
        }
        let flow = match self.sort {
            Sort::Payment if self.without_income => -self.fee_fen,
            Sort::Payment | Sort::Closing => self.fen - self.fee_fen,
            Sort::Refund => self.fee_fen - self.fen,
        };
        flow + self.jump_fen
    }
}

/// When the bills have a payment; `None`: never.
pub(super) fn payment_at(plants: &Plants, payment: &Payment) -> Option<Timestamp> {
    let mut at = payment.paid_at?;
    for planted in plants.of_payment(payment.no) {
        match planted.kind() {
            PlantKind::Short => return None,
            PlantKind::CrossMidnight => at = planted.day.end(),
            _ => {}
        }
    }
    Some(at)
}

/// Whether the bills have a refund.
pub(super) fn has_refund(plants: &Plants, refund: &Refund) -> bool {
    plants.of_refund(refund.no).all(|planted| planted.kind() != PlantKind::MissingRefund)
}

/// When the bills have a row that the shop knows nothing of.
pub(super) fn other_at(planted: &Planted) -> Option<Timestamp> {
    match &planted.mark {
        Mark::OtherPayment { paid_at, .. } => Some(*paid_at),
        Mark::OtherRefund { made_at, .. } => Some(*made_at),
        _ => None,
    }
}
