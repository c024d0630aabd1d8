//! A plan with a difference of every type, for who has some days to find them.

use super::{Plant, PlantKind};
use crate::bills::Day;

impl Plant {
    /// What is missing from a bill may stand in one of the next three: so many days a plan needs at least.
    pub const PLAN_DAYS_MIN: u32 = 4;

    /// One plant of every kind that is a difference, and one that is none, over the bills of `days` days from `first`
    /// on. What takes three days more to be sure of is in the first bill. What spoils a whole file is on days of its own:
    /// a statement that is missing for two days on the second, a wrong summary and a wrong hash on the last.
    ///
    /// # Panics
    /// With fewer than [`Self::PLAN_DAYS_MIN`] days: callers check first.
    pub fn plan(first: Day, days: u32) -> Vec<Plant> {
        use PlantKind::*;
        assert!(days >= Self::PLAN_DAYS_MIN, "a plan needs {} days", Self::PLAN_DAYS_MIN);
        let on = |nth: u32, kinds: &[PlantKind]| {
            kinds.iter().map(|kind| Plant::new(*kind, first.plus(nth))).collect::<Vec<_>>()
        };
        [
            [Short, MissingRefund].map(|kind| Plant::new(kind, first).only()).to_vec(),
            on(0, &[Long, Amount, DuplicatePay, Fee, CrossMidnight]),
            on(1, &[NoStatement]),
            on(2, &[Status, LatePay, ExtraRefund, FundMismatch, BrokenBalance, BadRow, DuplicateRow]),
            on(days - 1, &[SummaryMismatch]),
            vec![Plant::new(HashMismatch, first.plus(days - 1)).in_funds()],
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_plan_has_a_difference_of_every_type() {
        let first: Day = "2026-01-05".parse().unwrap();
        let plan = Plant::plan(first, 6);
        let planted: BTreeSet<_> = plan.iter().filter_map(|plant| plant.kind.finding()).collect();
        let mut all: BTreeSet<_> = PlantKind::ALL.iter().filter_map(|kind| kind.finding()).collect();
        // A file with rows of another merchant is no difference but somebody else's file.
        all.remove("foreign_merchant");
        assert_eq!(planted, all);
        assert!(plan.iter().all(|plant| plant.day <= first.plus(5)));
    }
}
