//! Where log files go and how long they stay. Which lines there are is `WINDLASS_LOG`; without a folder there are no files.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;

const MIB: u64 = 1024 * 1024;
const FILE_MIB: RangeInclusive<u64> = 1..=4_096;
const TOTAL_MIB: RangeInclusive<u64> = 8..=1_048_576;
const KEEP_DAYS: RangeInclusive<u32> = 1..=3_650;
/// The payment audit is kept longer than the rest, and never shorter than this.
const AUDIT_KEEP_DAYS: RangeInclusive<u32> = 90..=3_650;
const SLOW_QUERY_MS_MAX: u64 = 3_600_000;
/// The files that one process writes at a time, beside the audit: all of them fit into the whole, full.
const FILES_AT_ONCE: u64 = 4;

/// `WINDLASS_LOG_DIR` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// `WINDLASS_LOG_DIR`.
    pub folder: PathBuf,
    /// `WINDLASS_LOG_FILE_MB`, in bytes: at so much another file is begun.
    pub file_bytes_max: u64,
    /// `WINDLASS_LOG_TOTAL_MB`, in bytes: beyond it the oldest files go. The payment audit is not counted.
    pub total_bytes_max: u64,
    /// `WINDLASS_LOG_KEEP_DAYS`.
    pub keep_days: u32,
    /// `WINDLASS_AUDIT_KEEP_DAYS`: as long, the payment audit is kept.
    pub audit_keep_days: u32,
}

impl LogFiles {
    pub(super) fn read(env: &mut Environment) -> Option<Self> {
        let folder = env.text("WINDLASS_LOG_DIR").map(PathBuf::from);
        let file = bounded(env, "WINDLASS_LOG_FILE_MB", 64, FILE_MIB);
        let total = bounded(env, "WINDLASS_LOG_TOTAL_MB", 2_048, TOTAL_MIB);
        let keep_days = bounded(env, "WINDLASS_LOG_KEEP_DAYS", 30, KEEP_DAYS);
        let audit_keep_days = bounded(env, "WINDLASS_AUDIT_KEEP_DAYS", 90, AUDIT_KEEP_DAYS);
        if total < file * FILES_AT_ONCE {
            let least = file * FILES_AT_ONCE;
            let why = format!(
                "{total} is less than the {FILES_AT_ONCE} files of {file} MB that a process writes at a time: at least \
                 {least}, or a smaller WINDLASS_LOG_FILE_MB"
            );
            env.problem("WINDLASS_LOG_TOTAL_MB", why);
        }
        Some(Self {
            folder: folder?,
            file_bytes_max: file * MIB,
            total_bytes_max: total * MIB,
            keep_days,
            audit_keep_days,
        })
    }
}

/// `WINDLASS_SLOW_QUERY_MS`: a statement of the ledger that takes so long is logged. None: none is.
pub(super) fn slow_query(env: &mut Environment) -> Option<Duration> {
    let ms = bounded(env, "WINDLASS_SLOW_QUERY_MS", 500, 0..=SLOW_QUERY_MS_MAX);
    (ms > 0).then(|| Duration::from_millis(ms))
}

fn bounded<T>(env: &mut Environment, name: &'static str, default: T, range: RangeInclusive<T>) -> T
where
    T: Copy + PartialOrd + std::fmt::Display + std::str::FromStr,
{
    let value = env.parsed(name, "a whole number").unwrap_or(default);
    if !range.contains(&value) {
        env.problem(name, format!("{value} is not from {} to {}", range.start(), range.end()));
    }
    value
}
