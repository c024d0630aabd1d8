//! A day's bill of WeChat Pay: what its lines say, and where the ledger keeps it (facts: wechat-pay.md 10, 11).
//!
//! The parser is pure and reads a file of any size in flat memory. It judges the file, not the shop: what a row
//! means for a payment of ours is reconciliation's affair. Asking WeChat for a bill is `fetch_bill`'s.

mod amount;
mod form;
mod fund;
mod list;
mod parser;
mod read;
mod shelf;
mod splitter;
mod totals;
mod trade;
mod write;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::wechat_pay::BillKind;
use crate::stored::stored_states;

pub use form::{Expected, Form};
pub use fund::{Balance, Fund, FundRow};
pub use list::{BILL_ROWS_MAX, BillPage, BillView, bills};
pub use parser::{BadRow, Line, NotABill, Parser};
pub use read::{BillReader, read_fund, read_trade};
pub(crate) use shelf::{
    Standing, asked_again, count_wrong_hash, forget_wrong_hashes, ready_file, record_no_statement,
    record_refused, standing,
};
pub use shelf::{StoredBill, newest_ready};
pub use splitter::LINE_BYTES_MAX;
pub use totals::{BillTotals, Difference, Figure, Odd};
pub use trade::{BillRow, RowKind, Trade};
pub use write::{BillWriter, Sealed};
pub(crate) use write::{abandon, expire_files};

use crate::ledger::LedgerError;

/// How a day is stored and told.
const DAY: &str = "%Y-%m-%d";

stored_states! {
    /// What is fetched of each day.
    #[derive(Deserialize, JsonSchema, PartialOrd, Ord)]
    BillType {
        /// Every payment and refund (`bill_type=ALL`).
        Trade = "trade",
        /// Every movement of the basic account (`account_type=BASIC`).
        Fund = "fund",
    }
}

stored_states! {
    BillState {
        /// Being written; nobody may read it.
        Fetching = "fetching",
        /// Its writer died or lost the race; what is left of it goes away.
        Abandoned = "abandoned",
        /// Whole, and its SHA1 is right.
        Ready = "ready",
        /// It was ready; its file is too old to be kept.
        Expired = "expired",
        /// WeChat says that there was no trade.
        NoStatement = "no_statement",
        /// What came cannot be this day's bill; `reason` says why.
        Refused = "refused",
    }
}

impl BillType {
    pub const fn kind(self) -> BillKind {
        match self {
            Self::Trade => BillKind::TradeAll,
            Self::Fund => BillKind::FundFlowBasic,
        }
    }
}

/// Whose bill, of which day, of which sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillKey {
    pub mchid: String,
    /// On Beijing's calendar.
    pub day: NaiveDate,
    pub kind: BillType,
}

impl BillKey {
    /// `yyyy-MM-dd`, as it is stored.
    pub fn day_text(&self) -> String {
        day_text(self.day)
    }
}

fn day_text(day: NaiveDate) -> String {
    day.format(DAY).to_string()
}

/// Reads exactly `yyyy-MM-dd`.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    // chrono alone would take `2026-1-5`, too.
    NaiveDate::parse_from_str(text, DAY).ok().filter(|day| day_text(*day) == text)
}

/// `1900000001:2026-01-05:trade`: the key of a finding about a whole bill.
impl std::fmt::Display for BillKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.mchid, self.day_text(), self.kind.as_str())
    }
}

/// Why a bill cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    NotABill(#[from] NotABill),
    /// Another try began after this one; its file counts.
    #[error("another try has taken over the bill {0}")]
    TakenOver(String),
    #[error("no bill {0} is kept whole")]
    NoSuchBill(String),
    #[error("the stored bill {id} cannot be read: {reason}")]
    Broken { id: String, reason: String },
}

impl From<sqlx::Error> for BillError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error.into())
    }
}
