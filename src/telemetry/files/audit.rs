//! The file of the payment audit: opened for appending only, written and synced before the decision that it tells of
//! holds. Never queued, never dropped: where it cannot be written, the decision is not taken.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_engine::Clock;
use windlass_jobs::ledger::MoneyTrail;

use super::folder::Claim;
use super::name::Stream;
use super::rolling::Rolling;
use crate::config::{LogFiles, WrongSetUp};

pub struct AuditFile {
    folder: PathBuf,
    role: &'static str,
    bytes_max: u64,
    clock: Clock,
    /// None: nothing was written yet, by a command that may never have to.
    open: Mutex<Option<Rolling>>,
}

impl AuditFile {
    /// In the place of a process that writes log files, too.
    ///
    /// # Errors
    /// When it cannot be opened, with what to do.
    pub fn beside(
        settings: &LogFiles,
        claim: &Arc<Claim>,
        role: &'static str,
        clock: &Clock,
    ) -> Result<Self, WrongSetUp> {
        let mut rolling = Self::rolling(claim.clone(), settings.file_bytes_max, clock);
        rolling.append(b"").map_err(|error| {
            WrongSetUp(format!(
                "the payment audit cannot be opened in {} ({error}): nothing about money could be decided",
                settings.folder.display()
            ))
        })?;
        Ok(Self { open: Mutex::new(Some(rolling)), ..Self::later(settings, role, clock) })
    }

    /// Takes its place in the folder with its first line.
    pub fn later(settings: &LogFiles, role: &'static str, clock: &Clock) -> Self {
        Self {
            folder: settings.folder.clone(),
            role,
            bytes_max: settings.file_bytes_max,
            clock: clock.clone(),
            open: Mutex::new(None),
        }
    }

    fn rolling(claim: Arc<Claim>, bytes_max: u64, clock: &Clock) -> Rolling {
        Rolling::new(claim, Stream::Audit, bytes_max, clock.clone())
    }
}

impl MoneyTrail for AuditFile {
    fn write(&self, lines: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let rolling = match &mut *open {
            Some(rolling) => rolling,
            none => {
                let claim = Claim::take(&self.folder, self.role).map_err(io::Error::other)?;
                none.insert(Self::rolling(Arc::new(claim), self.bytes_max, &self.clock))
            }
        };
        rolling.append(lines.as_bytes())?;
        rolling.sync()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_is_in_the_file_when_it_is_answered_and_a_command_that_decides_nothing_makes_none() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogFiles {
            folder: folder.path().join("logs"),
            file_bytes_max: 1_000,
            total_bytes_max: 1_000_000,
            keep_days: 30,
            audit_keep_days: 90,
        };
        let audit = AuditFile::later(&settings, "tool", &Clock::system());
        assert!(!settings.folder.exists());
        audit.write("{\"what\":\"refund.requested\"}\n").unwrap();
        audit.write("{\"what\":\"refund.recorded\"}\n").unwrap();
        let text: String = fs::read_dir(&settings.folder)
            .unwrap()
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        assert_eq!(text, "{\"what\":\"refund.requested\"}\n{\"what\":\"refund.recorded\"}\n");
    }
}
