//! `GET /metrics`: the registry as text, with the gauges of the queues made fresh.
//!
//! The gauges come from the carrier's books, so that any one process can tell them for all. What happens in a
//! process is counted where it happens.

use std::sync::Arc;

use axum::extract::State as Given;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use windlass_engine::gate::HoldReason;
use windlass_engine::store::QueueStats;
use windlass_engine::{Clock, State, Store};
use windlass_jobs::effect::effects_in_doubt;
use windlass_jobs::findings::findings_open_by_type;
use windlass_jobs::housekeeping::backups::newest_by_kind;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::OutboxCounts;

use super::Door;
use super::queues::WORKER_BEAT_AGE_MAX;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const HOLDS: [(HoldReason, &str); 4] = [
    (HoldReason::Paused, "paused"),
    (HoldReason::Breaker, "breaker"),
    (HoldReason::Concurrency, "concurrency"),
    (HoldReason::Rate, "rate"),
];

/// The metrics registry as text.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// `GET /metrics`
pub async fn scrape(Given(door): Given<Door>) -> Response {
    refresh(door.store.as_ref(), &door.ledger, &door.clock).await;
    rendered(&door.metrics)
}

pub fn rendered(metrics: &Render) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], metrics()).into_response()
}

/// Makes the gauges of the queues and the ledger fresh. A store that is away leaves them as they were last: the
/// scrape itself goes on.
pub async fn refresh(store: &dyn Store, ledger: &Ledger, clock: &Clock) {
    match store.stats().await {
        Ok(queues) => {
            let now = clock.now();
            for queue in &queues {
                let waits_s = queue.oldest_ready_at.map_or(0.0, |at| now.since(at).as_secs_f64());
                gauge(queue, waits_s);
            }
            let imbalance: u64 = queues.iter().map(imbalance).sum();
            metrics::gauge!("windlass_books_imbalance").set(imbalance as f64);
        }
        Err(error) => tracing::warn!("the gauges of the queues are old: {error}"),
    }
    if let Ok(workers) = store.workers(WORKER_BEAT_AGE_MAX).await {
        metrics::gauge!("windlass_workers").set(workers.len() as f64);
    }
    if let Ok(in_doubt) = effects_in_doubt(ledger).await {
        metrics::gauge!("windlass_effects_in_doubt").set(in_doubt as f64);
    }
    if let Ok(by_type) = findings_open_by_type(ledger).await {
        for (kind, open) in by_type {
            metrics::gauge!("windlass_findings_open", "type" => kind.as_str()).set(open as f64);
        }
    }
    for (kind, taken_at) in newest_by_kind(ledger).await.unwrap_or_default() {
        metrics::gauge!("windlass_backup_last_success_timestamp_seconds", "kind" => kind)
            .set(taken_at.secs() as f64);
    }
    if let Ok(OutboxCounts { waiting, handed_over, dead, refused }) = ledger.outbox_counts().await {
        let states =
            [("waiting", waiting), ("handed_over", handed_over), ("dead", dead), ("refused", refused)];
        for (state, jobs) in states {
            metrics::gauge!("windlass_outbox_jobs", "state" => state).set(jobs as f64);
        }
    }
}

fn gauge(queue: &QueueStats, waits_s: f64) {
    for state in State::ALL {
        metrics::gauge!("windlass_queue_jobs", "queue" => queue.queue.clone(), "state" => state.as_str())
            .set(queue.counts.of(state) as f64);
    }
    metrics::gauge!("windlass_queue_oldest_ready_seconds", "queue" => queue.queue.clone()).set(waits_s);
    for (reason, name) in HOLDS {
        let holds = queue.hold.is_some_and(|hold| hold.reason == reason);
        metrics::gauge!("windlass_queue_gate", "queue" => queue.queue.clone(), "reason" => name)
            .set(if holds { 1.0 } else { 0.0 });
    }
}

/// Jobs by which the books of the queue are out.
fn imbalance(queue: &QueueStats) -> u64 {
    queue.counts.accepted.abs_diff(queue.counts.sum())
}
