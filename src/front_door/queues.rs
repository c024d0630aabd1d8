//! Queues, workers and the books, as operators see them; pausing and resuming a queue.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use windlass_engine::gate::Pause;
use windlass_engine::store::{Counts, QueueAudit, QueueStats, WorkerBeat};
use windlass_jobs::orders::invariants;

use super::body::{Fields, Named, must_be_json, read};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};
use super::{Door, FrontDoor};

/// A worker that has not beaten for so long, in wall time, is held to be dead.
pub const WORKER_BEAT_AGE_MAX: Duration = Duration::from_secs(30);
pub(super) const PAUSE_BODY_BYTES_MAX: usize = 16 * 1024;
const PAUSE_TEXT_CHARS_MAX: usize = 200;

/// `GET /v1/queues`
pub async fn list(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let queues = all(&door).await?;
    let told: Vec<_> = queues.iter().map(|queue| told(&door, queue)).collect();
    Ok(Json(json!({ "queues": told })))
}

/// `POST /v1/queues/{queue}/pause` with `{reason?, by?}` or nothing.
pub async fn pause(
    Given(door): Given<Door>,
    caller: Caller,
    Named(name): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    known(&door, &name).await?;
    let text = read(body, PAUSE_BODY_BYTES_MAX).await?;
    let pause = asked_pause(&door, &caller, &headers, &text)?;
    let detail = format!("by {}: {}", pause.by, pause.reason);
    door.store.pause(&name, Some(pause)).await?;
    door.record(&caller, "queue.pause", &name, &detail).await;
    Ok(Json(told(&door, &known(&door, &name).await?)))
}

/// `POST /v1/queues/{queue}/resume`
pub async fn resume(
    Given(door): Given<Door>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Value>, Problem> {
    known(&door, &name).await?;
    door.store.pause(&name, None).await?;
    door.record(&caller, "queue.resume", &name, "").await;
    Ok(Json(told(&door, &known(&door, &name).await?)))
}

/// `GET /v1/stats`: the sums over all queues.
pub async fn stats(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let queues = all(&door).await?;
    let workers = door.store.workers(WORKER_BEAT_AGE_MAX).await?;
    let mut sum = Counts::default();
    for Counts { accepted, scheduled, ready, running, retrying, completed, dead, cancelled, pruned } in
        queues.iter().map(|queue| queue.counts)
    {
        sum.accepted += accepted;
        sum.scheduled += scheduled;
        sum.ready += ready;
        sum.running += running;
        sum.retrying += retrying;
        sum.completed += completed;
        sum.dead += dead;
        sum.cancelled += cancelled;
        sum.pruned += pruned;
    }
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "carrier": door.store.name(),
        "now": door.clock.now().to_rfc3339(),
        "jobs": sum,
        "queues": queues.len(),
        "queues_held": queues.iter().filter(|queue| queue.hold.is_some()).count(),
        "workers": workers.len(),
        "slots": workers.iter().map(|worker| worker.slots).sum::<u32>(),
        "slots_busy": workers.iter().map(|worker| worker.running).sum::<u32>(),
    })))
}

/// `GET /v1/audit`: whether the books balance, as kept and as counted anew, and whether those of the business hold
/// what must never be.
pub async fn audit(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let queues = door.store.audit().await?;
    let violations = invariants(&door.ledger).await?;
    let told: Vec<_> = queues.iter().map(audited).collect();
    let balanced = violations.is_empty() && queues.iter().all(QueueAudit::balanced);
    Ok(Json(json!({ "balanced": balanced, "queues": told, "violations": violations })))
}

fn audited(queue: &QueueAudit) -> Value {
    let mut told = json!(queue.kept);
    told["queue"] = json!(queue.queue);
    told["balanced"] = json!(queue.balanced());
    if !queue.balanced() {
        told["counted"] = json!(queue.counted);
    }
    told
}

/// `GET /v1/workers`: those that live.
pub async fn workers(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let workers = door.store.workers(WORKER_BEAT_AGE_MAX).await?;
    Ok(Json(json!({ "workers": workers.iter().map(worker).collect::<Vec<_>>() })))
}

fn worker(beat: &WorkerBeat) -> Value {
    let mut told = json!(beat);
    told["started_at"] = json!(beat.started_at.to_rfc3339());
    told
}

/// Every queue of the carrier, and those of the kinds that it has not met yet, sorted by name.
async fn all(door: &FrontDoor) -> Result<Vec<QueueStats>, Problem> {
    let mut queues = door.store.stats().await?;
    for name in door.queues_known() {
        if !queues.iter().any(|queue| queue.queue == name) {
            queues.push(unmet(name));
        }
    }
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(queues)
}

pub(super) async fn known(door: &FrontDoor, name: &str) -> Result<QueueStats, Problem> {
    all(door).await?.into_iter().find(|queue| queue.queue == name).ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        Problem::new(Kind::NoSuchQueue, format!("No queue is called {shown:?}; GET /v1/queues lists them."))
    })
}

fn unmet(name: &str) -> QueueStats {
    QueueStats {
        queue: name.to_owned(),
        counts: Counts::default(),
        oldest_ready_at: None,
        gate: windlass_engine::gate::Gate::default(),
        hold: None,
    }
}

pub(super) fn told(door: &FrontDoor, queue: &QueueStats) -> Value {
    let paused = queue
        .gate
        .paused
        .as_ref()
        .map(|pause| json!({"by": pause.by, "reason": pause.reason, "at": pause.at.to_rfc3339()}));
    let hold = queue
        .hold
        .map(|hold| json!({"reason": hold.reason, "until": hold.until.map(windlass_engine::Timestamp::to_rfc3339)}));
    json!({
        "queue": queue.queue,
        "jobs": queue.counts,
        "oldest_ready_at": queue.oldest_ready_at.map(windlass_engine::Timestamp::to_rfc3339),
        "oldest_ready_seconds": queue.oldest_ready_at.map(|at| door.clock.now().since(at).as_secs_f64()),
        "paused": paused,
        "hold": hold,
        "rules": queue.gate.rules,
    })
}

/// Who pauses something and why, as the body says.
pub(super) fn asked_pause(
    door: &FrontDoor,
    caller: &Caller,
    headers: &HeaderMap,
    text: &[u8],
) -> Result<Pause, Problem> {
    let mut faults = Vec::new();
    let (mut by, mut reason) = (None, None);
    if !text.trim_ascii().is_empty() {
        must_be_json(headers)?;
        let mut fields = Fields::parse(text)?;
        by = fields.take::<String>("by", &mut faults);
        reason = fields.take::<String>("reason", &mut faults);
        fields.end(&["by", "reason"], &mut faults);
    }
    for (pointer, text) in [("/by", &by), ("/reason", &reason)] {
        let unfit =
            |text: &String| text.chars().count() > PAUSE_TEXT_CHARS_MAX || text.contains(char::is_control);
        if text.as_ref().is_some_and(unfit) {
            let message = format!("at most {PAUSE_TEXT_CHARS_MAX} characters, and no control characters");
            faults.push(Fault::at(pointer, message));
        }
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults));
    }
    Ok(Pause {
        by: by.unwrap_or_else(|| caller.who()),
        reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
        at: door.clock.now(),
    })
}
