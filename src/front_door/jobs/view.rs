//! A job as JSON. The names of the fields are a promise.

use serde_json::{Value, json};
use windlass_engine::store::{JobFault, JobView};
use windlass_engine::{Envelope, Timestamp};
use windlass_jobs::outbox::OutboxRow;

use crate::front_door::FrontDoor;
use crate::front_door::found::Found;

/// Everything about one job.
pub fn told(door: &FrontDoor, found: &Found) -> Value {
    match found {
        Found::Carrier(view) => {
            let mut told = row(door, view);
            told["payload"] = payload(&view.envelope);
            told["result"] = json!(view.result);
            told["progress"] = json!(view.notes.progress);
            told["log"] = json!(view.notes.log);
            told
        }
        Found::Ledger(row) => of_ledger(door, found, row),
    }
}

/// A job in a list: without what may be large.
pub fn row(door: &FrontDoor, view: &JobView) -> Value {
    json!({
        "id": view.id,
        "kind": view.envelope.kind,
        "queue": view.queue,
        "priority": view.priority,
        "state": view.state,
        "held_by": "carrier",
        "attempt": view.attempt,
        "max_attempts": attempts_max(door, &view.envelope),
        "crashes": view.crashes,
        "run_at": view.run_at.to_rfc3339(),
        "created_at": view.created_at.to_rfc3339(),
        "finished_at": time(view.finished_at),
        "deadline": time(view.deadline_at),
        "worker": view.worker,
        "cancelling": view.cancelling,
        "tags": view.envelope.tags,
        "unique_key": view.unique_key,
        "errors": view.faults.iter().map(fault).collect::<Vec<_>>(),
        "schedule": schedule(&view.envelope),
        "parent": view.envelope.parent,
    })
}

fn of_ledger(door: &FrontDoor, found: &Found, row: &OutboxRow) -> Value {
    let errors: Vec<_> =
        row.reason.iter().map(|reason| json!({"attempt": 0, "cause": "error", "message": reason})).collect();
    json!({
        "id": row.job.id,
        "kind": row.job.envelope.kind,
        "queue": row.job.queue,
        "priority": row.job.priority,
        "state": found.state(),
        "held_by": "ledger",
        "attempt": 0,
        "max_attempts": attempts_max(door, &row.job.envelope),
        "crashes": 0,
        "run_at": row.job.run_at.unwrap_or(row.created_at).to_rfc3339(),
        "created_at": row.created_at.to_rfc3339(),
        "finished_at": null,
        "deadline": time(row.job.deadline_at),
        "worker": null,
        "cancelling": false,
        "tags": row.job.envelope.tags,
        "unique_key": row.job.unique.as_ref().map(|unique| &unique.key),
        "errors": errors,
        "schedule": schedule(&row.job.envelope),
        "parent": row.job.envelope.parent,
        "payload": payload(&row.job.envelope),
        "result": null,
        "progress": null,
        "log": [],
    })
}

/// None: neither the job nor a kind that this build knows says so.
fn attempts_max(door: &FrontDoor, envelope: &Envelope) -> Option<u32> {
    envelope.attempts_max.or_else(|| door.kinds.get(&envelope.kind).map(|kind| kind.attempts_max))
}

fn payload(envelope: &Envelope) -> Value {
    // A payload that is no JSON any more is shown as the text that it is.
    serde_json::from_str(envelope.payload.get()).unwrap_or_else(|_| json!(envelope.payload.get()))
}

fn fault(fault: &JobFault) -> Value {
    json!({
        "attempt": fault.attempt,
        "at": fault.at.to_rfc3339(),
        "cause": fault.cause,
        "message": fault.message,
    })
}

fn schedule(envelope: &Envelope) -> Option<Value> {
    let fired = envelope.schedule.as_ref()?;
    Some(json!({ "name": fired.name, "instant": fired.instant.to_rfc3339() }))
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}
