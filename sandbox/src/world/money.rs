//! Payments and refunds, and when their next steps are due. Pure.

use windlass_engine::Timestamp;

use super::event::{Fact, RefundStatus, Upload};
use super::notice::{Notice, Sender};
use super::step::{Step, StepKind};
use crate::config::Pace;
use crate::draw::draw;
use crate::times::mark;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Payment {
    pub(crate) no: u32,
    pub(crate) out_trade_no: Box<str>,
    pub(crate) openid: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) total_fen: i64,
    pub(crate) offered_at: Timestamp,
    pub(crate) pays_at: Option<Timestamp>,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) closed_at: Option<Timestamp>,
    /// Placed by the shop, and the customer has not come to the till yet.
    pub(crate) prepaid: bool,
    /// Paid after it was closed, which no callback told of.
    pub(crate) late: bool,
    pub(crate) notice: Option<Notice>,
    /// Of refunds that were not closed.
    pub(crate) refunded_fen: i64,
    pub(crate) refunds: u16,
    pub(crate) last_refund_at: Option<Timestamp>,
    pub(crate) shipping: Option<Box<Shipping>>,
    /// How often the customer was asked to confirm receipt: once is all there is.
    pub(crate) receipts_asked: u8,
}

impl Payment {
    /// WeChat's number, known from the moment of payment. It carries our running number, so that it needs no index.
    pub(crate) fn transaction_id(&self) -> Option<String> {
        let (mark, day) = (mark(self.offered_at), crate::times::beijing(self.paid_at?).format("%Y%m%d"));
        Some(format!("4200{mark}{day}{:010}", self.no + 1))
    }

    pub(crate) fn notice_id(&self) -> String {
        format!("SANDBOX-P-{}-{:010}", mark(self.offered_at), self.no + 1)
    }

    pub(crate) fn apply(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::PaymentMade { .. } => {
                self.paid_at = Some(at);
                self.notice = Some(Notice::due(at));
            }
            Fact::PaymentClosed { .. } => self.closed_at = Some(at),
            Fact::CustomerCame { pays_at, .. } => (self.pays_at, self.prepaid) = (*pays_at, false),
            Fact::PaymentNoticeTried { taken, .. } => {
                if let Some(notice) = &mut self.notice {
                    notice.tried(Sender::Pay, at, *taken);
                }
            }
            Fact::ReceiptAsked { .. } => self.receipts_asked = self.receipts_asked.saturating_add(1),
            Fact::ShippingUploaded { upload, .. } => {
                self.shipping.get_or_insert_default().take(upload);
            }
            _ => {}
        }
    }

    pub(crate) fn dues(&self, mut due: impl FnMut(Timestamp, Step)) {
        let step = |kind, tries| Step { kind, no: self.no, nth: 0, tries };
        if let (Some(at), None, None) = (self.pays_at, self.paid_at, self.closed_at) {
            due(at, step(StepKind::Pay, 0));
        }
        if let Some(Notice { due: Some(at), tries, .. }) = self.notice {
            due(at, step(StepKind::PaymentNotice, tries));
        }
    }
}

/// What the mini-program knows about the shipping of one payment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shipping {
    pub(crate) current: Option<Upload>,
    /// How often shipping was finished: 1 shipped, 2 shipped again (facts: wechat-mini-program.md 3).
    pub(crate) finished_count: u8,
}

impl Shipping {
    fn take(&mut self, upload: &Upload) {
        let mut upload = upload.clone();
        // The parcels of a split shipment add up until the last one is told.
        if let Some(before) = &self.current
            && !before.finished
            && before.delivery_mode == upload.delivery_mode
        {
            let mut parcels = before.parcels.clone();
            parcels.retain(|old| upload.parcels.iter().all(|new| new.tracking_no != old.tracking_no));
            parcels.append(&mut upload.parcels);
            upload.parcels = parcels;
        }
        self.finished_count += u8::from(upload.finished);
        self.current = Some(upload);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refund {
    pub(crate) no: u32,
    pub(crate) out_refund_no: Box<str>,
    pub(crate) out_trade_no: Box<str>,
    pub(crate) refund_fen: i64,
    pub(crate) total_fen: i64,
    pub(crate) reason: Box<str>,
    pub(crate) status: RefundStatus,
    pub(crate) accepted_at: Timestamp,
    pub(crate) settled_at: Option<Timestamp>,
    /// How it ended at first; an abnormal one may be taken up again.
    pub(crate) first_end: Option<(Timestamp, RefundStatus)>,
    /// No callback tells the shop of it.
    pub(crate) untold: bool,
    /// The shop sent an abnormal refund to another account.
    pub(crate) redirected_at: Option<Timestamp>,
    pub(crate) notice: Option<Notice>,
    /// An earlier refund of the same payment has the same amount and reason.
    pub(crate) alike: bool,
}

impl Refund {
    /// Goes to a bank card, which takes days.
    fn is_slow(&self, seed: u64, pace: &Pace) -> bool {
        draw(seed, &["slow refund", &self.out_refund_no], 0) % 1_000 < u64::from(pace.refunds.slow_per_mille)
    }

    pub(crate) fn refund_id(&self) -> String {
        let (mark, day) = (mark(self.accepted_at), crate::times::beijing(self.accepted_at).format("%Y%m%d"));
        format!("5030{mark}{day}{:011}", self.no + 1)
    }

    pub(crate) fn notice_id(&self) -> String {
        format!("SANDBOX-R-{}-{:010}", mark(self.accepted_at), self.no + 1)
    }

    pub(crate) fn apply(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::RefundSettled { status, .. } => {
                self.status = *status;
                self.settled_at = Some(at);
                self.first_end.get_or_insert((at, *status));
                self.notice = (!self.untold).then(|| Notice::due(at));
            }
            Fact::RefundRedirected { .. } => {
                (self.status, self.settled_at, self.notice) = (RefundStatus::Processing, None, None);
                self.redirected_at = Some(at);
            }
            Fact::RefundNoticeTried { taken, .. } => {
                if let Some(notice) = &mut self.notice {
                    notice.tried(Sender::Pay, at, *taken);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn dues(&self, seed: u64, pace: &Pace, mut due: impl FnMut(Timestamp, Step)) {
        let step = |kind, tries| Step { kind, no: self.no, nth: 0, tries };
        if self.settled_at.is_none() {
            let drawn = draw(seed, &["refund", &self.out_refund_no], 0);
            let length = if self.is_slow(seed, pace) { pace.refunds.slow } else { pace.refund };
            let from = self.redirected_at.unwrap_or(self.accepted_at);
            due(
                from + length.pick(drawn),
                step(StepKind::SettleRefund, u8::from(self.redirected_at.is_some())),
            );
        }
        if let Some(Notice { due: Some(at), tries, .. }) = self.notice {
            due(at, step(StepKind::RefundNotice, tries));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::event::Event;
    use crate::world::state::State;

    fn first_payment_of_a_world(began: Timestamp) -> (State, String) {
        let mut state = State::default();
        let offered = Fact::PaymentOffered {
            out_trade_no: "T1".into(),
            total_fen: 100,
            openid: "o1".into(),
            description: String::new(),
            pays_at: None,
            prepaid: false,
        };
        let paid = Fact::PaymentMade { out_trade_no: "T1".into() };
        for (at, fact) in [(began, offered), (Timestamp::from_secs(1_767_585_600), paid)] {
            state.apply(&Event { at, fact }, 7, &Pace::default(), |_, _| {});
        }
        let id = state.payments.get("T1").unwrap().transaction_id().unwrap();
        (state, id)
    }

    #[test]
    fn two_worlds_give_two_numbers_on_one_day_and_know_their_own() {
        let (first, ours) = first_payment_of_a_world(Timestamp::from_micros(1_767_585_500_000_017));
        let (_, theirs) = first_payment_of_a_world(Timestamp::from_micros(1_767_585_560_481_203));
        assert_eq!((ours.len(), theirs.len()), (28, 28));
        assert_ne!(ours, theirs);
        assert!(first.payment_by_transaction(&ours).is_some());
        assert!(first.payment_by_transaction(&theirs).is_none());
    }
}
