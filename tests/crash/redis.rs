//! The carrier goes away, forgets everything, or is full.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::load::{Amount, Load};
use crate::town::{Plan, Town};
use crate::wait::within;

#[test]
fn a_redis_that_dies_and_ways_to_it_that_break_lose_nothing() {
    let mut town = Town::build(Plan::default());
    let load =
        Load::begin(&mut town, "redis", Amount { orders: 50, jobs: 300, over: Duration::from_secs(12) });
    for _ in 0..2 {
        town.pause(300..1_500);
        town.restart_redis();
    }
    town.pause(300..1_000);
    town.cut_redis();
    for _ in 0..6 {
        town.pause(50..500);
        town.kill_redis_clients();
    }
    let accepted = load.end();
    town.ends_well(&accepted);
}

#[test]
fn a_carrier_that_is_wiped_delays_orders_and_loses_none() {
    let mut town = Town::build(Plan::default());
    let load =
        Load::begin(&mut town, "wipe", Amount { orders: 50, jobs: 200, over: Duration::from_secs(10) });
    town.pause(1_500..3_000);
    town.wipe_redis();
    town.pause(1_500..3_000);
    town.lose_redis();
    let accepted = load.end();
    town.ends_well(&accepted);
}

#[test]
fn a_full_redis_refuses_new_jobs_and_loses_none() {
    let mut town = Town::build(Plan::default());
    let load = Load::begin(&mut town, "full", Amount { orders: 40, jobs: 300, over: Duration::from_secs(8) });
    town.pause(500..1_500);
    town.fill_redis(&load, 30);
    let accepted = load.end();
    town.ends_well(&accepted);
}

/// Bytes of the disk, and what is left of them when it is to be full soon.
const DISK_BYTES: u64 = 16 * 1024 * 1024;
const ROOM_BYTES: u64 = 192 * 1024;
const FULL_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_redis_whose_disk_is_full_loses_nothing_that_was_accepted() {
    let disk = match Disk::mount() {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a small disk cannot be mounted here: {why}");
            return;
        }
    };
    let mut town = Town::build(Plan { redis_folder: Some(disk.path.path()), ..Plan::default() });
    let load = Load::begin(&mut town, "disk", Amount { orders: 40, jobs: 300, over: Duration::from_secs(8) });
    town.pause(500..1_500);
    let ballast = disk.fill();
    // With appendfsync always Redis does not go on without its file.
    let ended = within(FULL_MAX, || (!town.redis.lives()).then_some(()));
    assert!(ended.is_some(), "Redis goes on although its disk is full");
    std::fs::remove_file(ballast).unwrap();
    town.redis.start_again();
    let accepted = load.end();
    town.ends_well(&accepted);
}

/// A file system in memory, gone with whoever holds it.
struct Disk {
    path: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Result<Self, String> {
        let path = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_BYTES}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path.path()).output();
        let mounted = mounted.map_err(|error| error.to_string())?;
        if mounted.status.success() {
            Ok(Self { path })
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned())
        }
    }

    /// Leaves little room; answers the file that takes the rest.
    fn fill(&self) -> PathBuf {
        let used: u64 = files(self.path.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
        let ballast = self.path.path().join("ballast");
        let bytes = DISK_BYTES.saturating_sub(used + ROOM_BYTES);
        std::fs::write(&ballast, vec![b'.'; usize::try_from(bytes).unwrap()]).unwrap();
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process that still has a file open there must not keep it.
        let _ = Command::new("umount").arg("-l").arg(self.path.path()).status();
    }
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
