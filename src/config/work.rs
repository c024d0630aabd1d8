//! What a worker takes on. Which queues there are is known elsewhere: here only the form is read.

use std::ops::RangeInclusive;
use std::time::Duration;

use windlass_engine::worker::WorkerSettings;

use super::environment::Environment;

/// Jobs of one queue that one process runs at once, at most.
pub const SLOTS_MAX: u32 = 1_024;
const SLOTS_DEFAULT: u32 = 32;
/// Seconds of a lease. A shorter one is lost by a worker that is merely busy.
const LEASE_S: RangeInclusive<u64> = 1..=300;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// `WINDLASS_SLOTS`: jobs of each queue that this process runs at once, 1 to [`SLOTS_MAX`].
    pub slots: u32,
    /// `WINDLASS_QUEUES`: the queues to take from, each with its slots where they are its own. Empty: all.
    pub queues: Vec<(String, Option<u32>)>,
    /// `WINDLASS_LEASE_S`: wall time that a job is held without a sign of life, 1 to 300 s.
    pub lease: Duration,
}

impl Work {
    pub(super) fn read(env: &mut Environment) -> Self {
        let slots = env.parsed("WINDLASS_SLOTS", "a whole number").unwrap_or(SLOTS_DEFAULT);
        if !(1..=SLOTS_MAX).contains(&slots) {
            env.problem("WINDLASS_SLOTS", format!("{slots} is not from 1 to {SLOTS_MAX}"));
        }
        let text = env.text("WINDLASS_QUEUES").unwrap_or_default();
        let mut queues: Vec<(String, Option<u32>)> = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match queue(entry) {
                Ok((name, _)) if queues.iter().any(|(known, _)| *known == name) => {
                    env.problem("WINDLASS_QUEUES", format!("\"{name}\" stands there twice"));
                }
                Ok(queue) => queues.push(queue),
                Err(why) => env.problem("WINDLASS_QUEUES", why),
            }
        }
        let lease_s = env.parsed("WINDLASS_LEASE_S", "a whole number of seconds");
        let lease_s = lease_s.unwrap_or(WorkerSettings::LEASE_DEFAULT.as_secs());
        if !LEASE_S.contains(&lease_s) {
            let (least, most) = (LEASE_S.start(), LEASE_S.end());
            env.problem("WINDLASS_LEASE_S", format!("{lease_s} is not from {least} to {most}"));
        }
        Self { slots, queues, lease: Duration::from_secs(lease_s) }
    }
}

fn queue(entry: &str) -> Result<(String, Option<u32>), String> {
    let Some((name, slots)) = entry.split_once('=') else { return Ok((entry.to_owned(), None)) };
    let parsed = slots.trim().parse().ok().filter(|slots| (1..=SLOTS_MAX).contains(slots));
    match parsed {
        Some(parsed) => Ok((name.trim().to_owned(), Some(parsed))),
        None => Err(format!("the slots of \"{entry}\" are not a number from 1 to {SLOTS_MAX}")),
    }
}
