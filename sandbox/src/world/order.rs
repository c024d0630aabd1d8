//! One supplier order and when its next steps are due. Pure.

use windlass_engine::Timestamp;

use super::event::{CancelOutcome, Fact, Line, Verdict};
use super::notice::{Notice, Sender};
use super::step::{Step, StepKind};
use crate::config::Pace;
use crate::draw::draw;
use crate::times::mark;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    Confirmed,
    Refused,
    Shipped,
    Delivered,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SupplierOrder {
    pub(crate) no: u32,
    pub(crate) so_id: Box<str>,
    pub(crate) online_no: Box<str>,
    pub(crate) lines: Box<[Line]>,
    pub(crate) amount_fen: i64,
    pub(crate) stage: Stage,
    pub(crate) accepted_at: Timestamp,
    pub(crate) confirmed_at: Option<Timestamp>,
    pub(crate) shipped_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
    /// Confirmed, and then there was nothing to send.
    pub(crate) out_of_stock_at: Option<Timestamp>,
    /// What the customer sent back after the goods were handed over has arrived.
    pub(crate) sent_back: bool,
    /// A cancellation that waits for its answer.
    pub(crate) cancel_asked_at: Option<Timestamp>,
    pub(crate) cancels_asked: u16,
    /// How many cancellations were answered; draws of later ones differ.
    pub(crate) cancels_answered: u16,
    pub(crate) notices: Vec<OrderNotice>,
    /// Another order for the same `onlineNo` was alive when this one was accepted.
    pub(crate) doubled: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderNotice {
    pub(crate) about: About,
    pub(crate) made_at: Timestamp,
    pub(crate) notice: Notice,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    Confirmed,
    Refused(Box<str>),
    OutOfStock(Box<str>),
    Cancel(Box<CancelOutcome>),
}

impl SupplierOrder {
    /// Haier's number, `ExtOrderNo`: it carries our running number, so that it needs no index.
    pub(crate) fn ext_order_no(&self) -> String {
        let day = crate::times::beijing(self.accepted_at).format("%Y%m%d");
        format!("SO.{day}.{}{:06}", mark(self.accepted_at), self.no + 1)
    }

    /// Whether the supplier is still bound to deliver.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.stage, Stage::Refused | Stage::Cancelled)
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.notices.iter().any(|owed| matches!(owed.about, About::Refused(_)))
    }

    pub(crate) fn apply(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::OrderConfirmed { .. } => {
                self.stage = Stage::Confirmed;
                self.confirmed_at = Some(at);
                self.owe(at, About::Confirmed);
            }
            Fact::OrderRefused { reason, .. } => {
                self.stage = Stage::Refused;
                self.owe(at, About::Refused(reason.as_str().into()));
            }
            Fact::OrderOutOfStock { reason, .. } => {
                self.out_of_stock_at = Some(at);
                self.owe(at, About::OutOfStock(reason.as_str().into()));
            }
            Fact::OrderShipped { .. } => {
                self.stage = Stage::Shipped;
                self.shipped_at = Some(at);
            }
            Fact::OrderDelivered { .. } => self.deliver(at),
            Fact::CancelAsked { .. } => {
                self.cancel_asked_at = Some(at);
                self.cancels_asked = self.cancels_asked.saturating_add(1);
            }
            Fact::CancelAnswered { outcome, .. } => self.cancel(at, outcome),
            Fact::OrderNoticeTried { nth, taken, .. } => {
                if let Some(owed) = self.notices.get_mut(usize::from(*nth)) {
                    owed.notice.tried(Sender::Ylh, at, *taken);
                }
            }
            _ => {}
        }
    }

    fn deliver(&mut self, at: Timestamp) {
        self.stage = Stage::Delivered;
        self.delivered_at = Some(at);
        for line in &mut self.lines {
            line.received = line.qty - line.rejected;
        }
    }

    fn cancel(&mut self, at: Timestamp, outcome: &CancelOutcome) {
        self.sent_back |= outcome.lines.iter().any(|line| line.returned > 0);
        self.cancel_asked_at = None;
        self.cancels_answered = self.cancels_answered.saturating_add(1);
        match outcome.verdict {
            Verdict::Failed => {}
            Verdict::Whole => {
                self.stage = Stage::Cancelled;
                self.lines = outcome.lines.clone();
            }
            Verdict::Partly => {
                self.stage = Stage::Delivered;
                self.delivered_at.get_or_insert(at);
                self.lines = outcome.lines.clone();
            }
        }
        self.owe(at, About::Cancel(Box::new(outcome.clone())));
    }

    fn owe(&mut self, at: Timestamp, about: About) {
        self.notices.push(OrderNotice { about, made_at: at, notice: Notice::due(at) });
    }

    /// Everything that will happen to this order by itself, as things stand.
    pub(crate) fn dues(&self, seed: u64, pace: &Pace, mut due: impl FnMut(Timestamp, Step)) {
        let after = |from: Timestamp, what: &str, span: crate::draw::Span, nth: u64| {
            from + span.pick(draw(seed, &[what, &self.so_id], nth))
        };
        let step = |kind| Step { kind, no: self.no, nth: 0, tries: 0 };
        match self.stage {
            Stage::Accepted => {
                due(after(self.accepted_at, "confirm", pace.confirm, 0), step(StepKind::Decide));
            }
            Stage::Confirmed if self.out_of_stock_at.is_some() => {}
            Stage::Confirmed => {
                let from = self.confirmed_at.unwrap_or(self.accepted_at);
                let kind = if crate::ylh::is_lacking(self) { StepKind::RunOut } else { StepKind::Ship };
                due(after(from, "ship", pace.ship, 0), step(kind));
            }
            Stage::Shipped => {
                let from = self.shipped_at.unwrap_or(self.accepted_at);
                due(after(from, "deliver", pace.deliver, 0), step(StepKind::Deliver));
            }
            Stage::Delivered if !self.sent_back && crate::ylh::sent_back(self).is_some() => {
                let from = self.delivered_at.unwrap_or(self.accepted_at);
                due(after(from, "send_back", pace.send_back, 0), step(StepKind::SendBack));
            }
            Stage::Refused | Stage::Delivered | Stage::Cancelled => {}
        }
        if let Some(asked_at) = self.cancel_asked_at {
            let nth = self.cancels_answered;
            let at = after(asked_at, "cancel", pace.cancel_answer, u64::from(nth));
            due(at, Step { tries: nth as u8, ..step(StepKind::AnswerCancel) });
        }
        for (nth, owed) in self.notices.iter().enumerate() {
            if let Some(at) = owed.notice.due {
                let nth = u8::try_from(nth).unwrap_or(u8::MAX);
                due(at, Step { nth, tries: owed.notice.tries, ..step(StepKind::OrderNotice) });
            }
        }
    }
}
