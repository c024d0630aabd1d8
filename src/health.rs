//! Whether a process can do its work, proven and not assumed: its stores answer, its worker takes jobs, its
//! scheduler comes round.
//!
//! What is told may be read by whoever reaches the port: what exactly is broken in a store stands in the log only.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use windlass_engine::pulse::{FetchPulse, Pulse, WorkerPulse};
use windlass_engine::store::QueueStats;
use windlass_engine::{Clock, Store, Timestamp};
use windlass_jobs::ledger::Ledger;

/// How long the carrier or the ledger may take to say that it is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// A loop that has not come round for so long, in wall time, stands still. An ask waits 10 s at most, and a
/// round of the scheduler takes 5 s when nothing is due.
pub const STILL_MAX: Duration = Duration::from_secs(20);

/// What runs in this process beside its stores.
#[derive(Clone, Default)]
pub struct Pulses {
    pub worker: Option<WorkerPulse>,
    pub scheduler: Option<Pulse>,
}

/// What a process looks at to tell its health.
#[derive(Clone)]
pub struct Health {
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub pulses: Pulses,
    /// Cancelled when the process stops.
    pub closing: CancellationToken,
}

/// `GET /livez`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

impl Health {
    /// `GET /readyz`: 503 while anything that the process needs does not work, or it is about to end.
    pub async fn ready(&self) -> (StatusCode, Json<Value>) {
        let (carrier, ledger, consuming) =
            tokio::join!(answers(self.store.ping()), answers(self.ledger.ping()), async {
                Some(self.consuming(self.pulses.worker.as_ref()?).await)
            });
        let scheduler = self.pulses.scheduler.as_ref().map(|pulse| comes_round(pulse, self.clock.wall()));
        let closing = self.closing.is_cancelled();
        let mut checks = json!({
            "carrier": check(self.store.name(), &carrier),
            "ledger": check("sql", &ledger),
            "open": { "ok": !closing },
        });
        let mut ready = carrier.is_ok() && ledger.is_ok() && !closing;
        for (name, found) in [("worker", consuming), ("scheduler", scheduler)] {
            if let Some(found) = found {
                ready &= found.is_ok();
                checks[name] = worded(name, &found);
            }
        }
        let told = json!({ "status": if ready { "ok" } else { "unavailable" }, "checks": checks });
        (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(told))
    }

    /// Whether every fetching loop goes round, and jobs that may run are taken.
    async fn consuming(&self, worker: &WorkerPulse) -> Result<(), String> {
        let pulses = worker.queues();
        if pulses.is_empty() {
            return Err("the worker has not begun".to_owned());
        }
        let wall = self.clock.wall();
        if let Some(why) = pulses.iter().find_map(|pulse| stands_still(pulse, wall)) {
            return Err(why);
        }
        // Nothing else is asked of a carrier that does not answer: that is told beside this.
        let stats = tokio::time::timeout(ANSWER_TIMEOUT, self.store.stats()).await;
        let Ok(Ok(stats)) = stats else { return Ok(()) };
        let waits_max = STILL_MAX.mul_f64(self.clock.speed());
        let of = |queue: &str| stats.iter().find(|stats| stats.queue == queue);
        let left = pulses.iter().find_map(|pulse| {
            let queue = of(&pulse.queue)?;
            leaves_jobs(pulse, queue, self.clock.now().since(queue.oldest_ready_at?) > waits_max, wall)
        });
        left.map_or(Ok(()), Err)
    }
}

/// A loop with free slots asks, and an ask is answered.
fn stands_still(pulse: &FetchPulse, wall: Timestamp) -> Option<String> {
    if pulse.free() == 0 || is_recent(&pulse.answered, wall) || is_recent(&pulse.freed, wall) {
        return None;
    }
    let since = pulse.answered.last().map_or_else(
        || "no ask for jobs was answered yet".to_owned(),
        |at| format!("no ask for jobs was answered for {} s", wall.since(at).as_secs()),
    );
    Some(format!("queue {}: {since}", pulse.queue))
}

/// Jobs may run and have waited long, there is room for them here, and none was taken.
fn leaves_jobs(pulse: &FetchPulse, queue: &QueueStats, waits_long: bool, wall: Timestamp) -> Option<String> {
    let takes = is_recent(&pulse.took, wall) || is_recent(&pulse.freed, wall);
    if queue.counts.ready == 0 || queue.hold.is_some() || !waits_long || pulse.free() == 0 || takes {
        return None;
    }
    Some(format!(
        "queue {}: {} jobs are ready, {} slots are free, and nothing was taken for {} s",
        pulse.queue,
        queue.counts.ready,
        pulse.free(),
        STILL_MAX.as_secs()
    ))
}

fn comes_round(pulse: &Pulse, wall: Timestamp) -> Result<(), String> {
    match pulse.last() {
        _ if is_recent(pulse, wall) => Ok(()),
        Some(at) => Err(format!("the scheduler has not come round for {} s", wall.since(at).as_secs())),
        None => Err("the scheduler has not come round yet".to_owned()),
    }
}

fn is_recent(pulse: &Pulse, wall: Timestamp) -> bool {
    pulse.last().is_some_and(|at| wall.since(at) <= STILL_MAX)
}

async fn answers<E: std::fmt::Display>(ping: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, ping).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

fn check(name: &str, answer: &Result<(), String>) -> Value {
    if let Err(why) = answer {
        tracing::warn!(name, "not ready: {why}");
    }
    json!({ "ok": answer.is_ok(), "name": name })
}

/// Of our own loops everything may be told.
fn worded(name: &str, found: &Result<(), String>) -> Value {
    match found {
        Ok(()) => json!({ "ok": true }),
        Err(why) => {
            tracing::warn!(name, "not ready: {why}");
            json!({ "ok": false, "why": why })
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_engine::gate::{Gate, Hold, HoldReason};
    use windlass_engine::store::Counts;

    use super::*;

    const BEGAN: Timestamp = Timestamp::from_secs(2_000_000_000);

    fn queue(ready: u64, hold: Option<Hold>) -> QueueStats {
        QueueStats {
            queue: "orders".to_owned(),
            counts: Counts { accepted: ready, ready, ..Counts::default() },
            oldest_ready_at: Some(BEGAN),
            gate: Gate::default(),
            hold,
        }
    }

    fn fetching() -> (FetchPulse, Clock) {
        let clock = Clock::system();
        (FetchPulse::new("orders", 4), clock)
    }

    #[test]
    fn a_loop_that_asks_and_gets_no_answer_stands_still() {
        let (pulse, clock) = fetching();
        let told = stands_still(&pulse, clock.wall()).unwrap();
        assert!(told.contains("orders") && told.contains("yet"), "{told}");
        pulse.answered.beat(&clock);
        assert_eq!(stands_still(&pulse, clock.wall()), None);
        let later = clock.wall() + STILL_MAX + Duration::from_secs(1);
        assert!(stands_still(&pulse, later).unwrap().contains("for 21 s"));
        let full = FetchPulse::new("orders", 0);
        assert_eq!(stands_still(&full, later), None, "who has no room does not ask");
    }

    #[test]
    fn jobs_that_wait_beside_free_slots_are_told_unless_the_gate_holds_them() {
        let (pulse, clock) = fetching();
        let wall = clock.wall();
        let told = leaves_jobs(&pulse, &queue(7, None), true, wall).unwrap();
        assert!(told.contains("7 jobs are ready, 4 slots are free"), "{told}");
        assert_eq!(leaves_jobs(&pulse, &queue(7, None), false, wall), None, "they came just now");
        assert_eq!(leaves_jobs(&pulse, &queue(0, None), true, wall), None);
        let paused = Hold { reason: HoldReason::Paused, until: None };
        assert_eq!(leaves_jobs(&pulse, &queue(7, Some(paused)), true, wall), None);
        pulse.took.beat(&clock);
        assert_eq!(leaves_jobs(&pulse, &queue(7, None), true, clock.wall()), None);
    }

    #[test]
    fn a_scheduler_that_hangs_is_told() {
        let (pulse, clock) = (Pulse::default(), Clock::system());
        assert!(comes_round(&pulse, clock.wall()).is_err());
        pulse.beat(&clock);
        assert!(comes_round(&pulse, clock.wall()).is_ok());
        assert!(comes_round(&pulse, clock.wall() + STILL_MAX * 2).unwrap_err().contains("40 s"));
    }
}
