//! What a demo must know of itself when it is started again on the same folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use windlass_engine::Clock;
use windlass_sandbox::Day;

use super::Demo;
use super::days::Days;

/// The demo that a folder holds.
pub struct Notebook {
    path: PathBuf,
    page: Page,
    goes_on: bool,
    /// The folder is this demo's for as long as this is held.
    _lock: File,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct Page {
    /// Sets the order numbers of one demo apart from those of the one before.
    run: u32,
    count: usize,
    seed: u64,
    faults: String,
    orders: Option<PathBuf>,
    #[serde(default)]
    days: Option<u32>,
    /// Of a demo of days.
    #[serde(default)]
    first_day: Option<Day>,
    finished: bool,
}

impl Notebook {
    /// The demo of the folder that did not finish, or a new one. Nothing is written before [`Notebook::begin`].
    ///
    /// # Errors
    /// When the folder holds an unfinished demo with other options or one that runs, or cannot be written.
    pub fn open(data: &Path, demo: &Demo) -> anyhow::Result<Self> {
        let lock = lock(data)?;
        let path = data.join("demo.json");
        let before: Option<Page> = match std::fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).with_context(|| {
                format!("{} is not a demo's notebook: choose another folder with --data", path.display())
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let page = Page {
            run: before.as_ref().map_or(1, |page| page.run + u32::from(page.finished)),
            count: demo.count,
            seed: demo.seed,
            faults: demo.faults.to_string(),
            orders: demo.orders.clone(),
            days: demo.days,
            first_day: None,
            finished: false,
        };
        let goes_on = before.as_ref().is_some_and(|before| !before.finished);
        let day = before.as_ref().filter(|_| goes_on).and_then(|before| before.first_day);
        let tomorrow = || Days::tomorrow(&Clock::system());
        let page = Page { first_day: demo.days.map(|_| day.unwrap_or_else(tomorrow)), ..page };
        if let Some(before) = before.filter(|before| goes_on && *before != page) {
            bail!(
                "{} holds a demo that did not finish (--count {} --seed {} --faults {}{}{}): go on with those \
                 options, or delete the folder",
                data.display(),
                before.count,
                before.seed,
                before.faults,
                before.orders.map(|path| format!(" --orders {}", path.display())).unwrap_or_default(),
                before.days.map(|days| format!(" --days {days}")).unwrap_or_default(),
            );
        }
        Ok(Self { path, page, goes_on, _lock: lock })
    }

    /// Begins the demo, in place of one that finished, whose files go with it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin_anew(&self) -> anyhow::Result<()> {
        if !self.goes_on {
            make_room(self.path.parent().unwrap_or(Path::new(".")))?;
        }
        self.begin()
    }

    /// Begins the demo. What one that finished left behind stays: an installation that runs on still asks its outside
    /// after the orders of it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(&self) -> anyhow::Result<()> {
        self.write()
    }

    /// The day that a demo of days begins with.
    pub fn first_day(&self) -> Day {
        self.page.first_day.unwrap_or_else(|| Days::tomorrow(&Clock::system()))
    }

    /// A short text that is part of this demo's order numbers.
    pub fn run(&self) -> String {
        format!("{:04}", self.page.run)
    }

    pub fn words(&self) -> String {
        let Page { run, count, faults, .. } = &self.page;
        let how = if self.goes_on { "going on with" } else { "beginning" };
        let days = self.page.days.map(|days| format!(" over {days} days")).unwrap_or_default();
        format!("{how} demo {run}: up to {count} orders{days}, faults {faults}.")
    }

    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.page.finished = true;
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec_pretty(&self.page)?)
            .and_then(|()| std::fs::rename(&beside, &self.path))
            .with_context(|| {
                format!("cannot write {}: choose another folder with --data", self.path.display())
            })
    }
}

/// Two demos in one folder would clear each other's files away.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("demo.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file =
        file.with_context(|| format!("cannot write {}: choose another folder with --data", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another process runs a demo in {}: stop it, or choose another folder with --data",
            data.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Takes away what a demo that is over left behind. The notebook stays: its numbers go on.
fn make_room(data: &Path) -> anyhow::Result<()> {
    const LEFT: [&str; 8] = [
        "queue.db",
        "queue.db-wal",
        "queue.db-shm",
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "sandbox.journal",
        "shop-time",
    ];
    for name in LEFT {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot clear {}", data.join(name).display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
