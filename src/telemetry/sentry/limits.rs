//! How often errors are told: one that comes again and again must not drown the others, nor use up what an account
//! pays for.

use std::collections::HashMap;
use std::time::Duration;

use windlass_engine::Timestamp;

/// Wall time in which the bounds hold; then they begin anew.
const WINDOW: Duration = Duration::from_secs(60);
/// Events of one sort in a window.
const LIKE_MAX: u32 = 3;
/// Events in a window, whatever they are.
const ALL_MAX: u32 = 30;
/// Sorts that are remembered; those beyond share one.
const SORTS_MAX: usize = 500;
const OTHERS: &str = "";

#[derive(Default)]
pub(super) struct Limits {
    began: Option<Timestamp>,
    all: u32,
    sorts: HashMap<String, Sort>,
}

#[derive(Default)]
struct Sort {
    told: u32,
    held_back: u64,
}

impl Limits {
    /// Whether an event of the sort may be told now; and if so, how many of it were not since the last one.
    pub(super) fn take(&mut self, sort: String, now: Timestamp) -> Option<u64> {
        if self.began.is_none_or(|began| now.since(began) >= WINDOW) {
            self.began = Some(now);
            self.all = 0;
            // What was held back is still to be told.
            self.sorts.retain(|_, sort| sort.held_back > 0);
            self.sorts.values_mut().for_each(|sort| sort.told = 0);
        }
        let known = self.sorts.contains_key(&sort) || self.sorts.len() < SORTS_MAX;
        let sort = self.sorts.entry(if known { sort } else { OTHERS.to_owned() }).or_default();
        if sort.told >= LIKE_MAX || self.all >= ALL_MAX {
            sort.held_back += 1;
            return None;
        }
        sort.told += 1;
        self.all += 1;
        Some(std::mem::take(&mut sort.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

    #[test]
    fn one_sort_does_not_drown_another_and_is_told_how_often_it_was_held_back() {
        let mut limits = Limits::default();
        let told = (0..1_000).filter(|_| limits.take("dead a".to_owned(), NOON).is_some()).count();
        assert_eq!(told, 3);
        assert_eq!(limits.take("dead b".to_owned(), NOON), Some(0));
        assert_eq!(limits.take("dead a".to_owned(), NOON + WINDOW), Some(997));
        assert_eq!(limits.take("dead a".to_owned(), NOON + WINDOW), Some(0));
    }

    #[test]
    fn no_number_of_sorts_passes_the_bounds() {
        let mut limits = Limits::default();
        let told = (0..2_000).filter(|n| limits.take(format!("dead {n}"), NOON).is_some()).count();
        assert_eq!(told, 30);
        assert!(limits.sorts.len() <= SORTS_MAX + 1, "{}", limits.sorts.len());
    }
}
