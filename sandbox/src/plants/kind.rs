//! What can be planted.

use serde::{Deserialize, Serialize};

/// The two bills of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bill {
    #[default]
    Trade,
    Fund,
}

/// The first sixteen are differences by the names of facts: commerce-states.md 6; the others spoil a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlantKind {
    /// A payment under a number that the shop never made.
    Long,
    /// A payment that the bills leave out.
    Short,
    /// A payment of which the bills tell another amount.
    Amount,
    /// A refund that is in the bills while the shop hears `NOT_ENOUGH` whenever it asks for it, and no callback.
    Status,
    /// A second transaction for one `out_trade_no`.
    DuplicatePay,
    /// Money that came after the shop had closed the payment, and that no callback told of.
    LatePay,
    /// A refund that the bills leave out.
    MissingRefund,
    /// A refund that somebody made in the merchant platform.
    ExtraRefund,
    /// A fee that is not the rate's.
    Fee,
    /// A payment without its income in the fund flow bill.
    FundMismatch,
    /// A running balance that jumps.
    BrokenBalance,
    /// A row that cannot be read.
    BadRow,
    /// A row that is there twice.
    DuplicateRow,
    /// A file whose summary is not what its rows add up to.
    SummaryMismatch,
    /// A hash that is not the file's.
    HashMismatch,
    /// "No statement" for a day that had trade.
    NoStatement,

    /// A row of another merchant.
    ForeignMerchant,
    /// The last payment of the day stands in the next day's bill. No difference.
    CrossMidnight,
    /// "Being made" for longer than usual.
    Creating,
    /// The file ends in its middle, as if that were its end.
    Truncated,
    /// The link has run out.
    Expired,
    /// A gateway's page in place of the file.
    Html,
    /// The 24 columns of old merchants.
    Legacy,
    /// After the first download the file is another one, which means the same.
    Changed,
}

/// Where in a bill a kind goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Payment,
    Refund,
    /// The next refund that the shop asks for in an evening.
    Asking,
    /// A row of its own.
    Row,
    File,
}

impl PlantKind {
    pub const ALL: [Self; 24] = {
        use PlantKind::*;
        [
            Long,
            Short,
            Amount,
            Status,
            DuplicatePay,
            LatePay,
            MissingRefund,
            ExtraRefund,
            Fee,
            FundMismatch,
            BrokenBalance,
            BadRow,
            DuplicateRow,
            SummaryMismatch,
            HashMismatch,
            NoStatement,
            ForeignMerchant,
            CrossMidnight,
            Creating,
            Truncated,
            Expired,
            Html,
            Legacy,
            Changed,
        ]
    };

    /// What a reconciliation calls it; `None`: it must call it nothing.
    pub const fn finding(self) -> Option<&'static str> {
        Some(match self {
            Self::Long => "long",
            Self::Short => "short",
            Self::Amount => "amount",
            Self::Status => "status",
            Self::DuplicatePay => "duplicate_pay",
            Self::LatePay => "late_pay",
            Self::MissingRefund => "missing_refund",
            Self::ExtraRefund => "extra_refund",
            Self::Fee => "fee",
            Self::FundMismatch | Self::BrokenBalance => "fund_mismatch",
            Self::BadRow => "bad_row",
            Self::DuplicateRow => "duplicate_row",
            Self::SummaryMismatch => "summary_mismatch",
            Self::HashMismatch => "hash_mismatch",
            Self::NoStatement => "no_statement",
            Self::ForeignMerchant => "foreign_merchant",
            Self::CrossMidnight
            | Self::Creating
            | Self::Truncated
            | Self::Expired
            | Self::Html
            | Self::Legacy
            | Self::Changed => return None,
        })
    }

    pub(crate) const fn place(self) -> Place {
        match self {
            Self::Short
            | Self::Amount
            | Self::DuplicatePay
            | Self::LatePay
            | Self::ExtraRefund
            | Self::Fee
            | Self::FundMismatch
            | Self::BrokenBalance
            | Self::DuplicateRow
            | Self::CrossMidnight => Place::Payment,
            Self::MissingRefund => Place::Refund,
            Self::Status => Place::Asking,
            Self::Long | Self::BadRow | Self::ForeignMerchant => Place::Row,
            Self::SummaryMismatch
            | Self::HashMismatch
            | Self::NoStatement
            | Self::Creating
            | Self::Truncated
            | Self::Expired
            | Self::Html
            | Self::Legacy
            | Self::Changed => Place::File,
        }
    }

    /// How often a spoiled file is met before the right one comes, unless the plant says.
    pub(crate) const fn times_default(self) -> u32 {
        match self {
            // One more than the tries of whoever fetches again three times.
            Self::HashMismatch => 4,
            // An answer may be lost on its way.
            Self::NoStatement => 2,
            Self::Legacy => u32::MAX,
            _ => 1,
        }
    }
}
