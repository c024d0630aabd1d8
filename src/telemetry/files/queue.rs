//! Lines on their way to the files: a bounded queue, and one thread that writes. Whoever logs never waits for a disk: a
//! line that finds the queue full, or that cannot be written, is counted and dropped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use windlass_engine::Clock;

use super::complaint::Complaint;
use super::folder::Claim;
use super::name::Stream;
use super::rolling::Rolling;
use super::tidy::tidy;
use crate::config::LogFiles;

/// Lines, and bytes of lines, that may wait for the disk.
const LINES_MAX: usize = 16_384;
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are written at once, where more wait.
const BATCH_BYTES: usize = 64 * 1024;
/// How often old files are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long the end of the process waits for the last lines.
const END_MAX: Duration = Duration::from_secs(2);

enum Message {
    Line(Streams, String),
    Reopen,
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// A set of [`Stream::QUEUED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams(u8);

impl Streams {
    pub const fn of(stream: Stream) -> Self {
        Self(1 << stream as u8)
    }

    pub const fn and(self, stream: Stream) -> Self {
        Self(self.0 | 1 << stream as u8)
    }

    fn has(self, stream: Stream) -> bool {
        self.0 & (1 << stream as u8) != 0
    }
}

/// The way in. Clones share it.
#[derive(Clone)]
pub struct Queue {
    sender: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Queue {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: &LogFiles, claim: &Arc<Claim>, clock: &Clock) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(LINES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let rolling = |stream| Rolling::new(claim.clone(), stream, settings.file_bytes_max, clock.clone());
        let writer = Writer {
            files: Stream::QUEUED.map(|stream| (stream, rolling(stream), Batch::default())),
            settings: settings.clone(),
            clock: clock.clone(),
            waiting_bytes: waiting_bytes.clone(),
            complaint: Complaint::default(),
        };
        thread::Builder::new().name("logs".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { sender, waiting_bytes })
    }

    /// Hands a line over, with its line break.
    pub fn line(&self, streams: Streams, line: String) {
        let bytes = line.len();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let handed = if waiting + bytes > BYTES_MAX {
            Err(())
        } else {
            self.sender.try_send(Message::Line(streams, line)).map_err(|error| match error {
                TrySendError::Full(_) | TrySendError::Disconnected(_) => (),
            })
        };
        if handed.is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            for stream in Stream::QUEUED.into_iter().filter(|stream| streams.has(*stream)) {
                dropped(stream, "queue_full", 1);
            }
        }
    }

    /// Has every file opened anew at its next line.
    pub fn reopen(&self) {
        // A queue that is full has lines to be written first; whoever moved a file is found out without this, too.
        let _ = self.sender.try_send(Message::Reopen);
    }

    /// Waits until what was handed over is in the files, two seconds at most.
    pub fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        let began = Instant::now();
        let mut message = Message::Flush(done);
        loop {
            match self.sender.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if began.elapsed() < END_MAX => {
                    message = back;
                    thread::sleep(Duration::from_millis(5));
                }
                Err(_) => return,
            }
        }
        let _ = written.recv_timeout(END_MAX.saturating_sub(began.elapsed()));
    }
}

fn dropped(stream: Stream, reason: &'static str, lines: u64) {
    metrics::counter!("windlass_log_lines_dropped_total", "file" => stream.as_str(), "reason" => reason)
        .increment(lines);
}

/// Lines of one stream that are written together.
#[derive(Default)]
struct Batch {
    text: String,
    lines: u64,
}

struct Writer {
    files: [(Stream, Rolling, Batch); Stream::QUEUED.len()],
    settings: LogFiles,
    clock: Clock,
    waiting_bytes: Arc<AtomicUsize>,
    complaint: Complaint,
}

impl Writer {
    /// Until the last way in is gone.
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut tidied: Option<Instant> = None;
        loop {
            if tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
                self.tidy();
                tidied = Some(Instant::now());
            }
            match receiver.recv_timeout(TIDY_EVERY) {
                Ok(first) => self.take(first, receiver),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Gathers what waits already, and writes it.
    fn take(&mut self, first: Message, receiver: &Receiver<Message>) {
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some(message) = next.take() {
            match message {
                Message::Line(streams, line) => {
                    bytes += line.len();
                    self.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    for (stream, _, batch) in &mut self.files {
                        if streams.has(*stream) {
                            batch.text.push_str(&line);
                            batch.lines += 1;
                        }
                    }
                }
                Message::Reopen => {
                    self.write();
                    self.files.iter_mut().for_each(|(_, file, _)| file.reopen());
                }
                Message::Flush(done) => {
                    self.write();
                    // Nobody waits any more: nothing to tell.
                    let _ = done.try_send(());
                }
            }
            if bytes < BATCH_BYTES {
                next = receiver.try_recv().ok();
            }
        }
        self.write();
    }

    fn write(&mut self) {
        let mut failed = None;
        for (stream, file, batch) in &mut self.files {
            if batch.lines == 0 {
                continue;
            }
            if let Err(error) = file.append(batch.text.as_bytes()) {
                dropped(*stream, "cannot_write", batch.lines);
                failed = Some(error);
            }
            batch.text.clear();
            batch.lines = 0;
        }
        if let Some(error) = failed {
            let folder = self.settings.folder.display();
            self.complaint
                .say(&format!("log files in {folder} cannot be written ({error}); their lines are dropped"));
        }
    }

    fn tidy(&mut self) {
        let today = self.clock.wall().to_datetime().date_naive();
        if let Err(error) = tidy(&self.settings, today) {
            let folder = self.settings.folder.display();
            self.complaint.say(&format!("old log files in {folder} cannot be removed: {error}"));
        }
    }
}
