//! How many workers a queue asks for: what comes and goes in it, and what follows from that. Pure, but for a short
//! memory of the books.
//!
//! Nothing is started or stopped here: an autoscaler reads the number (docs/guides/autoscaling.md) and acts. The books
//! of the carrier are the same for every front door, so each may have a memory of its own.
//!
//! By Little's law a queue into which `arrivals` jobs a second come, each of which runs for `run` seconds, needs
//! `arrivals × run` slots. `run` follows from the same law: the jobs that ran on average, divided by the jobs that ended
//! a second. To that comes what is needed to have done with the backlog in time:
//!
//! ```text
//! drain   = max(WAIT_WANTED_S - age of the oldest ready job, DRAIN_MIN_S)          seconds
//! jobs    = arrivals + ready / drain, at most the rate of the queue's gate         jobs a second
//! slots   = jobs × run, at most the concurrency of the queue's gate
//! workers = slots / (slots of a worker × FULL), rounded up, 1 to WORKERS_MAX
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass_engine::gate::HoldReason;
use windlass_engine::store::{QueueStats, WorkerBeat};
use windlass_engine::{Clock, Timestamp};

/// The books are remembered for so long: rates are means over it. Wall time.
const WINDOW: Duration = Duration::from_secs(300);
/// Two readings are at least so far apart, so that [`WINDOW`] holds at most 60 of them.
const READ_EVERY: Duration = Duration::from_secs(5);
/// No job should wait longer than this: the backlog is to be gone by then.
const WAIT_WANTED_S: f64 = 60.0;
/// What has waited too long already is not asked for at once.
const DRAIN_MIN_S: f64 = 10.0;
/// How full a worker should be: the rest is for what comes unevenly.
const FULL: f64 = 0.8;
/// Slots of a worker for one queue while none is there to ask (`WINDLASS_SLOTS` where it is not set).
const SLOTS_ASSUMED: f64 = 32.0;
/// Never suggested: fewer. Somebody has to notice leases that ran out, and what becomes due.
pub const WORKERS_MIN: u32 = 1;
/// Never suggested: more. A number out of a fault must not empty a purse.
pub const WORKERS_MAX: u32 = 100;

/// What the books said a short while ago. Clones share it.
#[derive(Clone, Default)]
pub struct Flows(Arc<Mutex<VecDeque<Reading>>>);

struct Reading {
    at: Timestamp,
    queues: BTreeMap<String, Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    accepted: u64,
    ended: u64,
    running: u64,
}

/// How jobs come and go in a queue, as means over up to five minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Jobs accepted in a second, those for later among them.
    pub arrivals_per_s: f64,
    /// Jobs that came to their end in a second, whichever it was.
    pub ends_per_s: f64,
    /// Seconds of a slot that one job takes, all its attempts together. None: nothing ended.
    pub run_s: Option<f64>,
}

/// What a queue asks for.
#[derive(Clone, Debug)]
pub struct Need {
    pub queue: String,
    /// How long the oldest ready job has waited, in the shop's time; 0: none is ready.
    pub oldest_ready_s: f64,
    /// None: the books were read once so far.
    pub flow: Option<Flow>,
    /// Living workers that take from it.
    pub workers: u32,
    /// From [`WORKERS_MIN`] to [`WORKERS_MAX`].
    pub suggested_workers: u32,
}

impl Flows {
    /// Remembers the books as they are, and answers with what moved since the oldest that are remembered.
    fn read(&self, at: Timestamp, queues: &[QueueStats]) -> BTreeMap<String, Flow> {
        let marks: BTreeMap<_, _> =
            queues.iter().map(|queue| (queue.queue.clone(), Mark::of(queue))).collect();
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while readings.front().is_some_and(|first| at.since(first.at) > WINDOW) {
            readings.pop_front();
        }
        let flows =
            marks.iter().filter_map(|(queue, now)| Some((queue.clone(), flow(&readings, queue, at, *now)?)));
        let flows = flows.collect();
        if readings.back().is_none_or(|last| at.since(last.at) >= READ_EVERY) {
            readings.push_back(Reading { at, queues: marks });
        }
        flows
    }
}

impl Mark {
    fn of(queue: &QueueStats) -> Self {
        let counts = &queue.counts;
        let ended = counts.completed + counts.dead + counts.cancelled + counts.pruned;
        Self { accepted: counts.accepted, ended, running: counts.running }
    }
}

/// None: the readings are too close to each other.
fn flow(readings: &VecDeque<Reading>, queue: &str, at: Timestamp, now: Mark) -> Option<Flow> {
    let marks = || readings.iter().filter_map(|reading| Some((reading.at, *reading.queues.get(queue)?)));
    let (since, then) = marks().next()?;
    let seconds = at.since(since).as_secs_f64();
    if seconds < READ_EVERY.as_secs_f64() {
        return None;
    }
    let running: u64 = marks().map(|(_, mark)| mark.running).sum::<u64>() + now.running;
    let running = running as f64 / (marks().count() + 1) as f64;
    let per_s = |then: u64, now: u64| now.saturating_sub(then) as f64 / seconds;
    let ends_per_s = per_s(then.ended, now.ended);
    let run_s = (ends_per_s > 0.0).then(|| running / ends_per_s);
    Some(Flow { arrivals_per_s: per_s(then.accepted, now.accepted), ends_per_s, run_s })
}

/// What each of `queues` asks for, and remembers their books for the next time.
pub fn needs(flows: &Flows, queues: &[QueueStats], workers: &[WorkerBeat], clock: &Clock) -> Vec<Need> {
    let moved = flows.read(clock.wall(), queues);
    let need = |queue: &QueueStats| {
        let oldest_ready_s = queue.oldest_ready_at.map_or(0.0, |at| clock.now().since(at).as_secs_f64());
        let flow = moved.get(&queue.queue).copied();
        let staff = Staff::of(&queue.queue, workers);
        let suggested_workers = suggested(queue, flow, oldest_ready_s, staff);
        Need { queue: queue.queue.clone(), oldest_ready_s, flow, workers: staff.workers, suggested_workers }
    };
    queues.iter().map(need).collect()
}

/// The workers that take from one queue.
#[derive(Clone, Copy)]
struct Staff {
    workers: u32,
    /// Of one worker, for this queue.
    slots: f64,
}

impl Staff {
    fn of(queue: &str, workers: &[WorkerBeat]) -> Self {
        let taking = workers.iter().filter(|worker| worker.queues.iter().any(|name| name == queue));
        // A beat tells the slots of all its queues together.
        let slots: Vec<_> =
            taking.map(|worker| f64::from(worker.slots) / worker.queues.len().max(1) as f64).collect();
        let workers = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let mean = slots.iter().sum::<f64>() / f64::from(workers.max(1));
        Self { workers, slots: if mean > 0.0 { mean } else { SLOTS_ASSUMED } }
    }
}

fn suggested(queue: &QueueStats, flow: Option<Flow>, oldest_ready_s: f64, staff: Staff) -> u32 {
    let bounded =
        |workers: f64| (workers.ceil().clamp(f64::from(WORKERS_MIN), f64::from(WORKERS_MAX))) as u32;
    let as_many = f64::from(staff.workers);
    // More would wait as well, and fewer would be missed when it opens.
    let shut = |hold: HoldReason| matches!(hold, HoldReason::Paused | HoldReason::Breaker);
    if queue.hold.is_some_and(|hold| shut(hold.reason)) {
        return bounded(as_many);
    }
    let ready = queue.counts.ready;
    let run_s = flow.and_then(|flow| flow.run_s);
    let (Some(flow), Some(run_s)) = (flow, run_s) else {
        // How long a job takes is not known: one step at a time.
        let late = ready > 0 && oldest_ready_s > WAIT_WANTED_S;
        let idle = queue.counts.live() == 0;
        return bounded(if late {
            as_many + 1.0
        } else if idle {
            0.0
        } else {
            as_many
        });
    };
    let drain_s = (WAIT_WANTED_S - oldest_ready_s).max(DRAIN_MIN_S);
    let mut jobs_per_s = flow.arrivals_per_s + ready as f64 / drain_s;
    if let Some(rate) = queue.gate.rules.rate {
        jobs_per_s = jobs_per_s.min(f64::from(rate.jobs) * 1_000.0 / rate.per_ms.max(1) as f64);
    }
    let mut slots = jobs_per_s * run_s;
    if let Some(max) = queue.gate.rules.concurrency_max {
        slots = slots.min(f64::from(max));
    }
    bounded(slots / (staff.slots * FULL))
}

#[cfg(test)]
mod tests {
    use windlass_engine::gate::{Gate, GateRules, Hold, Rate};
    use windlass_engine::store::Counts;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

    fn queue(counts: Counts) -> QueueStats {
        let queue = "orders".to_owned();
        QueueStats { queue, counts, oldest_ready_at: None, gate: Gate::default(), hold: None }
    }

    fn ready(ready: u64) -> QueueStats {
        queue(Counts { accepted: ready, ready, ..Counts::default() })
    }

    const STAFF: Staff = Staff { workers: 3, slots: 10.0 };

    /// 20 jobs a second of two seconds each.
    const BUSY: Option<Flow> = Some(Flow { arrivals_per_s: 20.0, ends_per_s: 20.0, run_s: Some(2.0) });

    #[test]
    fn rates_and_run_time_follow_from_two_readings_of_the_books() {
        let flows = Flows::default();
        let books = |accepted, completed, running| {
            [queue(Counts { accepted, completed, running, ..Counts::default() })]
        };
        assert!(flows.read(NOON, &books(100, 90, 4)).is_empty(), "once is not enough");
        assert!(flows.read(NOON + Duration::from_secs(1), &books(101, 91, 4)).is_empty(), "too close");
        let moved = flows.read(NOON + Duration::from_secs(10), &books(150, 110, 8))["orders"];
        // Between 4 and 8 ran, and two ended a second: three seconds each.
        assert_eq!(moved, Flow { arrivals_per_s: 5.0, ends_per_s: 2.0, run_s: Some(3.0) });
        let idle = flows.read(NOON + Duration::from_secs(1_000), &books(150, 110, 0));
        assert!(idle.is_empty(), "what is older than the window is forgotten: {idle:?}");
    }

    #[test]
    fn the_memory_is_bounded() {
        let flows = Flows::default();
        for second in 0..2_000 {
            flows.read(NOON + Duration::from_secs(second), &[ready(1)]);
        }
        assert!(flows.0.lock().unwrap().len() <= 61);
    }

    #[test]
    fn arrivals_times_run_time_are_the_slots_that_are_needed() {
        // 40 slots, 8 of ten of each worker: five workers.
        assert_eq!(suggested(&ready(0), BUSY, 0.0, STAFF), 5);
        // 300 more within a minute are 5 a second: ten slots more.
        assert_eq!(suggested(&ready(300), BUSY, 0.0, STAFF), 7);
        // Having waited for 50 s they have ten left: 30 a second more.
        assert_eq!(suggested(&ready(300), BUSY, 50.0, STAFF), 13);
        assert_eq!(suggested(&ready(300), BUSY, 5_000.0, STAFF), 13, "no sooner than in ten seconds");
    }

    #[test]
    fn a_gate_is_not_helped_by_more_workers() {
        let mut slow = ready(10_000);
        slow.gate.rules =
            GateRules { rate: Some(Rate { jobs: 8, per_ms: 1_000, burst: 1 }), ..GateRules::default() };
        assert_eq!(suggested(&slow, BUSY, 600.0, STAFF), 2, "8 a second of two seconds each");
        slow.gate.rules = GateRules { concurrency_max: Some(8), ..GateRules::default() };
        assert_eq!(suggested(&slow, BUSY, 600.0, STAFF), 1);
        for reason in [HoldReason::Paused, HoldReason::Breaker] {
            slow.hold = Some(Hold { reason, until: None });
            assert_eq!(suggested(&slow, BUSY, 600.0, STAFF), 3, "as many as there are");
        }
    }

    #[test]
    fn where_the_run_time_is_not_known_it_goes_by_one() {
        assert_eq!(suggested(&ready(50), None, 61.0, STAFF), 4);
        assert_eq!(suggested(&ready(50), None, 1.0, STAFF), 3);
        assert_eq!(suggested(&ready(0), None, 0.0, STAFF), WORKERS_MIN, "nothing is there to do");
        assert_eq!(suggested(&ready(1), None, 61.0, Staff { workers: 0, slots: 32.0 }), 1);
    }

    #[test]
    fn the_number_is_bounded() {
        let flood = Some(Flow { arrivals_per_s: 1e9, ends_per_s: 1.0, run_s: Some(1e9) });
        assert_eq!(suggested(&ready(1), flood, 0.0, STAFF), WORKERS_MAX);
        let trickle = Some(Flow { arrivals_per_s: 0.0, ends_per_s: 1.0, run_s: Some(0.0) });
        assert_eq!(suggested(&ready(0), trickle, 0.0, STAFF), WORKERS_MIN);
    }

    #[test]
    fn a_workers_slots_are_shared_by_its_queues() {
        let beat = |queues: &[&str], slots| WorkerBeat {
            name: "w".to_owned(),
            host: "h".to_owned(),
            version: "1".to_owned(),
            started_at: NOON,
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            slots,
            running: 0,
        };
        let staff =
            Staff::of("orders", &[beat(&["orders", "mail"], 64), beat(&["orders"], 8), beat(&["mail"], 5)]);
        assert_eq!((staff.workers, staff.slots), (2, 20.0));
        assert_eq!(Staff::of("orders", &[]).slots, SLOTS_ASSUMED);
    }
}
