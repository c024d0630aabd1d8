use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn cron(text: &str, zone: &str) -> Rhythm {
    Rhythm::cron(text, zone.parse().unwrap()).unwrap()
}

/// Walks every minute and asks what the wall clock newly shows: the plain meaning of a cron.
fn walked(fits: impl Fn(NaiveDateTime) -> bool, zone: Tz, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
    let reading_at = |at: Timestamp| at.to_datetime().with_timezone(&zone).naive_local();
    let minute = chrono::TimeDelta::minutes(1);
    // A fold may lie just before: whatever the clock showed in the last day is not new.
    let mut shown = (0..=1_440).map(|m| reading_at(from - Duration::from_secs(60 * m))).max().unwrap();
    let mut fired = Vec::new();
    for m in 1..=minutes {
        let now = from + Duration::from_secs(60 * m as u64);
        let reading = reading_at(now);
        let mut new = false;
        while shown < reading {
            shown += minute;
            new |= fits(shown);
        }
        if new {
            fired.push(now);
        }
    }
    fired
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![
        chrono_tz::Europe::Berlin,
        chrono_tz::America::New_York,
        chrono_tz::Australia::Lord_Howe,
        chrono_tz::America::Santiago,
        chrono_tz::Africa::Cairo,
        chrono_tz::Asia::Shanghai,
        chrono_tz::Pacific::Apia,
        chrono_tz::UTC,
    ])
}

/// Moments near which clocks change, besides any other.
fn moments() -> impl Strategy<Value = i64> {
    let changes = [
        "2026-03-29T01:00:00Z", // Berlin, forward
        "2026-10-25T01:00:00Z", // Berlin, back
        "2026-03-08T07:00:00Z", // New York, forward
        "2026-11-01T06:00:00Z", // New York, back
        "2026-04-04T15:00:00Z", // Lord Howe, back half an hour
        "2026-10-03T15:30:00Z", // Lord Howe, forward half an hour
        "2026-09-06T04:00:00Z", // Santiago: midnight itself does not exist
        "2011-12-30T10:00:00Z", // Apia: a whole day does not exist
    ];
    let near = (prop::sample::select(changes.map(|text| at(text).secs() / 60).to_vec()), -400i64..400)
        .prop_map(|(change, off)| change + off);
    prop_oneof![3 => near, 1 => 26_000_000i64..35_000_000]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn instants_are_what_a_walk_over_the_minutes_finds(
        zone in zones(),
        start in moments(),
        minute in prop_oneof![Just(None), (0u32..60).prop_map(Some)],
        hour in prop_oneof![Just(None), (0u32..24).prop_map(Some), (0u32..4).prop_map(Some)],
        day in prop_oneof![4 => Just(None), 1 => (1u32..32).prop_map(Some)],
    ) {
        let field = |f: Option<u32>| f.map_or("*".to_owned(), |f| f.to_string());
        let text = format!("0 {} {} {} * *", field(minute), field(hour), field(day));
        let fits = |at: NaiveDateTime| {
            minute.is_none_or(|m| at.minute() == m) && hour.is_none_or(|h| at.hour() == h) && day.is_none_or(|d| at.day() == d)
        };
        let from = Timestamp::from_secs(start * 60);
        let minutes = 3_000;
        let rhythm = cron(&text, zone.name());
        let expected = walked(fits, zone, from, minutes);
        let to = from + Duration::from_secs(60 * minutes as u64);
        prop_assert_eq!(&rhythm.between(from, to, usize::MAX), &expected, "{} in {}", text, zone);
        let newest = rhythm.newest(from, to, 7);
        prop_assert_eq!(&newest[..], &expected[expected.len().saturating_sub(7)..]);
    }

    #[test]
    fn the_next_instant_does_not_depend_on_where_one_asks_from(
        zone in zones(), start in moments(), ask in 0i64..200_000_000_000, minute in 0u32..60,
    ) {
        let rhythm = cron(&format!("0 {minute} * * * *"), zone.name());
        let from = Timestamp::from_secs(start * 60);
        let instants = rhythm.between(from, from + Duration::from_secs(200_000), usize::MAX);
        let ask = Timestamp::from_micros(from.micros() + ask);
        prop_assert_eq!(rhythm.next_after(ask).unwrap(), *instants.iter().find(|at| **at > ask).unwrap_or(&rhythm.next_after(ask).unwrap()));
        prop_assert!(rhythm.next_after(ask).unwrap() > ask);
    }

    #[test]
    fn every_fires_on_its_multiples(length_s in 1u64..100_000, ask_s in -1_000_000i64..4_000_000_000) {
        let rhythm = Rhythm::every(Duration::from_secs(length_s)).unwrap();
        let next = rhythm.next_after(Timestamp::from_secs(ask_s)).unwrap();
        prop_assert_eq!(next.secs().rem_euclid(length_s as i64), 0);
        prop_assert!(next.secs() > ask_s && next.secs() - ask_s <= length_s as i64);
    }
}

#[test]
fn an_instant_that_does_not_exist_fires_at_the_next_that_does() {
    let rhythm = cron("0 30 2 * * *", "Europe/Berlin");
    assert_eq!(rhythm.next_after(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    assert_eq!(rhythm.next_after(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T02:30:00+02:00")));
}

#[test]
fn an_instant_that_happens_twice_fires_once() {
    let rhythm = cron("0 30 2 * * *", "Europe/Berlin");
    let first = at("2026-10-25T02:30:00+02:00");
    assert_eq!(rhythm.next_after(at("2026-10-24T12:00:00Z")), Some(first));
    assert_eq!(rhythm.next_after(first), Some(at("2026-10-26T02:30:00+01:00")));
}

#[test]
fn a_day_that_does_not_exist_fires_once_at_its_end() {
    let rhythm = cron("0 0 9 * * *", "Pacific/Apia");
    let found = rhythm.between(at("2011-12-29T18:00:00-10:00"), at("2011-12-31T23:00:00+14:00"), 9);
    assert_eq!(found, [at("2011-12-31T00:00:00+14:00"), at("2011-12-31T09:00:00+14:00")]);
}

#[test]
fn a_cron_that_others_read_differently_is_refused() {
    let zone = chrono_tz::UTC;
    let why = |text| Rhythm::cron(text, zone).unwrap_err();
    assert_eq!(why("30 * * * *"), BadRhythm::Fields(5));
    assert_eq!(why("0 0 0 1 1 * 2031"), BadRhythm::Fields(7));
    assert_eq!(why("0 0 9 * * 1-5"), BadRhythm::WeekdayNumber);
    assert_eq!(why("0 0 0 30 2 *"), BadRhythm::Never);
    assert!(matches!(why("0 61 * * * *"), BadRhythm::Syntax(_)));
    assert!(matches!(why("0 */0 * * * *"), BadRhythm::Syntax(_)));
    assert!(matches!(why("@fortnightly"), BadRhythm::Syntax(_)));
    assert!(Rhythm::cron("@daily", zone).is_ok());
    let friday = cron("0 0 9 * * Fri", "Asia/Shanghai").next_after(at("2026-01-05T00:00:00Z")).unwrap();
    assert_eq!(friday, at("2026-01-09T09:00:00+08:00"));
}

#[test]
fn the_29th_of_february_is_rare_but_comes() {
    let rhythm = cron("0 0 0 29 2 *", "UTC");
    assert_eq!(rhythm.next_after(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
}

#[test]
fn the_newest_instants_are_found_without_walking_the_years() {
    let rhythm = cron("* * * * * *", "Europe/Berlin");
    let (from, to) = (at("2001-01-01T00:00:00Z"), at("2026-01-05T00:00:00Z"));
    assert_eq!(rhythm.newest(from, to, 2), [Timestamp::from_secs(to.secs() - 1), to]);
}

#[test]
fn an_every_of_nothing_or_of_ages_is_refused() {
    assert!(matches!(Rhythm::every(Duration::ZERO), Err(BadRhythm::Every)));
    assert!(matches!(Rhythm::every(Duration::from_secs(400 * 86_400)), Err(BadRhythm::Every)));
}
