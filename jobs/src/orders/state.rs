//! The states of an order, who moves each of them on, and where it may go: the one place that says so.
//!
//! Three states are ends. One of them has a door that only money opens: what was cancelled because nobody had paid may
//! be revived where the shop wants that ([`super::change::Change::revive`]).
//!
//! Pure. The compare-and-set that makes a move happen is in [`super::change`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use OrderState::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Recorded; whether it is paid is not known yet.
    Pending,
    /// The money is there.
    Paid,
    /// Haier sells it, has it, and can bring it to that county.
    Checked,
    /// YLH took the order; it may still refuse it.
    Placed,
    /// YLH's confirmation came.
    Confirmed,
    /// The carriers have all that was sent so far.
    Shipped,
    /// The customer has every parcel.
    Delivered,
    Completed,
    /// Wanted no more: the supplier must let go, the money must go back, then it is cancelled.
    Cancelling,
    Cancelled,
    /// Cannot be fulfilled for a stated reason: winds down like a cancelled one.
    Refusing,
    Refused,
}

/// A line of the table.
pub struct Line {
    pub state: OrderState,
    /// The kinds of jobs that move an order out of this state.
    pub moved_by: &'static [&'static str],
    /// The scheduled kinds that look after orders that stay in it too long.
    pub watched_by: &'static [&'static str],
    pub next: &'static [OrderState],
}

#[rustfmt::skip]
pub static TABLE: &[Line] = &[
    Line { state: Pending,    moved_by: &["query_payment", "handle_payment_callback", "cancel_order"],
           watched_by: &["expire_unpaid_orders", "sweep_orders"],   next: &[Paid, Cancelling] },
    Line { state: Paid,       moved_by: &["check_supply", "cancel_order"],
           watched_by: &["sweep_orders"],                           next: &[Checked, Refusing, Cancelling] },
    Line { state: Checked,    moved_by: &["place_supplier_order", "handle_supplier_callback", "cancel_order"],
           watched_by: &["sweep_orders"],                           next: &[Placed, Refusing, Cancelling] },
    Line { state: Placed,     moved_by: &["handle_supplier_callback", "cancel_order"],
           watched_by: &["watch_supplier_orders"],                  next: &[Confirmed, Refusing, Cancelling] },
    Line { state: Confirmed,  moved_by: &["track_parcels", "handle_supplier_callback", "cancel_order"],
           watched_by: &["track_parcels"],                          next: &[Shipped, Refusing, Cancelling] },
    Line { state: Shipped,    moved_by: &["track_parcels", "handle_supplier_callback", "cancel_supplier_order"],
           watched_by: &["track_parcels"],                          next: &[Delivered, Refusing] },
    Line { state: Delivered,  moved_by: &["complete_order", "handle_supplier_callback", "cancel_supplier_order"],
           watched_by: &["sweep_orders"],                           next: &[Completed, Refusing] },
    Line { state: Completed,  moved_by: &[], watched_by: &[],       next: &[] },
    // Back to where it was when the supplier does not let go of it.
    Line { state: Cancelling, moved_by: &["cancel_order", "cancel_supplier_order", "place_supplier_order",
                                          "handle_supplier_callback", "request_refund", "query_refund", "handle_refund_callback"],
           watched_by: &["watch_supplier_orders", "sweep_orders"],  next: &[Cancelled, Placed, Confirmed] },
    Line { state: Cancelled,  moved_by: &[], watched_by: &[],       next: &[] },
    Line { state: Refusing,   moved_by: &["cancel_order", "cancel_supplier_order", "place_supplier_order", "handle_supplier_callback",
                                          "request_refund", "query_refund", "handle_refund_callback"],
           watched_by: &["watch_supplier_orders", "sweep_orders"],  next: &[Refused, Placed, Confirmed] },
    Line { state: Refused,    moved_by: &[], watched_by: &[],       next: &[] },
];

impl OrderState {
    pub const ALL: [OrderState; 12] = [
        Pending, Paid, Checked, Placed, Confirmed, Shipped, Delivered, Completed, Cancelling, Cancelled,
        Refusing, Refused,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Paid => "paid",
            Checked => "checked",
            Placed => "placed",
            Confirmed => "confirmed",
            Shipped => "shipped",
            Delivered => "delivered",
            Completed => "completed",
            Cancelling => "cancelling",
            Cancelled => "cancelled",
            Refusing => "refusing",
            Refused => "refused",
        }
    }

    pub fn line(self) -> &'static Line {
        TABLE.iter().find(|line| line.state == self).expect("every state has a line in the table")
    }

    pub fn may_become(self, to: OrderState) -> bool {
        self.line().next.contains(&to)
    }

    pub fn is_terminal(self) -> bool {
        self.line().next.is_empty()
    }

    /// On the way to being cancelled or refused.
    pub const fn is_winding_down(self) -> bool {
        matches!(self, Cancelling | Refusing)
    }

    /// Cancelled or refused, or on the way there: money that comes now goes back.
    pub const fn wants_no_money(self) -> bool {
        matches!(self, Cancelling | Cancelled | Refusing | Refused)
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of an order")]
pub struct UnknownState(pub String);

impl FromStr for OrderState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

impl TryFrom<String> for OrderState {
    type Error = UnknownState;
    fn try_from(text: String) -> Result<Self, UnknownState> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_state_has_one_line_and_reads_back() {
        assert_eq!(TABLE.len(), OrderState::ALL.len());
        for state in OrderState::ALL {
            assert_eq!(state.line().state, state);
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn every_state_that_is_not_terminal_is_moved_by_a_job_and_watched_by_a_schedule() {
        let kinds: HashSet<_> = crate::JOBS.iter().map(|kind| kind.name).collect();
        for line in TABLE {
            assert_eq!(line.state.is_terminal(), line.moved_by.is_empty(), "{}", line.state);
            assert_eq!(line.state.is_terminal(), line.watched_by.is_empty(), "{}", line.state);
            for kind in line.moved_by.iter().chain(line.watched_by) {
                assert!(kinds.contains(kind), "{}: no kind {kind}", line.state);
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_and_can_end() {
        let mut seen = HashSet::from([Pending]);
        let mut queue = vec![Pending];
        while let Some(state) = queue.pop() {
            queue.extend(state.line().next.iter().copied().filter(|next| seen.insert(*next)));
        }
        assert_eq!(seen.len(), OrderState::ALL.len());
        for start in OrderState::ALL {
            let mut seen = HashSet::from([start]);
            let mut queue = vec![start];
            while let Some(state) = queue.pop() {
                queue.extend(state.line().next.iter().copied().filter(|next| seen.insert(*next)));
            }
            assert!(seen.iter().any(|state| state.is_terminal()), "{start} never ends");
        }
    }

    #[test]
    fn an_order_that_was_shipped_cannot_be_cancelled() {
        for state in [Shipped, Delivered, Completed] {
            assert!(!state.may_become(Cancelling));
        }
    }
}
