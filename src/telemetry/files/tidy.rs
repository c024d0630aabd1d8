//! How long log files stay, and how much room all of them take. Whichever process comes along tidies for all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};

use super::name::{LogName, Stream};
use crate::config::LogFiles;

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: LogName,
    path: PathBuf,
    bytes: u64,
}

/// Removes what is older than its days, then the oldest until all fit. The newest file of a stream and process is only
/// removed by its age: somebody may be writing it. The audit is only removed by its age.
///
/// # Errors
/// When the folder cannot be read, or a file not removed: the first such error, after all were tried.
pub fn tidy(settings: &LogFiles, today: NaiveDate) -> io::Result<usize> {
    let mut files = files_in(&settings.folder)?;
    files.sort_by_key(|file| (file.name.day, file.name.part));
    let (mut removed, mut failed) = (0, Ok(()));
    for file in goners(settings, &files, today) {
        match fs::remove_file(&file.path) {
            Ok(()) => removed += 1,
            // Another process came first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed.map(|()| removed)
}

fn files_in(folder: &Path) -> io::Result<Vec<Kept>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().and_then(LogName::parse) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        files.push(Kept { name, path: entry.path(), bytes: metadata.len() });
    }
    Ok(files)
}

/// `files` are sorted by age, the oldest first.
fn goners<'a>(settings: &LogFiles, files: &'a [Kept], today: NaiveDate) -> Vec<&'a Kept> {
    let too_old = |file: &Kept| {
        let days =
            if file.name.stream == Stream::Audit { settings.audit_keep_days } else { settings.keep_days };
        today.checked_sub_days(Days::new(days.into())).is_some_and(|first| file.name.day < first)
    };
    let (mut gone, left): (Vec<_>, Vec<_>) = files.iter().partition(|file| too_old(file));
    let counted = |file: &&&Kept| file.name.stream != Stream::Audit;
    let mut total: u64 = left.iter().filter(counted).map(|file| file.bytes).sum();
    for (n, file) in left.iter().enumerate().filter(|(_, file)| counted(file)) {
        if total <= settings.total_bytes_max {
            break;
        }
        let is_newest =
            !left[n + 1..].iter().any(|later| later.name.is_of(file.name.stream, &file.name.process));
        if !is_newest {
            total -= file.bytes;
            gone.push(file);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> LogFiles {
        LogFiles {
            folder: folder.to_owned(),
            file_bytes_max: 10,
            total_bytes_max: 25,
            keep_days: 30,
            audit_keep_days: 90,
        }
    }

    /// What is left of files of ten bytes after tidying on 2026-11-22.
    fn left_of(names: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "123456789\n").unwrap();
        }
        tidy(&settings(folder.path()), NaiveDate::from_ymd_opt(2026, 11, 22).unwrap()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        left
    }

    #[test]
    fn what_is_older_than_its_days_goes_and_the_audit_stays_longer() {
        let left = left_of(&[
            "app-worker-1.2026-10-22.001.log",
            "app-worker-1.2026-10-23.001.log",
            "audit-worker-1.2026-08-23.001.log",
            "audit-worker-1.2026-08-24.001.log",
            "of-somebody-else.2020-01-01.log",
        ]);
        let kept = [
            "app-worker-1.2026-10-23.001.log",
            "audit-worker-1.2026-08-24.001.log",
            "of-somebody-else.2020-01-01.log",
        ];
        assert_eq!(left, kept);
    }

    #[test]
    fn beyond_the_whole_the_oldest_go_but_never_the_audit_and_not_what_is_being_written() {
        let left = left_of(&[
            "app-worker-1.2026-11-20.001.log",
            "app-worker-1.2026-11-21.001.log",
            "app-worker-1.2026-11-21.002.log",
            "audit-worker-1.2026-11-19.001.log",
            "audit-worker-1.2026-11-20.001.log",
            "error-worker-1.2026-11-01.001.log",
        ]);
        let kept = [
            "app-worker-1.2026-11-21.002.log",
            "audit-worker-1.2026-11-19.001.log",
            "audit-worker-1.2026-11-20.001.log",
            "error-worker-1.2026-11-01.001.log",
        ];
        assert_eq!(left, kept);
    }
}
