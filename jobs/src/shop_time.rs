//! Times as the outside writes them: Beijing's clock, without saying so.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat};
use windlass_engine::Timestamp;

/// China has one offset and, since 1991, no summer time.
const BEIJING_OFFSET_SECS: i32 = 8 * 60 * 60;
/// An integer from here on is milliseconds: as seconds it would be after the year 5000.
const MILLIS_FROM: i64 = 100_000_000_000;

fn beijing() -> FixedOffset {
    FixedOffset::east_opt(BEIJING_OFFSET_SECS).expect("eight hours are an offset")
}

/// `at` on Beijing's clock.
pub fn in_beijing(at: Timestamp) -> DateTime<FixedOffset> {
    at.to_datetime().with_timezone(&beijing())
}

/// RFC 3339 with milliseconds and `+08:00`.
pub fn rfc3339_beijing(at: Timestamp) -> String {
    in_beijing(at).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// `yyyyMMddHHmmss`, as YLH writes it (facts: ylh.md 9).
pub fn compact_beijing(at: Timestamp) -> String {
    in_beijing(at).format("%Y%m%d%H%M%S").to_string()
}

/// Reads `yyyyMMddHHmmss`.
pub fn parse_compact_beijing(text: &str) -> Option<Timestamp> {
    naive(NaiveDateTime::parse_from_str(text.trim(), "%Y%m%d%H%M%S").ok()?)
}

/// Reads `yyyy-MM-dd HH:mm:ss`, `yyyy-MM-dd`, RFC 3339, and seconds or milliseconds since 1970.
pub fn parse_beijing(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let micros =
            if number.abs() >= MILLIS_FROM { number.checked_mul(1_000)? } else { number * 1_000_000 };
        return Some(Timestamp::from_micros(micros));
    }
    if let Ok(at) = Timestamp::parse_rfc3339(text) {
        return Some(at);
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return naive(at);
        }
    }
    naive(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?)
}

/// Reads exactly `yyyy-MM-dd HH:mm:ss`, fast: bills have millions of them.
pub fn beijing_clock(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if bytes.len() != 19 || marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_u32, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    let day = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    naive(day.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?)
}

/// The instant at which the hour (0 to 23) of a day begins in Beijing.
pub fn beijing_hour(day: NaiveDate, hour: u32) -> Timestamp {
    let at = day.and_hms_opt(hour.min(23), 0, 0).and_then(naive);
    at.expect("every hour up to the 23rd exists where no clock is ever put forward")
}

/// The next midnight in Beijing after `at`.
pub fn next_midnight_beijing(at: Timestamp) -> Timestamp {
    let tomorrow = in_beijing(at).date_naive().succ_opt().and_then(|day| day.and_hms_opt(0, 0, 0));
    tomorrow.and_then(naive).unwrap_or(at)
}

fn naive(at: NaiveDateTime) -> Option<Timestamp> {
    at.and_local_timezone(beijing()).single().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_an_instant_reads_the_same() {
        let noon = Timestamp::from_secs(1_767_585_600);
        for text in [
            "2026-01-05 12:00:00",
            "2026-01-05T12:00:00+08:00",
            "2026-01-05T04:00:00Z",
            "1767585600",
            "1767585600000",
            "2026/01/05 12:00:00",
        ] {
            assert_eq!(parse_beijing(text), Some(noon), "{text}");
        }
        assert_eq!(parse_compact_beijing("20260105120000"), Some(noon));
        assert_eq!(compact_beijing(noon), "20260105120000");
        assert_eq!(rfc3339_beijing(noon), "2026-01-05T12:00:00.000+08:00");
        assert_eq!(parse_beijing("soon"), None);
        assert_eq!(beijing_clock("2026-01-05 12:00:00"), Some(noon));
        assert_eq!(beijing_hour(in_beijing(noon).date_naive(), 12), noon);
        for bad in
            ["2026-01-05 12:00", "2026-01-05T12:00:00", "2026-02-30 12:00:00", "2026-01-05 12:00:6x", "年"]
        {
            assert_eq!(beijing_clock(bad), None, "{bad}");
        }
        assert_eq!(next_midnight_beijing(noon).to_rfc3339(), "2026-01-05T16:00:00.000Z");
    }
}
