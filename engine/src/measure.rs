//! What workers count: metric handles made once, so that a job costs no look-up by text.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};

use crate::clock::Timestamp;
use crate::job::JobTable;
use crate::store::End;

/// The measures of one queue's worker.
pub(crate) struct QueueMeasures {
    queue: String,
    wait: Histogram,
    lease_lost: Counter,
    /// Made when a job of the kind first comes by, but at once for the kinds that are at home in the queue: any
    /// kind may be sent to any queue, and nearly none is.
    kinds: HashMap<&'static str, OnceLock<KindMeasures>>,
    unknown: OnceLock<KindMeasures>,
}

struct KindMeasures {
    run: Histogram,
    completed: Counter,
    retried: Counter,
    dead: Counter,
    snoozed: Counter,
    cancelled: Counter,
    released: Counter,
}

impl QueueMeasures {
    pub(crate) fn new<C>(queue: &str, table: &JobTable<C>) -> Self {
        let at_home =
            |name, home| if home == queue { KindMeasures::new(queue, name).into() } else { OnceLock::new() };
        let kinds = table.iter().map(|kind| (kind.name, at_home(kind.name, kind.queue))).collect();
        Self {
            queue: queue.to_owned(),
            wait: histogram!("windlass_job_wait_seconds", "queue" => queue.to_owned()),
            lease_lost: counter!("windlass_jobs_lease_lost_total", "queue" => queue.to_owned()),
            kinds,
            unknown: OnceLock::new(),
        }
    }

    /// `wait`: from the instant that the job was due, in the shop's time.
    pub(crate) fn started(&self, wait: Duration) {
        self.wait.record(wait);
    }

    pub(crate) fn lease_lost(&self) {
        self.lease_lost.increment(1);
    }

    pub(crate) fn ended(&self, kind: Option<&'static str>, end: &End, ran: Duration) {
        let (name, kind) = kind
            .and_then(|kind| self.kinds.get_key_value(kind))
            .map_or(("unknown", &self.unknown), |(name, kind)| (*name, kind));
        let kind = kind.get_or_init(|| KindMeasures::new(&self.queue, name));
        kind.run.record(ran);
        match end {
            End::Completed { .. } => kind.completed.increment(1),
            End::Retry { .. } => kind.retried.increment(1),
            End::Dead { .. } => kind.dead.increment(1),
            End::Snoozed { .. } => kind.snoozed.increment(1),
            End::Cancelled { .. } => kind.cancelled.increment(1),
            End::Released => kind.released.increment(1),
        }
    }
}

/// A job that the schedule made is done, `at` in wall time.
pub(crate) fn schedule_went_well(schedule: &str, at: Timestamp) {
    gauge!("windlass_schedule_last_success_timestamp_seconds", "schedule" => schedule.to_owned())
        .set(at.secs() as f64);
}

impl KindMeasures {
    fn new(queue: &str, kind: &'static str) -> Self {
        let finished = |outcome: &'static str| counter!("windlass_jobs_finished_total", "queue" => queue.to_owned(), "kind" => kind, "outcome" => outcome);
        Self {
            run: histogram!("windlass_job_run_seconds", "queue" => queue.to_owned(), "kind" => kind),
            completed: finished("completed"),
            retried: finished("retried"),
            dead: finished("dead"),
            snoozed: finished("snoozed"),
            cancelled: finished("cancelled"),
            released: finished("released"),
        }
    }
}
