//! Crons of others in the form of ours: six fields, seconds first, days of the week by name.
//!
//! Two dialects are read. Five fields of a crontab file are POSIX's; the fields of Celery's `crontab()` differ in
//! that ranges may wrap, that 7 is no day, and that day and weekday must both fit, as they must in ours.

use windlass_engine::schedule::Rhythm;

use crate::config::WrongSetUp;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The rhythm of a cron with six fields, or with five as in a crontab file.
///
/// # Errors
/// What is wrong with it, in words.
pub fn rhythm(cron: &str, zone: &str) -> Result<Rhythm, WrongSetUp> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let six = match fields[..] {
        [minute, hour, day, month, weekday] => {
            if day != "*" && weekday != "*" {
                return Err(WrongSetUp(
                    "day and weekday are both set: a crontab fires when either fits, a schedule when both do; write \
                     two schedules"
                        .to_owned(),
                ));
            }
            Fields { minute, hour, day, month, weekday }.six(Dialect::Posix).map_err(WrongSetUp)?
        }
        _ => cron.to_owned(),
    };
    Rhythm::cron_in(&six, zone).map_err(|e| WrongSetUp(format!("--cron \"{cron}\": {e}")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Posix,
    Celery,
}

/// The five fields as they were written.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    pub minute: &'a str,
    pub hour: &'a str,
    pub day: &'a str,
    pub month: &'a str,
    pub weekday: &'a str,
}

impl Fields<'_> {
    /// As six fields of ours.
    ///
    /// # Errors
    /// Which field cannot be read, and why.
    pub fn six(&self, dialect: Dialect) -> Result<String, String> {
        let numbers = |name: &str, text: &str, least, most| {
            values(text, least, most, dialect, &|_| None).map_err(|why| format!("{name} \"{text}\": {why}"))
        };
        let minute = numbers("minute", self.minute, 0, 59)?;
        let hour = numbers("hour", self.hour, 0, 23)?;
        let day = numbers("day of month", self.day, 1, 31)?;
        let month = values(self.month, 1, 12, dialect, &month_of)
            .map_err(|why| format!("month \"{}\": {why}", self.month))?;
        let most = if dialect == Dialect::Posix { 7 } else { 6 };
        let weekday = values(self.weekday, 0, most, dialect, &weekday_of)
            .map_err(|why| format!("day of week \"{}\": {why}", self.weekday))?;
        let weekday = weekday.map(|days| {
            let mut days: Vec<u32> = days.into_iter().map(|day| day % 7).collect();
            days.sort_unstable();
            days.dedup();
            days.into_iter().map(|day| WEEKDAYS[day as usize]).collect::<Vec<_>>().join(",")
        });
        let listed = |values: Option<Vec<u32>>| {
            values.map_or_else(
                || "*".to_owned(),
                |values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            )
        };
        let (minute, hour, day, month) = (listed(minute), listed(hour), listed(day), listed(month));
        Ok(format!("0 {minute} {hour} {day} {month} {}", weekday.unwrap_or_else(|| "*".to_owned())))
    }
}

/// The values of a field, sorted; None: every one.
fn values(
    text: &str,
    least: u32,
    most: u32,
    dialect: Dialect,
    name: &dyn Fn(&str) -> Option<u32>,
) -> Result<Option<Vec<u32>>, String> {
    let value = |text: &str| {
        let value = name(text).or_else(|| text.parse().ok());
        value
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| format!("{text:?} is not from {least} to {most}"))
    };
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: usize = step.parse().map_err(|_| format!("{step:?} is no step"))?;
                if step == 0 {
                    return Err("a step of 0 goes nowhere".to_owned());
                }
                (range, step)
            }
            None => (part, 1),
        };
        let range: Vec<u32> = match range.split_once('-') {
            // Sunday is 0 here, and not 7 as well.
            _ if range == "*" => (least..=if most == 7 { 6 } else { most }).collect(),
            Some((from, to)) => {
                let (from, to) = (value(from)?, value(to)?);
                match dialect {
                    _ if from <= to => (from..=to).collect(),
                    Dialect::Celery => (from..=most).chain(least..=to).collect(),
                    Dialect::Posix => return Err(format!("{from}-{to} goes backwards")),
                }
            }
            None if step > 1 => return Err(format!("{part:?} has a step and no range")),
            None => vec![value(range)?],
        };
        all.extend(range.into_iter().step_by(step));
    }
    all.sort_unstable();
    all.dedup();
    let every = usize::try_from(most - least + 1).unwrap_or_default() - usize::from(most == 7);
    Ok((all.len() < every).then_some(all))
}

fn month_of(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| text.starts_with(month))?;
    u32::try_from(at + 1).ok()
}

fn weekday_of(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let at = WEEKDAYS.iter().position(|day| text.starts_with(&day.to_ascii_lowercase()))?;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn celery(fields: [&str; 5]) -> Result<String, String> {
        let [minute, hour, day, month, weekday] = fields;
        Fields { minute, hour, day, month, weekday }.six(Dialect::Celery)
    }

    #[test]
    fn a_crontab_of_celery_is_written_out() {
        for (fields, six) in [
            (["30", "*", "*", "*", "*"], "0 30 * * * *"),
            (["*/30", "*", "*", "*", "*"], "0 0,30 * * * *"),
            (["*", "5", "*", "*", "*"], "0 * 5 * * *"),
            (["0", "22-4", "*", "*", "*"], "0 0 0,1,2,3,4,22,23 * * *"),
            (["0", "*/3,8-17", "*", "*", "*"], "0 0 0,3,6,8,9,10,11,12,13,14,15,16,17,18,21 * * *"),
            (["0", "0", "13", "*", "fri"], "0 0 0 13 * Fri"),
            (["0", "0", "*", "1-12/3", "mon-fri"], "0 0 0 * 1,4,7,10 Mon,Tue,Wed,Thu,Fri"),
            (["0", "0", "*", "*", "6,0"], "0 0 0 * * Sun,Sat"),
            (["0", "0", "*", "*", "0-6"], "0 0 0 * * *"),
        ] {
            assert_eq!(celery(fields).as_deref(), Ok(six), "{fields:?}");
        }
        for (fields, why) in [
            (["0", "0", "*", "*", "7"], "day of week \"7\": \"7\" is not from 0 to 6"),
            (["60", "*", "*", "*", "*"], "minute \"60\": \"60\" is not from 0 to 59"),
            (["*/0", "*", "*", "*", "*"], "a step of 0"),
        ] {
            assert!(celery(fields).unwrap_err().contains(why), "{fields:?}");
        }
    }

    #[test]
    fn five_fields_are_a_crontabs_and_six_are_ours() {
        let source = |cron: &str| rhythm(cron, "Asia/Shanghai").map(|rhythm| rhythm.source());
        assert_eq!(source("30 * * * *").ok().as_deref(), Some("0 30 * * * *"));
        assert_eq!(source("0 3 * * 7").ok().as_deref(), Some("0 0 3 * * Sun"));
        assert_eq!(source("0 3 * * 5-7").ok().as_deref(), Some("0 0 3 * * Sun,Fri,Sat"));
        assert_eq!(source("15 30 * * * *").ok().as_deref(), Some("15 30 * * * *"));
        assert!(source("0 0 13 * 5").unwrap_err().0.contains("either fits"));
        assert!(source("0 22-4 * * *").unwrap_err().0.contains("goes backwards"));
        assert!(rhythm("0 0 * * *", "Asia/Peking").unwrap_err().0.contains("Asia/Peking"));
    }
}
