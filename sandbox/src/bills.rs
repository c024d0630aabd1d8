//! A day's bills, made from the sandbox's own ledger: payments by the time they succeeded, refunds by the time they
//! were accepted (facts: wechat-pay.md 10). They sum, and stay as they are once they are made: a bill is a function of
//! what happened before nine o'clock of the next day and of the plants, and nothing of it is kept.
//!
//! What is asked over the wire, and the spoiling of whole files on their way, is in `wechat_pay::bills`.

mod book;
mod day;
mod fund;
mod pages;
mod row;
mod text;
mod trade;

pub use self::day::{Day, NoDay};
pub(crate) use self::pages::{Pages, gzipped};

use serde::{Deserialize, Serialize};

/// Which rows and columns a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Layout {
    All,
    Success,
    Refund,
    /// All rows in the 24 columns of old merchants.
    Legacy,
    Fund,
}

/// A file: the same one always has the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Form {
    pub(crate) day: Day,
    pub(crate) layout: Layout,
    /// The summary is not what the rows add up to.
    pub(crate) wrong_summary: bool,
    /// A row of another merchant is in it.
    pub(crate) foreign: bool,
    /// The later version of a file that changed.
    pub(crate) changed: bool,
}
