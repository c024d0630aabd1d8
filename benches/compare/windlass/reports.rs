//! What the jobs tell: JSON lines in a file of this process' own, which the harness reads.
//!
//! The ends of a drain and of a wait are told by the jobs' own code with the clock's time, so it does not matter
//! when a line is written. Lines about a job that holds are written at once: the process is about to be killed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use windlass_engine::Clock;

/// How often what was counted is written.
const FLUSH: Duration = Duration::from_millis(50);

pub struct Reports {
    clock: Clock,
    hold: PathBuf,
    told: Arc<Told>,
}

struct Told {
    tally: Mutex<Tally>,
    file: Mutex<File>,
    first: Notify,
}

#[derive(Default)]
struct Tally {
    /// Since the process began.
    ran: u64,
    first_us: i64,
    last_us: i64,
    /// Since the last line.
    waits_us: Vec<i64>,
    told: u64,
}

impl Reports {
    /// Writes to a new file in `folder`, named after this process, until the process ends.
    pub fn into_folder(folder: &Path, hold: PathBuf, clock: Clock) -> anyhow::Result<Self> {
        let path = folder.join(format!("{}.jsonl", std::process::id()));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        let told = Arc::new(Told { tally: Mutex::default(), file: Mutex::new(file), first: Notify::new() });
        let told_too = told.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(FLUSH);
                told_too.flush().expect("the harness' folder can be written");
            }
        });
        Ok(Self { clock, hold, told })
    }

    /// A job ran that was made at `at_us`; 0: it is not timed.
    pub fn ran(&self, at_us: i64) {
        let now = self.clock.wall().micros();
        let mut tally = self.told.tally.lock().expect("nothing panics while it is held");
        if tally.ran == 0 {
            tally.first_us = now;
            self.told.first.notify_one();
        }
        tally.ran += 1;
        tally.last_us = tally.last_us.max(now);
        if at_us > 0 {
            tally.waits_us.push(now - at_us);
        }
    }

    /// Waits until a job ran.
    pub async fn until_first(&self) {
        self.told.first.notified().await;
    }

    pub fn began(&self, n: usize) -> anyhow::Result<()> {
        self.told.write(&serde_json::json!({ "began": n, "at_us": self.clock.wall().micros() }))
    }

    pub fn ended(&self, n: usize) -> anyhow::Result<()> {
        self.told.write(&serde_json::json!({ "ended": n, "at_us": self.clock.wall().micros() }))
    }

    /// Whether jobs that hold may not end yet.
    pub fn holds(&self) -> bool {
        self.hold.exists()
    }

    pub fn flush(&self) -> anyhow::Result<()> {
        self.told.flush()
    }
}

impl Told {
    fn flush(&self) -> anyhow::Result<()> {
        let line = {
            let mut tally = self.tally.lock().expect("nothing panics while it is held");
            if tally.ran == tally.told {
                return Ok(());
            }
            tally.told = tally.ran;
            let waits_us = std::mem::take(&mut tally.waits_us);
            let Tally { ran, first_us, last_us, .. } = *tally;
            serde_json::json!({ "ran": ran, "first_us": first_us, "last_us": last_us, "waits_us": waits_us })
        };
        self.write(&line)
    }

    /// One line, one write: it is whole or not there.
    fn write(&self, line: &serde_json::Value) -> anyhow::Result<()> {
        let mut file = self.file.lock().expect("nothing panics while it is held");
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}
