//! What a log file is called: `app-worker-1.2026-11-22.001.log`. The day is that of its lines (UTC); names of one stream and
//! process sort by time. No file is ever renamed, so whatever follows them or keeps them from being changed can count on
//! a name.

use std::fmt;

use chrono::NaiveDate;

/// What is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Everything that is in no other, and errors.
    App,
    /// Errors alone.
    Error,
    /// A line for each request to the front door.
    Api,
    /// Statements of the ledger that took long.
    Slow,
    /// Decisions about money.
    Audit,
}

impl Stream {
    /// Those that a bounded queue feeds: all but the audit.
    pub const QUEUED: [Stream; 4] = [Self::App, Self::Error, Self::Api, Self::Slow];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Error => "error",
            Self::Api => "api",
            Self::Slow => "slow",
            Self::Audit => "audit",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::QUEUED.into_iter().chain([Self::Audit]).find(|stream| stream.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogName {
    pub stream: Stream,
    /// Role and number: `worker-1`.
    pub process: String,
    pub day: NaiveDate,
    /// From 1 on.
    pub part: u32,
}

impl LogName {
    /// None: it is not a file of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let (whose, rest) = name.strip_suffix(".log")?.split_once('.')?;
        let (stream, process) = whose.split_once('-')?;
        let (day, part) = rest.split_once('.')?;
        Some(Self {
            stream: Stream::parse(stream)?,
            process: process.to_owned(),
            day: NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?,
            part: part.parse().ok()?,
        })
    }

    pub fn is_of(&self, stream: Stream, process: &str) -> bool {
        self.stream == stream && self.process == process
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, process, day, part } = self;
        write!(f, "{}-{process}.{day}.{part:03}.log", stream.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_a_strangers_is_none_of_ours() {
        let name = LogName {
            stream: Stream::Audit,
            process: "worker-12".to_owned(),
            day: NaiveDate::from_ymd_opt(2026, 11, 22).unwrap(),
            part: 7,
        };
        assert_eq!(name.to_string(), "audit-worker-12.2026-11-22.007.log");
        assert_eq!(LogName::parse(&name.to_string()), Some(name));
        for strange in
            ["nginx.log", "app-worker-1.log", "app-up-1.2026-11-22.001.log.gz", "apt-x.2026-11-22.001.log"]
        {
            assert_eq!(LogName::parse(strange), None, "{strange}");
        }
    }
}
