//! Comparing a day's bills of WeChat Pay with our books: three legs, L (our payments and refunds), T (the trade
//! bill) and F (the flow of funds), as facts/commerce-states.md 6 has it.
//!
//! Both sides of a leg are sorted by key on disk, in runs of bounded memory, and merged: one pass over each, memory
//! flat in the number of rows, the same on both engines of the ledger and whatever the order of their texts. What
//! differs becomes a [finding](crate::findings); nothing of the books is ever written here. Healing is a job of its
//! own ([`HealFinding`]) that asks WeChat afresh and then goes the way that a callback goes.
//!
//! Fetching and reading bills is not done here ([`crate::payments::bill`]).

mod bill_side;
mod book;
mod carry;
mod compare;
mod day;
mod found;
mod funds;
mod heal_finding;
mod ledger_side;
mod lookup;
mod payments;
mod reconcile_payments;
mod records;
mod refunds;
mod report;
mod sorter;
mod tell;
mod view;

pub use book::ReconciliationState;
pub use compare::{Compared, Wanted, compare};
pub use day::{BadDay, Day};
pub use heal_finding::HealFinding;
pub use reconcile_payments::ReconcilePayments;
pub use report::{Changed, Leg, Open, Report, Side, UsedBill};
pub use tell::{PAGE_FINDINGS_MAX, csv, html};
pub use view::{
    RECONCILIATION_ROWS_MAX, Reconciliation, ReconciliationPage, findings_of, newest_day_compared,
    reconciliation, reconciliations,
};
