//! The toy job of the peers, and what its runs tell.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use windlass_benches::filled::PAYLOAD_BYTES;
use windlass_benches::millis;
use windlass_engine::{Clock, Timestamp};

/// Nothing moved for so long: the worker is held to be stuck.
const STALL: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(20);
/// Jobs at once, and how often the storage is polled: what the measured figures of the design had.
pub const SLOTS: usize = 100;
pub const POLL: Duration = Duration::from_millis(50);
pub const PACED_PER_S: u64 = 200;
pub const PACED_JOBS: usize = 600;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Toy {
    enqueued_at_us: i64,
    padding: String,
}

impl Toy {
    pub fn new(clock: &Clock) -> Self {
        Self { enqueued_at_us: clock.wall().micros(), padding: "x".repeat(PAYLOAD_BYTES) }
    }
}

/// Told of every start. Clones share what was told.
#[derive(Clone, Debug)]
pub struct Seen {
    clock: Clock,
    fails: bool,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    waits_ms: Vec<f64>,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// What came of waiting for a number of starts.
#[derive(Debug)]
pub struct Drained {
    pub starts: usize,
    /// From the first start to the last.
    pub per_s: f64,
    pub took: Duration,
    pub waits_ms: Vec<f64>,
}

impl Seen {
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), fails: false, told: Arc::default() }
    }

    /// Lets every run fail.
    pub fn failing(clock: &Clock) -> Self {
        Self { fails: true, ..Self::new(clock) }
    }

    /// What the peer's worker runs.
    pub fn started(&self, toy: &Toy) -> Result<(), std::io::Error> {
        let waited = self.clock.wall().since(Timestamp::from_micros(toy.enqueued_at_us));
        let mut told = self.told.lock().expect("nothing panics while it is held");
        told.waits_ms.push(millis(waited));
        let now = Instant::now();
        told.first.get_or_insert(now);
        told.last = Some(now);
        if self.fails { Err(std::io::Error::other("as it was told to")) } else { Ok(()) }
    }

    fn starts(&self) -> usize {
        self.told.lock().expect("nothing panics while it is held").waits_ms.len()
    }

    /// Waits for `n` starts, or until none came for [`STALL`].
    pub async fn until(&self, n: usize) -> Drained {
        let (mut before, mut moved_at) = (0, Instant::now());
        while before < n && moved_at.elapsed() < STALL {
            tokio::time::sleep(LOOK).await;
            let starts = self.starts();
            if starts > before {
                (before, moved_at) = (starts, Instant::now());
            }
        }
        self.drained()
    }

    fn drained(&self) -> Drained {
        let told = self.told.lock().expect("nothing panics while it is held");
        let starts = told.waits_ms.len();
        let took = told.first.zip(told.last).map_or(Duration::ZERO, |(first, last)| last - first);
        let per_s = starts as f64 / took.as_secs_f64().max(1e-6);
        Drained { starts, per_s, took, waits_ms: told.waits_ms.clone() }
    }
}
