//! A day of bills: from midnight to midnight in Beijing, which has had no daylight saving since 1991.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use crate::times;

const BEIJING: Duration = Duration::from_secs(8 * 3_600);
/// From the day's midnight on: a bill is made at nine of the next day, and given out from ten on (facts: wechat-pay.md 10).
const MADE_AFTER: Duration = Duration::from_secs(33 * 3_600);
const GIVEN_AFTER: Duration = Duration::from_secs(34 * 3_600);

/// One day in Beijing, written `2026-01-05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(NaiveDate);

impl Day {
    /// The day that `at` falls on.
    pub fn of(at: Timestamp) -> Self {
        Self(times::beijing(at).date_naive())
    }

    /// Its midnight, with which it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from(self.0.and_time(NaiveTime::MIN).and_utc()) - BEIJING
    }

    /// The midnight with which the next one begins.
    pub fn end(self) -> Timestamp {
        self.plus(1).start()
    }

    pub fn plus(self, days: u32) -> Self {
        Self(self.0.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX))
    }

    /// From when on its bills tell everything as it was; what happens later is not in them.
    pub(crate) fn bills_made_at(self) -> Timestamp {
        self.start() + MADE_AFTER
    }

    /// From when on its bills are given out.
    pub(crate) fn bills_given_at(self) -> Timestamp {
        self.start() + GIVEN_AFTER
    }

    pub(crate) fn has(self, at: Timestamp) -> bool {
        (self.start()..self.end()).contains(&at)
    }

    /// `20260105`.
    pub(crate) fn digits(self) -> String {
        self.0.format("%Y%m%d").to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%Y-%m-%d").fmt(f)
    }
}

/// Not a day of the form `2026-01-05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDay;

impl fmt::Display for NoDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day is written like 2026-01-05")
    }
}

impl std::error::Error for NoDay {}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self).map_err(|_| NoDay)?;
        // Chrono reads `2026-1-5` as well.
        if day.to_string() == text { Ok(day) } else { Err(NoDay) }
    }
}

impl TryFrom<String> for Day {
    type Error = NoDay;

    fn try_from(text: String) -> Result<Self, NoDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_cut_at_midnight_in_beijing() {
        let day: Day = "2026-01-05".parse().unwrap();
        assert_eq!(day.start().to_rfc3339(), "2026-01-04T16:00:00.000Z");
        assert_eq!((Day::of(day.start()), Day::of(day.end())), (day, day.plus(1)));
        assert!(day.has(day.start()) && day.has(day.end() - Duration::from_micros(1)) && !day.has(day.end()));
        assert_eq!(day.bills_given_at().to_rfc3339(), "2026-01-06T02:00:00.000Z");
    }

    #[test]
    fn only_one_way_of_writing_is_a_day() {
        for text in ["2026-1-5", "20260105", "2026-02-30", ""] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }
}
