//! What belongs into the bills of one day, in the order of its times, and the balance that the day began with.

use windlass_engine::Timestamp;

use super::Day;
use super::row::{About, Row, has_refund, other_at, payment_at};
use crate::plants::Mark;
use crate::world::event::RefundStatus;
use crate::world::state::State;

/// The merchant's balance before anything happened: enough for every refund.
const BALANCE_AT_FIRST_FEN: i64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct DayBook {
    pub(crate) day: Day,
    pub(super) entries: Vec<(Timestamp, About)>,
    /// Numbers of rows that cannot be read.
    pub(super) bad_rows: Vec<String>,
    /// The running balance that the fund flow bill begins with.
    pub(super) opening_fen: i64,
}

impl DayBook {
    pub(crate) fn open(state: &State, day: Day) -> Self {
        let mut book =
            Self { day, entries: Vec::new(), bad_rows: Vec::new(), opening_fen: BALANCE_AT_FIRST_FEN };
        for payment in state.payments.rows() {
            if let Some(at) = payment_at(&state.plants, payment) {
                book.add(state, at, About::Payment(payment.no));
            }
        }
        for refund in state.refunds.rows().iter().filter(|refund| has_refund(&state.plants, refund)) {
            book.add(state, refund.accepted_at, About::Refund(refund.no));
            if let Some((at, RefundStatus::Closed)) = refund.first_end {
                book.add(state, at, About::Closing(refund.no));
            }
        }
        for (index, planted) in state.plants.all().iter().enumerate() {
            if let Some(at) = other_at(planted) {
                book.add(state, at, About::Other(index as u32));
            }
            if let Mark::Row { number } = &planted.mark
                && planted.day == day
            {
                book.bad_rows.push(number.clone());
            }
        }
        book.entries.sort_unstable();
        book
    }

    fn add(&mut self, state: &State, at: Timestamp, about: About) {
        if self.day.has(at) {
            self.entries.push((at, about));
        } else if at < self.day.start() {
            self.opening_fen += Row::of(state, about, at).map_or(0, |row| row.flow_fen());
        }
    }
}
