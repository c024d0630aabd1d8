//! "Why isn't it running?", in words: from the gate, the schedule, the workers and the job's own past.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::gate::HoldReason;
use windlass_engine::store::{JobView, QueueStats, WorkerBeat};
use windlass_engine::{State, Timestamp};
use windlass_jobs::outbox::{OutboxRow, OutboxState};

use crate::front_door::FrontDoor;
use crate::front_door::found::Found;
use crate::front_door::problem::Problem;
use crate::front_door::queues::WORKER_BEAT_AGE_MAX;

/// The sentence, and the facts that it was made from.
pub async fn told(door: &FrontDoor, found: &Found) -> Result<Value, Problem> {
    let mut told = json!({ "id": found.id(), "state": found.state() });
    let why = match found {
        Found::Ledger(row) => of_ledger(row),
        Found::Carrier(job) if job.state == State::Ready => {
            let queues = door.store.stats().await?;
            let queue = queues.into_iter().find(|queue| queue.queue == job.queue);
            let workers = door.store.workers(WORKER_BEAT_AGE_MAX).await?;
            let serving: Vec<_> = workers.into_iter().filter(|w| w.queues.contains(&job.queue)).collect();
            told["hold"] = json!(queue.as_ref().and_then(|queue| queue.hold).map(|hold| hold.reason));
            told["ready"] = json!(queue.as_ref().map_or(0, |queue| queue.counts.ready));
            told["running"] = json!(queue.as_ref().map_or(0, |queue| queue.counts.running));
            told["workers"] = json!(serving.len());
            of_ready(job, queue.as_ref(), &serving, door.clock.wall())
        }
        Found::Carrier(job) => of_others(job, door.clock.now()),
    };
    told["why"] = json!(why);
    Ok(told)
}

fn of_ledger(row: &OutboxRow) -> String {
    let reason = row.reason.as_deref().unwrap_or("no reason was kept");
    match row.state {
        OutboxState::Live if row.handed_at.is_none() => {
            "It is accepted and safe in the ledger, and has not been handed to its queue yet: that takes moments, \
             or until the carrier answers again."
                .to_owned()
        }
        OutboxState::Live => {
            "Its queue was given it and does not know it now: the ledger will hand it over again.".to_owned()
        }
        OutboxState::Dead => format!("It is dead, and its queue has forgotten it: {reason}."),
        OutboxState::Refused => format!("Its queue cannot take it: {reason}."),
    }
}

fn of_ready(job: &JobView, queue: Option<&QueueStats>, serving: &[WorkerBeat], wall: Timestamp) -> String {
    let name = &job.queue;
    if let Some(held) = queue.and_then(|queue| held(queue, wall)) {
        return held;
    }
    if serving.is_empty() {
        return format!("It is ready, but no living worker serves queue {name}.");
    }
    let slots: u32 = serving.iter().map(|worker| worker.slots).sum();
    let busy: u32 = serving.iter().map(|worker| worker.running).sum();
    let ready = queue.map_or(1, |queue| queue.counts.ready.max(1));
    if busy >= slots {
        let workers = serving.len();
        return format!(
            "It is ready; the {slots} slots of the {workers} worker(s) of queue {name} are all taken."
        );
    }
    format!(
        "It is ready, one of {ready} in queue {name} at priority {}; it starts in its turn.",
        job.priority.as_str()
    )
}

/// What the queue's gate says, if it holds anything back.
fn held(queue: &QueueStats, wall: Timestamp) -> Option<String> {
    let name = &queue.queue;
    let hold = queue.hold?;
    let until = hold.until.map_or_else(String::new, |at| format!(", for another {}", length(at.since(wall))));
    Some(match hold.reason {
        HoldReason::Paused => match &queue.gate.paused {
            Some(pause) => {
                format!(
                    "Queue {name} is paused by {} since {}: {}.",
                    pause.by,
                    pause.at.to_rfc3339(),
                    pause.reason
                )
            }
            None => format!("Queue {name} is paused."),
        },
        HoldReason::Breaker => {
            format!("The other side of queue {name} is down: its breaker lets nothing through{until}.")
        }
        HoldReason::Concurrency => {
            let cap = queue.gate.rules.concurrency_max.unwrap_or_default();
            format!("Queue {name} may run {cap} jobs at once and runs {} now.", queue.counts.running)
        }
        HoldReason::Rate => format!("Queue {name} is at its rate limit{until}."),
    })
}

fn of_others(job: &JobView, now: Timestamp) -> String {
    let last = job.faults.last();
    let because = last.map_or_else(String::new, |fault| format!(": {}", fault.message));
    let due = || format!("due in {}, at {}", length(job.run_at.since(now)), job.run_at.to_rfc3339());
    match job.state {
        State::Scheduled => format!("Its time has not come: it is {}.", due()),
        State::Retrying => {
            format!("Attempt {} did not complete it{because}. It is tried again: {}.", job.attempt, due())
        }
        State::Running => {
            let worker = job.worker.as_deref().unwrap_or("unknown");
            let stop = if job.cancelling { " It was asked to stop." } else { "" };
            format!("It is running: attempt {} on worker {worker}.{stop}", job.attempt)
        }
        State::Completed => "It is completed.".to_owned(),
        State::Dead => {
            format!("It is dead after {} attempt(s){because}. It can be retried by hand.", job.attempt)
        }
        State::Cancelled => format!("It was cancelled{because}. It can be retried by hand."),
        State::Ready => "It is ready.".to_owned(),
    }
}

/// A length in its two largest units.
fn length(length: Duration) -> String {
    let s = length.as_secs();
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3_600 % 24, s / 60 % 60, s % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if s == 0 => format!("{} ms", length.as_millis()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_in_its_two_largest_units() {
        let told = [0, 59, 61, 3_700, 90_061].map(|s| length(Duration::from_secs(s)));
        assert_eq!(told, ["0 ms", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
