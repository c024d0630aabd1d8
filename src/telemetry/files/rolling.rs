//! One stream of one process: a file a day, and another when it is full. Lines are appended; nothing is renamed or
//! changed. A file that somebody moved or removed is made again, so that logrotate may have a hand in it too.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use windlass_engine::Clock;

use super::folder::{Claim, FILE_MODE};
use super::name::{LogName, Stream};

/// How often it is looked whether the file is still where it was.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub struct Rolling {
    claim: Arc<Claim>,
    stream: Stream,
    bytes_max: u64,
    clock: Clock,
    open: Option<Open>,
}

struct Open {
    file: File,
    name: LogName,
    path: PathBuf,
    bytes: u64,
    /// Its last line has no end: a write broke off.
    torn: bool,
    looked: Instant,
}

impl Rolling {
    /// Opens nothing yet.
    pub fn new(claim: Arc<Claim>, stream: Stream, bytes_max: u64, clock: Clock) -> Self {
        Self { claim, stream, bytes_max, clock, open: None }
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// When they cannot be written. Some of the bytes may have been; the next line begins anew.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let open = self.fitting(lines.len() as u64)?;
        if open.torn {
            open.file.write_all(b"\n")?;
            open.torn = false;
        }
        // Until the last byte is there.
        open.torn = true;
        open.file.write_all(lines)?;
        open.torn = false;
        open.bytes += lines.len() as u64;
        Ok(())
    }

    /// What was appended survives the machine.
    pub fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    /// Opens the file anew at the next line.
    pub fn reopen(&mut self) {
        self.open = None;
    }

    /// The file to which so many bytes may be appended.
    fn fitting(&mut self, bytes: u64) -> io::Result<&mut Open> {
        let today = self.clock.wall().to_datetime().date_naive();
        let of_today = self.open.take().filter(|open| open.name.day == today);
        let open = match of_today.and_then(|mut open| open.is_there().then_some(open)) {
            Some(open) => open,
            None => self.newest_of(today)?,
        };
        let open = if open.bytes > 0 && open.bytes + bytes > self.bytes_max {
            self.open_part(LogName { part: open.name.part + 1, ..open.name })?
        } else {
            open
        };
        Ok(self.open.insert(open))
    }

    /// The day's last file, or its first.
    fn newest_of(&self, day: NaiveDate) -> io::Result<Open> {
        let mut part = 1;
        for entry in fs::read_dir(&self.claim.folder)? {
            let name = entry?.file_name();
            let ours = name.to_str().and_then(LogName::parse);
            if let Some(ours) =
                ours.filter(|ours| ours.is_of(self.stream, &self.claim.process) && ours.day == day)
            {
                part = part.max(ours.part);
            }
        }
        self.open_part(LogName { stream: self.stream, process: self.claim.process.clone(), day, part })
    }

    fn open_part(&self, name: LogName) -> io::Result<Open> {
        let path = self.claim.folder.join(name.to_string());
        let file = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(&path)?;
        let found = file.metadata()?;
        let bytes = found.len();
        if bytes == 0 && found.is_file() {
            // Whatever the mask: a collector of the group reads it.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        }
        // The process before may have been killed in the middle of a line.
        let torn = bytes > 0 && last_byte(&path).is_ok_and(|last| last != b'\n');
        Ok(Open { file, name, path, bytes, torn, looked: Instant::now() })
    }
}

impl Open {
    fn is_there(&mut self) -> bool {
        if self.looked.elapsed() < LOOK_EVERY {
            return true;
        }
        self.looked = Instant::now();
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::metadata(&self.path)) else { return false };
        ours.dev() == there.dev() && ours.ino() == there.ino()
    }
}

fn last_byte(path: &PathBuf) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last[0])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rolling(folder: &Path, bytes_max: u64) -> Rolling {
        let claim = Arc::new(Claim::take(folder, "worker").unwrap());
        Rolling::new(claim, Stream::App, bytes_max, Clock::system())
    }

    /// Names and texts of the log files, in order.
    fn files(folder: &Path) -> Vec<(u32, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let name = LogName::parse(path.file_name()?.to_str()?)?;
                Some((name.part, fs::read_to_string(path).unwrap()))
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_a_restart_goes_on_in_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 10);
        for line in ["one\n", "two\n", "three\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        drop(log);
        rolling(folder.path(), 10).append(b"4\n").unwrap();
        let told = [(1, "one\ntwo\n".to_owned()), (2, "three\n4\n".to_owned())];
        assert_eq!(files(folder.path()), told);
    }

    #[test]
    fn nobody_but_the_owner_may_write_and_strangers_may_not_read() {
        let folder = tempfile::tempdir().unwrap();
        rolling(&folder.path().join("logs"), 10).append(b"1\n").unwrap();
        for entry in fs::read_dir(folder.path().join("logs")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777 & !FILE_MODE, 0, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 100);
        log.append(b"before\n").unwrap();
        let path = log.open.as_ref().unwrap().path.clone();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        log.open.as_mut().unwrap().looked -= LOOK_EVERY;
        log.append(b"after\n").unwrap();
        assert_eq!(files(folder.path()), [(1, "after\n".to_owned())]);
        assert_eq!(fs::read_to_string(folder.path().join("moved")).unwrap(), "before\n");
    }

    #[test]
    fn a_line_that_broke_off_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 100);
        log.append(b"one\n").unwrap();
        let path = log.open.as_ref().unwrap().path.clone();
        drop(log);
        fs::write(&path, "one\ntw").unwrap();
        rolling(folder.path(), 100).append(b"three\n").unwrap();
        assert_eq!(files(folder.path()), [(1, "one\ntw\nthree\n".to_owned())]);
    }

    #[test]
    fn yesterdays_file_is_left_for_todays() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 100);
        log.append(b"one\n").unwrap();
        let open = log.open.as_mut().unwrap();
        open.name.day = open.name.day.pred_opt().unwrap();
        open.name.part = 9;
        log.append(b"two\n").unwrap();
        assert_eq!(log.open.as_ref().unwrap().name.part, 1);
    }
}
