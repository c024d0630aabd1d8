//! The state of the world: what the events add up to. Pure: it knows no clock, no file and no socket.

use std::collections::{HashMap, HashSet, VecDeque};

use windlass_engine::Timestamp;

use super::event::{Event, Fact, Mail, RefundStatus};
use super::money::{Payment, Refund};
use super::order::{Stage, SupplierOrder};
use super::register::Register;
use super::step::Step;
use crate::config::Pace;
use crate::plants::{Mark, Plants};
use crate::times::MARK_CHARS;

/// How many mails are kept with their text; of the older ones only the Message-ID is.
const MAILS_KEPT_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) orders: Register<SupplierOrder>,
    /// `onlineNo` to the orders placed for it.
    pub(crate) placed_for: HashMap<Box<str>, Vec<u32>>,
    pub(crate) payments: Register<Payment>,
    pub(crate) refunds: Register<Refund>,
    pub(crate) refunds_refused_over: HashSet<Box<str>>,
    /// Since when a refund was asked for while the balance was short.
    pub(crate) refunds_short: HashMap<Box<str>, Timestamp>,
    pub(crate) plants: Plants,
    pub(crate) messages: HashMap<Box<str>, Told>,
    /// A hash of each message's receiver, template and data.
    messages_seen: HashSet<u64>,
    pub(crate) mail_ids: HashMap<Box<str>, Told>,
    pub(crate) mails: VecDeque<(Timestamp, Mail)>,
    pub(crate) webhooks: HashMap<Box<str>, Told>,
    /// What each said when it first came.
    webhooks_said: HashMap<Box<str>, u64>,
    pub(crate) mini_tokens: MiniTokens,
}

/// How often something reached a person, and whether it was the same thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) times: u32,
    pub(crate) doubled: bool,
}

/// The mini-program's access tokens (facts: wechat-mini-program.md 1).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MiniTokens {
    pub(crate) current: Option<MiniToken>,
    /// The one before, which still works until its own end unless the newer one was forced.
    pub(crate) before: Option<MiniToken>,
    pub(crate) issued: u64,
    /// When tokens were forced, the newest last.
    pub(crate) forced_at: VecDeque<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MiniToken {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

/// A transaction id is these many characters, then our running number.
const TRANSACTION_HEAD_CHARS: usize = 18;
/// More forced refreshes than a day allows need not be remembered.
const FORCED_KEPT_MAX: usize = 20;

/// Which row an event changed: that row may be due for something new.
#[derive(Clone, Copy, Debug)]
enum Row {
    Order(u32),
    Payment(u32),
    Refund(u32),
}

impl State {
    /// Takes an event in and names the steps that are due because of it.
    pub(crate) fn apply(&mut self, event: &Event, seed: u64, pace: &Pace, due: impl FnMut(Timestamp, Step)) {
        match self.change(event) {
            Some(Row::Order(no)) => {
                if let Some(order) = self.orders.at(no) {
                    order.dues(seed, pace, due);
                }
            }
            Some(Row::Payment(no)) => {
                if let Some(payment) = self.payments.at(no) {
                    payment.dues(due);
                }
            }
            Some(Row::Refund(no)) => {
                if let Some(refund) = self.refunds.at(no) {
                    refund.dues(seed, pace, due);
                }
            }
            None => {}
        }
    }

    /// Everything that is due, of every row.
    pub(crate) fn dues(&self, seed: u64, pace: &Pace, mut due: impl FnMut(Timestamp, Step)) {
        self.orders.rows().iter().for_each(|order| order.dues(seed, pace, &mut due));
        self.payments.rows().iter().for_each(|payment| payment.dues(&mut due));
        self.refunds.rows().iter().for_each(|refund| refund.dues(seed, pace, &mut due));
    }

    /// By Haier's number, which ends in our running number.
    pub(crate) fn order_by_ext(&self, ext_order_no: &str) -> Option<&SupplierOrder> {
        let no: u32 = ext_order_no.rsplit('.').next()?.get(MARK_CHARS..)?.parse().ok()?;
        self.orders.at(no.checked_sub(1)?).filter(|order| order.ext_order_no() == ext_order_no)
    }

    /// By WeChat's number, which ends in our running number.
    pub(crate) fn payment_by_transaction(&self, transaction_id: &str) -> Option<&Payment> {
        let no: u32 = transaction_id.get(TRANSACTION_HEAD_CHARS..)?.parse().ok()?;
        let payment = self.payments.at(no.checked_sub(1)?)?;
        (payment.transaction_id().as_deref() == Some(transaction_id)).then_some(payment)
    }

    fn change(&mut self, event: &Event) -> Option<Row> {
        let at = event.at;
        match &event.fact {
            Fact::OrderAccepted { .. } => self.accept_order(event).map(Row::Order),
            fact @ (Fact::OrderConfirmed { so_id }
            | Fact::OrderRefused { so_id, .. }
            | Fact::OrderOutOfStock { so_id, .. }
            | Fact::OrderShipped { so_id }
            | Fact::OrderDelivered { so_id }
            | Fact::CancelAsked { so_id }
            | Fact::CancelAnswered { so_id, .. }
            | Fact::OrderNoticeTried { so_id, .. }) => {
                let order = self.orders.get_mut(so_id)?;
                order.apply(at, fact);
                Some(Row::Order(order.no))
            }
            Fact::PaymentOffered { .. } => self.offer_payment(event).map(Row::Payment),
            fact @ (Fact::PaymentMade { out_trade_no }
            | Fact::CustomerCame { out_trade_no, .. }
            | Fact::PaymentClosed { out_trade_no }
            | Fact::PaymentNoticeTried { out_trade_no, .. }
            | Fact::ReceiptAsked { out_trade_no }
            | Fact::ShippingUploaded { out_trade_no, .. }) => {
                let payment = self.payments.get_mut(out_trade_no)?;
                payment.apply(at, fact);
                Some(Row::Payment(payment.no))
            }
            Fact::RefundAccepted { .. } => self.accept_refund(event).map(Row::Refund),
            fact @ (Fact::RefundSettled { out_refund_no, .. }
            | Fact::RefundRedirected { out_refund_no }
            | Fact::RefundNoticeTried { out_refund_no, .. }) => {
                self.change_refund(at, out_refund_no, fact).map(Row::Refund)
            }
            Fact::RefundRefused { out_refund_no } => {
                self.refunds_refused_over.insert(out_refund_no.as_str().into());
                None
            }
            Fact::RefundShort { out_refund_no } => {
                self.refunds_short.entry(out_refund_no.as_str().into()).or_insert(at);
                None
            }
            Fact::PlantAsked { plant } => {
                self.plants.ask(plant);
                None
            }
            Fact::Planted { nth, day, mark } => {
                if let Mark::Late { no, paid_at } = mark {
                    self.payments.change_at(*no, |payment| {
                        (payment.paid_at, payment.late) = (Some(*paid_at), true);
                    });
                }
                self.plants.plant(*nth, *day, mark.clone());
                if let Mark::Refund { no } = mark
                    && self.plants.untold_until(*no).is_some()
                {
                    self.refunds.change_at(*no, |refund| refund.untold = true);
                }
                None
            }
            Fact::DayClosed { day } => {
                self.plants.close(*day);
                None
            }
            Fact::MiniTokenIssued { token, expires_at, forced } => {
                self.mini_tokens.issue(at, token, *expires_at, *forced);
                None
            }
            Fact::MessageSent { key, content } => {
                let told = self.messages.entry(key.as_str().into()).or_default();
                told.times += 1;
                told.doubled |= !self.messages_seen.insert(*content);
                None
            }
            Fact::WebhookTaken { key, content } => {
                self.take_webhook(key, *content);
                None
            }
            Fact::MailTaken { mail } => {
                let told = self.mail_ids.entry(mail.message_id.as_str().into()).or_default();
                told.times += 1;
                told.doubled = told.times > 1;
                self.mails.push_back((at, mail.clone()));
                if self.mails.len() > MAILS_KEPT_MAX {
                    self.mails.pop_front();
                }
                None
            }
        }
    }

    /// A webhook may come again; under one id it says the same.
    fn take_webhook(&mut self, key: &str, content: u64) {
        let first = *self.webhooks_said.entry(key.into()).or_insert(content);
        let told = self.webhooks.entry(key.into()).or_default();
        told.times += 1;
        told.doubled |= first != content;
    }

    fn accept_order(&mut self, event: &Event) -> Option<u32> {
        let Fact::OrderAccepted { so_id, online_no, lines, amount_fen } = &event.fact else { return None };
        let siblings = self.placed_for.get(online_no.as_str()).map(Vec::as_slice).unwrap_or_default();
        let doubled = siblings.iter().filter_map(|no| self.orders.at(*no)).any(SupplierOrder::is_alive);
        let no = self.orders.insert(
            so_id,
            SupplierOrder {
                no: self.orders.next_no(),
                so_id: so_id.as_str().into(),
                online_no: online_no.as_str().into(),
                lines: lines.clone().into(),
                amount_fen: *amount_fen,
                stage: Stage::Accepted,
                accepted_at: event.at,
                confirmed_at: None,
                out_of_stock_at: None,
                sent_back: false,
                shipped_at: None,
                delivered_at: None,
                cancel_asked_at: None,
                cancels_asked: 0,
                cancels_answered: 0,
                notices: Vec::new(),
                doubled,
            },
        )?;
        self.placed_for.entry(online_no.as_str().into()).or_default().push(no);
        Some(no)
    }

    fn offer_payment(&mut self, event: &Event) -> Option<u32> {
        let Fact::PaymentOffered { out_trade_no, total_fen, openid, description, pays_at, prepaid } =
            &event.fact
        else {
            return None;
        };
        self.payments.insert(
            out_trade_no,
            Payment {
                no: self.payments.next_no(),
                out_trade_no: out_trade_no.as_str().into(),
                openid: openid.as_str().into(),
                description: description.as_str().into(),
                total_fen: *total_fen,
                offered_at: event.at,
                pays_at: *pays_at,
                paid_at: None,
                closed_at: None,
                prepaid: *prepaid,
                late: false,
                notice: None,
                refunded_fen: 0,
                refunds: 0,
                last_refund_at: None,
                shipping: None,
                receipts_asked: 0,
            },
        )
    }

    fn accept_refund(&mut self, event: &Event) -> Option<u32> {
        let Fact::RefundAccepted { out_refund_no, out_trade_no, refund_fen, total_fen, reason } = &event.fact
        else {
            return None;
        };
        let has_others = self.payments.get(out_trade_no).is_some_and(|payment| payment.refunds > 0);
        let alike = has_others
            && self.refunds.rows().iter().rev().any(|refund| {
                refund.out_trade_no.as_ref() == out_trade_no
                    && refund.refund_fen == *refund_fen
                    && refund.reason.as_ref() == reason
                    && refund.status != RefundStatus::Closed
            });
        let no = self.refunds.insert(
            out_refund_no,
            Refund {
                no: self.refunds.next_no(),
                out_refund_no: out_refund_no.as_str().into(),
                out_trade_no: out_trade_no.as_str().into(),
                refund_fen: *refund_fen,
                total_fen: *total_fen,
                reason: reason.as_str().into(),
                status: RefundStatus::Processing,
                accepted_at: event.at,
                settled_at: None,
                first_end: None,
                untold: false,
                redirected_at: None,
                notice: None,
                alike,
            },
        )?;
        if let Some(payment) = self.payments.get_mut(out_trade_no) {
            payment.refunded_fen += refund_fen;
            payment.refunds += 1;
            payment.last_refund_at = Some(event.at);
        }
        Some(no)
    }

    fn change_refund(&mut self, at: Timestamp, out_refund_no: &str, fact: &Fact) -> Option<u32> {
        let refund = self.refunds.get_mut(out_refund_no)?;
        refund.apply(at, fact);
        // A closed refund's money went back to the merchant.
        if let Fact::RefundSettled { status: RefundStatus::Closed, .. } = fact
            && let Some(payment) = self.payments.get_mut(&refund.out_trade_no)
        {
            payment.refunded_fen -= refund.refund_fen;
        }
        Some(refund.no)
    }
}

impl MiniTokens {
    fn issue(&mut self, at: Timestamp, token: &str, expires_at: Timestamp, forced: bool) {
        self.issued += 1;
        self.before = if forced { None } else { self.current.take() };
        self.current = Some(MiniToken { token: token.to_owned(), expires_at });
        if forced {
            self.forced_at.push_back(at);
            if self.forced_at.len() > FORCED_KEPT_MAX {
                self.forced_at.pop_front();
            }
        }
    }
}
