//! What is wrong with the files of the schedules, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// One fault in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// The first is 1. None: the file as a whole.
    pub line: Option<usize>,
    pub schedule: Option<String>,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(schedule) = &self.schedule {
            write!(f, ": [{schedule}]")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that is wrong with the schedules: never empty. Shown one problem a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ScheduleProblems(pub Vec<Problem>);

impl fmt::Display for ScheduleProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 problem in the schedules:")?,
            n => write!(f, "{n} problems in the schedules:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// A file's text, to tell lines from spans.
pub(super) struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl Source {
    pub fn problem(&self, schedule: Option<&str>, span: Range<usize>, what: impl Into<String>) -> Problem {
        let before = self.text.as_bytes().iter().take(span.start);
        Problem {
            file: self.file.clone(),
            line: Some(1 + before.filter(|byte| **byte == b'\n').count()),
            schedule: schedule.map(str::to_owned),
            what: what.into(),
        }
    }
}
