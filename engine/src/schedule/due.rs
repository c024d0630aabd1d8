//! Which instants get their jobs now: pure, from the cursor, the time and the catch-up policy.

use std::time::Duration;

use super::{CatchUp, Entry, INSTANTS_MAX};
use crate::clock::Timestamp;

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Get their jobs, oldest first. Empty: the policy lets all of them go.
    pub fire: Vec<Timestamp>,
    /// The newest instant that is due: where the cursor stands when all is done.
    pub through: Timestamp,
    /// Instants that the policy lets go, counted up to [`INSTANTS_MAX`].
    pub missed: usize,
}

/// Looks at the instants in (`cursor`, `now`]; None when there is none. An instant is in time for `grace`.
///
/// However many there are, at most `catch_up_max` fire, one without `catch_up = "all"`: a scheduler that was
/// held up, or a clock that runs ahead, builds no backlog.
pub(super) fn due(entry: &Entry, cursor: Timestamp, now: Timestamp, grace: Duration) -> Option<Due> {
    let max = match entry.catch_up {
        CatchUp::All { max } => max as usize,
        CatchUp::None | CatchUp::One => 1,
    };
    let mut fire = entry.rhythm.newest(cursor, now, max);
    let through = *fire.last()?;
    if entry.catch_up == CatchUp::None && now.since(through) > grace {
        fire.clear();
    }
    let missed = match fire.first() {
        Some(first) => entry.between(cursor, *first, INSTANTS_MAX).len() - 1,
        None => entry.between(cursor, through, INSTANTS_MAX).len(),
    };
    Some(Due { fire, through, missed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Priority;
    use crate::schedule::{Overlap, Rhythm};

    const GRACE: Duration = Duration::from_secs(30);

    fn every_minute(catch_up: CatchUp) -> Entry {
        Entry {
            name: "sweep".to_owned(),
            description: String::new(),
            rhythm: Rhythm::every(Duration::from_secs(60)).unwrap(),
            job: "sweep_orders".to_owned(),
            payload: serde_json::value::to_raw_value(&serde_json::json!({})).unwrap(),
            queue: "orders".to_owned(),
            priority: Priority::Normal,
            unique_key: None,
            overlap: Overlap::Allow,
            catch_up,
            jitter: Duration::from_secs(50),
            expires: None,
            enabled: true,
            tags: Vec::new(),
        }
    }

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_secs(n * 60)
    }

    fn found(catch_up: CatchUp, from_s: i64, to_s: i64) -> Option<(Vec<i64>, usize)> {
        let (from, to) = (Timestamp::from_secs(from_s), Timestamp::from_secs(to_s));
        due(&every_minute(catch_up), from, to, GRACE)
            .map(|due| (due.fire.iter().map(|at| at.secs() / 60).collect(), due.missed))
    }

    #[test]
    fn nothing_is_due_before_the_next_instant() {
        assert_eq!(found(CatchUp::One, 600, 659), None);
        assert_eq!(found(CatchUp::One, 600, 660), Some((vec![11], 0)));
    }

    #[test]
    fn each_policy_lets_go_what_it_says() {
        assert_eq!(found(CatchUp::One, 600, 6_000), Some((vec![100], 89)));
        assert_eq!(found(CatchUp::All { max: 3 }, 600, 6_000), Some((vec![98, 99, 100], 87)));
        assert_eq!(found(CatchUp::All { max: 500 }, 600, 900), Some((vec![11, 12, 13, 14, 15], 0)));
        assert_eq!(found(CatchUp::None, 600, 6_031), Some((vec![], 90)));
        assert_eq!(found(CatchUp::None, 600, 6_030), Some((vec![100], 89)));
    }

    #[test]
    fn the_jitter_of_an_instant_is_the_same_everywhere_and_below_its_bound() {
        let entry = every_minute(CatchUp::One);
        let delays: Vec<_> = (0..1_000).map(|n| entry.delay(minute(n))).collect();
        assert_eq!(delays, (0..1_000).map(|n| entry.clone().delay(minute(n))).collect::<Vec<_>>());
        assert!(delays.iter().all(|delay| *delay < entry.jitter));
        let early = delays.iter().filter(|delay| **delay < entry.jitter / 2).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
        assert_eq!(entry.job(minute(7)).run_at, Some(minute(7) + delays[7]));
    }

    #[test]
    fn the_job_of_an_instant_has_one_name_and_says_who_fired_it() {
        let job = every_minute(CatchUp::One).job(Timestamp::from_secs(1_767_585_600));
        assert_eq!(job.id.as_str(), "schedule:sweep:2026-01-05T04:00:00.000Z");
        let fired_by = job.envelope.schedule.unwrap();
        assert_eq!((fired_by.name.as_str(), fired_by.instant.secs()), ("sweep", 1_767_585_600));
    }
}
