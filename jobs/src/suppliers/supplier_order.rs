//! The order at the supplier: its states, its number, and what it is made of.

use std::collections::BTreeMap;

crate::stored::stored_states! {
    /// facts: ylh.md 11, without the parcels, which the order itself follows.
    SupplierState {
        /// On its way, or told with an answer that nobody heard: the same `soId` settles it.
        Sending = "sending",
        /// Received; YLH checks price, product and customer later.
        Accepted = "accepted",
        Confirmed = "confirmed",
        /// Confirmed, then found to be out of stock.
        OutOfStock = "out_of_stock",
        /// Refused at once or by the confirm callback.
        Rejected = "rejected",
        Cancelled = "cancelled",
        /// Never told: the order wound down before.
        Withdrawn = "withdrawn",
    }
}

crate::stored::stored_states! {
    CancelState {
        None = "",
        /// The job that asks is on its way.
        Wanted = "wanted",
        /// Asked; interception and inspection may take days.
        Asked = "asked",
        Failed = "failed",
        Done = "done",
    }
}

impl SupplierState {
    /// The supplier may still send goods.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Sending | Self::Accepted | Self::Confirmed | Self::OutOfStock)
    }
}

/// The `soId` of an order: unique, the only duplicate check that YLH makes (facts: ylh.md 4).
pub fn so_id(order_no: &str) -> String {
    format!("{order_no}-1")
}

/// What one unit of a product costs the customer, and how many were bought, in the order of the lines.
#[derive(Clone, Debug, Default)]
pub struct Bought(BTreeMap<String, Vec<(i64, i64)>>);

impl Bought {
    pub fn add(&mut self, product_code: &str, quantity: i64, actual_fen: i64) {
        self.0.entry(product_code.to_owned()).or_default().push((quantity, actual_fen));
    }

    /// Each product with its units, over all lines.
    pub fn products(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(code, lines)| {
            let units = lines.iter().fold(0, |sum: i64, (quantity, _)| sum.saturating_add(*quantity));
            (code.as_str(), units)
        })
    }

    /// What `units` of a product are worth to the customer: the dearest lines of the product first, so that a
    /// refund never falls short of what was paid for what came back.
    pub fn worth_fen(&self, product_code: &str, units: i64) -> i64 {
        let mut lines = self.0.get(product_code).cloned().unwrap_or_default();
        lines.sort_by_key(|(_, fen)| std::cmp::Reverse(*fen));
        let mut left = units.max(0);
        let mut worth: i64 = 0;
        for (quantity, fen) in lines {
            let taken = left.min(quantity);
            worth = worth.saturating_add(taken.saturating_mul(fen));
            left -= taken;
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_come_back_are_worth_what_was_paid_for_them_and_no_more_than_was_bought() {
        let mut bought = Bought::default();
        bought.add("P1", 2, 100);
        bought.add("P1", 1, 300);
        assert_eq!(bought.worth_fen("P1", 1), 300);
        assert_eq!(bought.worth_fen("P1", 2), 400);
        assert_eq!(bought.worth_fen("P1", 9), 500);
        assert_eq!(bought.worth_fen("P2", 1), 0);
    }
}
