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
        assert_eq!(next_midnight_beijing(noon).to_rfc3339(), "2026-01-05T16:00:00.000Z");
    }
}
