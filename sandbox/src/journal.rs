//! The world's own book: one event a line, each written with a single `write` before the answer goes out.
//!
//! There is no fsync: the book is meant to survive the end of the process, not of the machine.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use windlass_engine::Timestamp;

use crate::world::event::Event;

/// No event is longer: an order of a thousand lines and a mail's beginning fit well.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// When the last event in a journal happened, so that a restart can set its clock behind nothing; `None` when there is
/// no journal or nothing in it.
///
/// # Errors
/// When the file cannot be read or its last whole line is no event.
pub fn journal_ends_at(path: &Path) -> Result<Option<Timestamp>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(2 * LINE_BYTES_MAX)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &tail[..end]);
    match whole.rsplit(|byte| *byte == b'\n').next() {
        None | Some([]) => Ok(None),
        Some(line) => {
            let event: Event = serde_json::from_slice(line).context("the journal's last line is no event")?;
            Ok(Some(event.at))
        }
    }
}

#[derive(Debug)]
pub(crate) enum Journal {
    Memory,
    File(File),
    /// The sandbox was stopped: nothing happens any more.
    Closed,
}

impl Journal {
    /// Opens the book and reads every event in it to `replay`. A last line that was torn by the end of the process is
    /// cut off; anything else that cannot be read is an error.
    pub(crate) fn open(path: &Path, mut replay: impl FnMut(Event)) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("open the sandbox's journal {}", path.display()))?;
        // Two worlds in one book would each take the other's line for a torn one.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another process has the sandbox's journal {} open; stop it, or choose another folder with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock the sandbox's journal {}", path.display()));
            }
        }
        let mut reader = BufReader::new(&file);
        let (mut line, mut whole_bytes, mut lines) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).context("read the sandbox's journal")?;
            if read == 0 {
                break;
            }
            lines += 1;
            if line.last() != Some(&b'\n') {
                tracing::warn!(line = lines, bytes = read, "the journal's last line is torn: cutting it off");
                file.set_len(whole_bytes).context("cut off the journal's torn line")?;
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(event) => replay(event),
                Err(error) => bail!("line {lines} of {} is no event: {error}", path.display()),
            }
            whole_bytes += read as u64;
        }
        Ok(Journal::File(file))
    }

    /// # Errors
    /// When the line could not be written whole. What was written of it is cut off again, so that the next line
    /// does not grow onto it.
    pub(crate) fn append(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Journal::Memory => Ok(()),
            Journal::Closed => Err(io::Error::other("the sandbox was stopped")),
            Journal::File(file) => {
                let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
                line.push(b'\n');
                let written = file.write(&line)?;
                if written == line.len() {
                    return Ok(());
                }
                let end = file.metadata()?.len();
                file.set_len(end.saturating_sub(written as u64))?;
                Err(io::ErrorKind::WriteZero.into())
            }
        }
    }
}
