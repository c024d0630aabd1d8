//! The fault dial: which call goes wrong, and how.
//!
//! A decision is a hash of (seed, endpoint, key, how often this key was asked at this endpoint) and never of time, so
//! the same calls meet the same faults whatever their timing. No key meets more than [`FAULTS_IN_A_ROW_MAX`] faults
//! in a row at one endpoint: who keeps asking gets through. A restart begins to count afresh. A fault spoils an answer or
//! comes before the effect; it never changes what an effect means, so the truth stays true.

mod menu;

pub(crate) use self::menu::{Endpoint, Fault};

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::draw::draw;

/// The dial's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Faults {
    #[default]
    None,
    /// About 5 calls in 100.
    Some,
    /// About 28 calls in 100.
    Storm,
}

impl Faults {
    const fn per_mille(self) -> u64 {
        match self {
            Faults::None => 0,
            Faults::Some => 50,
            Faults::Storm => 280,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Faults::None => "none",
            Faults::Some => "some",
            Faults::Storm => "storm",
        })
    }
}

impl FromStr for Faults {
    type Err = UnknownFaults;

    fn from_str(text: &str) -> Result<Self, UnknownFaults> {
        match text {
            "none" => Ok(Faults::None),
            "some" => Ok(Faults::Some),
            "storm" => Ok(Faults::Storm),
            _ => Err(UnknownFaults),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFaults;

impl fmt::Display for UnknownFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faults are none, some or storm")
    }
}

impl std::error::Error for UnknownFaults {}

pub const FAULTS_IN_A_ROW_MAX: u8 = 3;
/// Decides, and remembers how often each key was asked.
#[derive(Debug)]
pub(crate) struct Dial {
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    faults: Faults,
    asked: HashMap<u64, Asked>,
    given: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    times: u32,
    in_a_row: u8,
}

impl Dial {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self { seed, inner: Mutex::new(Inner { faults, ..Inner::default() }) }
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub(crate) fn faults(&self) -> Faults {
        self.lock().faults
    }

    /// How many faults were dealt out.
    pub(crate) fn given(&self) -> u64 {
        self.lock().given
    }

    /// What becomes of this call; counts it.
    pub(crate) fn ask(&self, endpoint: Endpoint, key: &str) -> Option<Fault> {
        let mut inner = self.lock();
        let per_mille = inner.faults.per_mille();
        if per_mille == 0 {
            return None;
        }
        let asked = inner.asked.entry(draw(0, &[endpoint.name(), key], 0)).or_default();
        let drawn = draw(self.seed, &["fault", endpoint.name(), key], u64::from(asked.times));
        asked.times += 1;
        if drawn % 1_000 >= per_mille || asked.in_a_row >= FAULTS_IN_A_ROW_MAX {
            asked.in_a_row = 0;
            return None;
        }
        asked.in_a_row += 1;
        inner.given += 1;
        let menu = endpoint.menu();
        Some(match menu[(drawn >> 16) as usize % menu.len()] {
            Fault::Slow(max) => Fault::Slow(max.mul_f64((drawn >> 40) as f64 / (1u64 << 24) as f64)),
            fault => fault,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dial: &Dial, keys: &[&str]) -> Vec<Option<Fault>> {
        keys.iter().map(|key| dial.ask(Endpoint::YlhCreate, key)).collect()
    }

    #[test]
    fn the_same_seed_deals_the_same_faults_in_whatever_order_the_keys_come() {
        let (one, other) = (Dial::new(7, Faults::Storm), Dial::new(7, Faults::Storm));
        for round in 0..200 {
            let forward = run(&one, &["a", "b", "c"]);
            let mut backward = run(&other, &["c", "b", "a"]);
            backward.reverse();
            assert_eq!(forward, backward, "round {round}");
        }
        assert_ne!(
            run(&Dial::new(7, Faults::Storm), &["a"; 50]),
            run(&Dial::new(8, Faults::Storm), &["a"; 50])
        );
    }

    #[test]
    fn a_storm_spoils_about_28_calls_in_100_and_never_four_in_a_row() {
        let dial = Dial::new(3, Faults::Storm);
        let (mut spoiled, mut row, mut longest) = (0, 0, 0);
        for _ in 0..10_000 {
            row = if dial.ask(Endpoint::PayRefund, "R-1").is_some() { row + 1 } else { 0 };
            spoiled += i32::from(row > 0);
            longest = longest.max(row);
        }
        assert!((2_500..3_000).contains(&spoiled), "{spoiled}");
        assert_eq!(longest, i32::from(FAULTS_IN_A_ROW_MAX));
        assert_eq!(dial.given(), spoiled as u64);
    }

    #[test]
    fn no_faults_means_none() {
        let dial = Dial::new(3, Faults::None);
        assert!((0..1_000).all(|_| dial.ask(Endpoint::Mail, "m").is_none()));
    }

    #[test]
    fn the_dial_reads_back_what_it_prints() {
        for faults in [Faults::None, Faults::Some, Faults::Storm] {
            assert_eq!(faults.to_string().parse(), Ok(faults));
        }
        assert_eq!("gale".parse::<Faults>(), Err(UnknownFaults));
    }
}
