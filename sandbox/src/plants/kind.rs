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

/// Makes the kinds of a table: each with what a reconciliation calls it (None: it must call it nothing) and with where
/// it goes.
macro_rules! plant_kinds {
    ($($(#[$doc:meta])* $kind:ident: $finding:expr, $place:ident;)*) => {
        /// The first sixteen are differences by the names of facts: commerce-states.md 6; the others spoil a file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum PlantKind {
            $($(#[$doc])* $kind,)*
        }

        impl PlantKind {
            pub const ALL: [Self; [$(Self::$kind),*].len()] = [$(Self::$kind),*];

            /// What a reconciliation calls it; `None`: it must call it nothing.
            pub const fn finding(self) -> Option<&'static str> {
                match self {
                    $(Self::$kind => $finding,)*
                }
            }

            pub(crate) const fn place(self) -> Place {
                match self {
                    $(Self::$kind => Place::$place,)*
                }
            }
        }
    };
}

plant_kinds! {
    /// A payment under a number that the shop never made.
    Long: Some("long"), Row;
    /// A payment that the bills leave out.
    Short: Some("short"), Payment;
    /// A payment of which the bills tell another amount.
    Amount: Some("amount"), Payment;
    /// A refund that is in the bills while the shop hears `NOT_ENOUGH` whenever it asks for it, and no callback.
    Status: Some("status"), Asking;
    /// A second transaction for one `out_trade_no`.
    DuplicatePay: Some("duplicate_pay"), Payment;
    /// Money that came after the shop had closed the payment, and that no callback told of.
    LatePay: Some("late_pay"), Payment;
    /// A refund that the bills leave out.
    MissingRefund: Some("missing_refund"), Refund;
    /// A refund that somebody made in the merchant platform.
    ExtraRefund: Some("extra_refund"), Payment;
    /// A fee that is not the rate's.
    Fee: Some("fee"), Payment;
    /// A payment without its income in the fund flow bill.
    FundMismatch: Some("fund_mismatch"), Payment;
    /// A running balance that jumps.
    BrokenBalance: Some("fund_mismatch"), Payment;
    /// A row that cannot be read.
    BadRow: Some("bad_row"), Row;
    /// A row that is there twice.
    DuplicateRow: Some("duplicate_row"), Payment;
    /// A file whose summary is not what its rows add up to.
    SummaryMismatch: Some("summary_mismatch"), File;
    /// A hash that is not the file's.
    HashMismatch: Some("hash_mismatch"), File;
    /// "No statement" for a day that had trade.
    NoStatement: Some("no_statement"), File;

    /// A row of another merchant.
    ForeignMerchant: Some("foreign_merchant"), Row;
    /// The last payment of the day stands in the next day's bill. No difference.
    CrossMidnight: None, Payment;
    /// "Being made" for longer than usual.
    Creating: None, File;
    /// The file ends in its middle, as if that were its end.
    Truncated: None, File;
    /// The link has run out.
    Expired: None, File;
    /// A gateway's page in place of the file.
    Html: None, File;
    /// The 24 columns of old merchants.
    Legacy: None, File;
    /// After the first download the file is another one, which means the same.
    Changed: None, File;
}

impl PlantKind {
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
