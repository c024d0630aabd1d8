//! The report of one comparison: counts and sums of both sides, and what became of them. Stored as JSON; a field that
//! was written stays readable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Times are RFC 3339; amounts are fen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub mchid: String,
    /// `yyyy-MM-dd`.
    pub day: String,
    pub version: i64,
    pub trade: Option<UsedBill>,
    /// None: there was none, and the flow of funds was not compared.
    pub fund: Option<UsedBill>,
    pub payments: Leg,
    pub refunds: Leg,
    /// Payments of the trade bill (`ours`) beside incomes of the flow of funds (`theirs`).
    pub funds: Option<Leg>,
    /// Payments that the till took back.
    pub revoked: u64,
    /// How many differences of each type.
    pub findings: BTreeMap<String, u64>,
    /// Beyond the bound of one comparison: counted, not raised.
    pub findings_not_raised: u64,
    /// Cases that were sent to be healed, and those that could be and were beyond the bound.
    pub heals_sent: u64,
    pub heals_held: u64,
    /// Against the version before.
    pub changed: Option<Changed>,
    /// Open cases of reconciliation after it, of all days.
    pub open: Open,
    /// Wall time.
    pub seconds: f64,
}

/// A bill that was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsedBill {
    pub id: String,
    pub version: i64,
    pub sha1: String,
    pub rows: i64,
    pub bad_rows: i64,
}

/// Two sides of one comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leg {
    /// Of our books.
    pub ours: Side,
    /// Of the bill.
    pub theirs: Side,
    /// Rows of the bill with a row of ours of the same amount, of whatever day.
    pub matched: Side,
    /// Of these, those whose row of ours is of another day.
    pub of_other_days: Side,
    /// Rows of ours that a bill of another day has.
    pub elsewhere: Side,
    /// Rows of ours that wait for later bills.
    pub carried: Side,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    pub count: u64,
    pub sum_fen: i64,
}

impl Side {
    pub fn add(&mut self, fen: i64) {
        self.count += 1;
        self.sum_fen = self.sum_fen.saturating_add(fen);
    }
}

/// What differs from the version before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changed {
    pub since_version: i64,
    /// Cases that the version before did not have.
    pub new: i64,
    /// Cases that both have.
    pub still: i64,
    /// Cases that only the version before had.
    pub gone: i64,
    /// Of those and of older versions', the ones that were open and are superseded now.
    pub superseded: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Open {
    pub count: i64,
    /// When the oldest was raised.
    pub oldest_raised_at: Option<String>,
}
