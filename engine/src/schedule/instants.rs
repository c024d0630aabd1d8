//! When a schedule fires: pure, from the calendar alone.
//!
//! A cron is read on the wall clock of its zone. An instant that the zone's clock jumps over fires at the first
//! instant after the jump, once however many it jumps over; a reading that comes twice fires the first time.
//! So a cron that fires every few minutes is silent while an hour repeats itself: what must go on regardless is
//! an `every`, which counts elapsed time from 1970-01-01 UTC and knows no wall clock.
//!
//! The `cron` crate alone would skip what the clock jumps over and fire twice what comes twice, so it is only
//! asked about wall-clock readings, on a calendar without zones.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

use super::length::written;
use crate::clock::Timestamp;

/// The longest `every`; what is rarer has a date and is a cron.
pub const EVERY_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Where the search for instants that are the newest begins to look back.
const LOOK_BACK_MIN: Duration = Duration::from_secs(60);

/// When a schedule fires.
#[derive(Clone, Debug)]
pub enum Rhythm {
    /// `cron` on the wall clock of `zone`.
    Cron { cron: Box<cron::Schedule>, zone: Tz },
    /// Every multiple of the length since 1970-01-01 UTC.
    Every(Duration),
}

/// Why a cron or an `every` makes no rhythm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRhythm {
    #[error("a cron has six fields, seconds first (second minute hour day month weekday); this has {0}")]
    Fields(usize),
    #[error(
        "write days of the week by name, such as Mon-Fri: as numbers they mean other days in other crons"
    )]
    WeekdayNumber,
    #[error("no cron: {0}")]
    Syntax(String),
    #[error("never fires: no date fits it")]
    Never,
    #[error("no time zone {0:?}: IANA names it, such as \"Asia/Shanghai\"")]
    Zone(String),
    #[error("`every` is at least a second and at most {} days", EVERY_MAX.as_secs() / 86_400)]
    Every,
}

impl Rhythm {
    /// A cron of six fields, seconds first. Day and weekday must both fit. A year is no field: what happens once
    /// is a job with a time, not a schedule.
    pub fn cron(text: &str, zone: Tz) -> Result<Self, BadRhythm> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if let [shorthand] = fields[..]
            && shorthand.starts_with('@')
        {
            // @daily and its like are spelled out by the crate.
        } else if fields.len() != 6 {
            return Err(BadRhythm::Fields(fields.len()));
        } else if fields[5].split(',').any(|item| item.starts_with(|c: char| c.is_ascii_digit())) {
            return Err(BadRhythm::WeekdayNumber);
        }
        let cron = cron::Schedule::from_str(text).map_err(|e| BadRhythm::Syntax(one_line(&e.to_string())))?;
        if cron.after(&DateTime::<Utc>::UNIX_EPOCH).next().is_none() {
            return Err(BadRhythm::Never);
        }
        Ok(Self::Cron { cron: Box::new(cron), zone })
    }

    /// As [`Rhythm::cron`], in the zone that IANA calls so.
    pub fn cron_in(text: &str, zone: &str) -> Result<Self, BadRhythm> {
        Self::cron(text, zone.parse().map_err(|_| BadRhythm::Zone(zone.to_owned()))?)
    }

    /// The zone whose clock it reads; None: it reads none.
    pub fn zone(&self) -> Option<&'static str> {
        match self {
            Self::Cron { zone, .. } => Some(zone.name()),
            Self::Every(_) => None,
        }
    }

    /// The cron as it was written, or the length of an `every`.
    pub fn source(&self) -> String {
        match self {
            Self::Cron { cron, .. } => cron.source().to_owned(),
            Self::Every(length) => written(*length),
        }
    }

    /// The instant on the clock of its zone, RFC 3339 with the offset; in UTC where it has none.
    pub fn local(&self, at: Timestamp) -> String {
        match self {
            Self::Cron { zone, .. } => at.to_datetime().with_timezone(zone).to_rfc3339(),
            Self::Every(_) => at.to_datetime().to_rfc3339(),
        }
    }

    /// From one second to [`EVERY_MAX`].
    pub fn every(length: Duration) -> Result<Self, BadRhythm> {
        let fits = (Duration::from_secs(1)..=EVERY_MAX).contains(&length);
        if fits { Ok(Self::Every(length)) } else { Err(BadRhythm::Every) }
    }

    /// The first instant after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.after(after).next()
    }

    /// The instants in (`from`, `to`], oldest first, the first `max` of them.
    pub fn between(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        self.after(from).take_while(|at| *at <= to).take(max).collect()
    }

    /// The instants in (`from`, `to`], oldest first, the last `max` of them.
    pub(super) fn newest(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        let mut back = LOOK_BACK_MIN;
        // Looks back twice as far until it has seen enough: whoever was away for a year does not walk the year.
        loop {
            let start = (to - back).max(from);
            let mut newest = VecDeque::with_capacity(max + 1);
            for at in self.after(start).take_while(|at| *at <= to) {
                newest.push_back(at);
                if newest.len() > max {
                    newest.pop_front();
                }
            }
            if newest.len() == max || start == from {
                return newest.into();
            }
            back = back.saturating_mul(2);
        }
    }

    /// Every instant after `after`, in order, each once.
    fn after(&self, after: Timestamp) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        match self {
            Self::Every(length) => {
                let step_us = length.as_micros() as i64;
                let mut at = after.micros().div_euclid(step_us);
                Box::new(std::iter::from_fn(move || {
                    at = at.checked_add(1)?;
                    at.checked_mul(step_us).map(Timestamp::from_micros)
                }))
            }
            Self::Cron { cron, zone } => {
                // All readings up to this one were on the clock by `after`: the readings map to instants in order.
                let reading = after.to_datetime().with_timezone(zone).naive_local().and_utc();
                let mut last = after;
                Box::new(
                    cron.after_owned(reading)
                        .map_while(|reading| instant_of(reading.naive_utc(), *zone))
                        .filter(move |at| {
                            let new = *at > last;
                            last = last.max(*at);
                            new
                        }),
                )
            }
        }
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { cron, zone } => write!(f, "{} {zone}", cron.source()),
            Self::Every(length) => write!(f, "every {}", written(*length)),
        }
    }
}

/// When the clock of `zone` first shows `reading`, or first shows a later one. None past the known calendar.
fn instant_of(reading: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    match zone.from_local_datetime(&reading) {
        LocalResult::Single(at) => Some(at.into()),
        LocalResult::Ambiguous(first, second) => Some(first.min(second).into()),
        LocalResult::None => GapInfo::new(&reading, &zone)?.end.map(Timestamp::from),
    }
}

/// The crate draws a pointer under the text on lines of its own; a problem has one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "^").collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
