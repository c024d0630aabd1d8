//! The folder of the log files: made, proven, and shared by the processes that write there.
//!
//! Replicas may share one folder. Each takes the first number of its role that nobody has (`worker-1`, `worker-2`) by a
//! lock on a small file beside the logs, which the system lets go of when the process ends, however it ends. So no two
//! processes write one file, and there are never more names than processes at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::WrongSetUp;

/// Processes of one role that write into one folder at a time.
pub const PROCESSES_MAX: u32 = 64;
/// What the system's mask leaves of it: the group may read, nobody else.
pub const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// A process' place in the folder, for as long as it lives.
#[derive(Debug)]
pub struct Claim {
    pub folder: PathBuf,
    /// Such as `worker-1`.
    pub process: String,
    /// Locked; let go of with the process.
    _lock: File,
}

impl Claim {
    /// Makes the folder where it is not there, and takes the first free number of the role.
    ///
    /// # Errors
    /// When nothing can be written there, with what to do.
    pub fn take(folder: &Path, role: &str) -> Result<Self, WrongSetUp> {
        prove(folder)?;
        for number in 1..=PROCESSES_MAX {
            let process = format!("{role}-{number}");
            let lock =
                open_private(&folder.join(format!(".{process}.lock"))).map_err(|e| unusable(folder, &e))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { folder: folder.to_owned(), process, _lock: lock }),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(unusable(folder, &error)),
            }
        }
        Err(WrongSetUp(format!(
            "{PROCESSES_MAX} processes write logs as {role} into {} already: give this one a WINDLASS_LOG_DIR of its own",
            folder.display()
        )))
    }
}

/// Makes the folder where it is not there, and proves that a file can be written in it.
///
/// # Errors
/// When it cannot, with what to do.
pub fn prove(folder: &Path) -> Result<(), WrongSetUp> {
    let proven = || {
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        }
        let probe = folder.join(format!(".probe-{}", std::process::id()));
        let written = open_private(&probe).and_then(|mut file| file.write_all(b"windlass\n"));
        let removed = fs::remove_file(&probe);
        written.and(removed)
    };
    proven().map_err(|error| unusable(folder, &error))
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)
}

fn unusable(folder: &Path, error: &io::Error) -> WrongSetUp {
    let todo = match error.kind() {
        ErrorKind::PermissionDenied => "let the user that runs windlass write there",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::ReadOnlyFilesystem => "mount it so that it can be written",
        _ => "name another folder",
    };
    WrongSetUp(format!(
        "log files cannot be written in {} ({error}): {todo}, or leave WINDLASS_LOG_DIR unset",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_share_a_folder_have_names_of_their_own_and_a_name_is_free_again_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let one = Claim::take(folder.path(), "worker").unwrap();
        let two = Claim::take(folder.path(), "worker").unwrap();
        let other = Claim::take(folder.path(), "api").unwrap();
        assert_eq!([&one.process, &two.process, &other.process], ["worker-1", "worker-2", "api-1"]);
        drop(one);
        assert_eq!(Claim::take(folder.path(), "worker").unwrap().process, "worker-1");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-file");
        fs::write(&file, "").unwrap();
        let refused = Claim::take(&file.join("logs"), "worker").unwrap_err().to_string();
        assert!(refused.contains("WINDLASS_LOG_DIR") && refused.contains("a-file/logs"), "{refused}");
    }
}
