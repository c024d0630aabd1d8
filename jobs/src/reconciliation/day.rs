//! A day on Beijing's calendar: what a bill holds (facts: wechat-pay.md 10).

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};
use windlass_engine::Timestamp;

use crate::shop_time::parse_beijing;

/// From 00:00:00 to 23:59:59 in Beijing; written `yyyy-MM-dd`, so that texts sort as days do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NaiveDate);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no day: write it as yyyy-MM-dd")]
pub struct BadDay(String);

impl Day {
    pub fn of(at: Timestamp) -> Self {
        Self(crate::shop_time::in_beijing(at).date_naive())
    }

    pub fn plus(self, days: u64) -> Self {
        Self(self.0.checked_add_days(Days::new(days)).unwrap_or(self.0))
    }

    /// The first instant.
    pub fn start(self) -> Timestamp {
        parse_beijing(&self.to_string()).unwrap_or_default()
    }

    /// The first instant of the day after.
    pub fn end(self) -> Timestamp {
        self.plus(1).start()
    }

    pub fn date(self) -> NaiveDate {
        self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for Day {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Self, BadDay> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self);
        // chrono takes `2026-1-5`, too: one spelling, one key.
        let day = day.ok().filter(|day| day.to_string() == text);
        day.ok_or_else(|| BadDay(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_beijings_and_has_one_spelling() {
        let day: Day = "2026-01-05".parse().unwrap();
        assert_eq!(day.start().to_rfc3339(), "2026-01-04T16:00:00.000Z");
        assert_eq!(day.end().to_rfc3339(), "2026-01-05T16:00:00.000Z");
        assert_eq!(Day::of(day.start()), day);
        assert_eq!(day.plus(27).to_string(), "2026-02-01");
        for wrong in ["2026-1-5", "2026-02-30", "yesterday", "2026-01-05 ", ""] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
    }
}
