//! Times as the outside systems write them: Beijing's, which has had no daylight saving since 1991.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use windlass_engine::Timestamp;

const BEIJING_SECS: i32 = 8 * 3600;

pub(crate) fn beijing(at: Timestamp) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(BEIJING_SECS).expect("eight hours is an offset");
    at.to_datetime().with_timezone(&offset)
}

/// `2026-01-05T12:00:00+08:00`, as WeChat Pay prints it.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    beijing(at).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// `2026-01-05 12:00:00`, as Haier prints it.
pub(crate) fn plain(at: Timestamp) -> String {
    beijing(at).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// `20260105120000`, as YLH's callbacks print it.
pub(crate) fn packed(at: Timestamp) -> String {
    beijing(at).format("%Y%m%d%H%M%S").to_string()
}

/// How long a [`mark`] is.
pub(crate) const MARK_CHARS: usize = 6;

/// What sets a number given at `at` apart from the same number of another world: a shop that went on while its outside
/// began anew would take two payments for one.
pub(crate) fn mark(at: Timestamp) -> String {
    format!("{:06}", at.micros() % 1_000_000)
}
