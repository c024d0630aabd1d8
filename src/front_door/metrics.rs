//! `GET /metrics`: the registry as text, with the gauges of the queues made fresh.
//!
//! The gauges come from the carrier's books, so that any one process can tell them for all. What happens in a
//! process is counted where it happens.

use std::sync::Arc;

use axum::extract::State as Given;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use windlass_engine::gate::HoldReason;
use windlass_engine::store::{QueueStats, StoreError};
use windlass_engine::{Clock, State, Store, Timestamp};
use windlass_jobs::effect::effects_in_doubt;
use windlass_jobs::findings::findings_open_by_type;
use windlass_jobs::housekeeping::backups::newest_by_kind;
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_jobs::outbox::OutboxCounts;
use windlass_jobs::reconciliation::newest_day_compared;
use windlass_jobs::suppliers::catalogue::balances;

use super::Door;
use super::queues::WORKER_BEAT_AGE_MAX;
use crate::scaling::{self, Flows, Need};

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
    refresh(door.store.as_ref(), &door.ledger, &door.clock, &door.flows).await;
    rendered(&door.metrics)
}

pub fn rendered(metrics: &Render) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], metrics()).into_response()
}

/// Makes the gauges of the queues and the ledger fresh. A store that is away leaves them as they were last, and
/// `windlass_books_read_timestamp_seconds` says since when: the scrape itself goes on.
pub async fn refresh(store: &dyn Store, ledger: &Ledger, clock: &Clock, flows: &Flows) {
    let (of_queues, of_ledger) =
        tokio::join!(tell_queues(store, clock, flows), tell_ledger(ledger, clock.now()));
    if let Err(error) = &of_queues {
        tracing::warn!("the gauges of the queues are old: {error}");
    }
    if let Err(error) = &of_ledger {
        tracing::warn!("the gauges of the ledger are old: {error}");
    }
    if of_queues.is_ok() && of_ledger.is_ok() {
        metrics::gauge!("windlass_books_read_timestamp_seconds").set(clock.wall().secs() as f64);
    }
}

async fn tell_queues(store: &dyn Store, clock: &Clock, flows: &Flows) -> Result<(), StoreError> {
    let queues = store.stats().await?;
    let workers = store.workers(WORKER_BEAT_AGE_MAX).await?;
    let imbalance: u64 = queues.iter().map(imbalance).sum();
    metrics::gauge!("windlass_books_imbalance").set(imbalance as f64);
    metrics::gauge!("windlass_workers").set(workers.len() as f64);
    for (queue, need) in queues.iter().zip(scaling::needs(flows, &queues, &workers, clock)) {
        gauge(queue, &need);
    }
    Ok(())
}

/// `now`: in the shop's time.
async fn tell_ledger(ledger: &Ledger, now: Timestamp) -> Result<(), LedgerError> {
    metrics::gauge!("windlass_effects_in_doubt").set(effects_in_doubt(ledger).await? as f64);
    for (kind, open) in findings_open_by_type(ledger).await? {
        metrics::gauge!("windlass_findings_open", "type" => kind.as_str()).set(open as f64);
    }
    for (kind, taken_at) in newest_by_kind(ledger).await? {
        metrics::gauge!("windlass_backup_last_success_timestamp_seconds", "kind" => kind)
            .set(taken_at.secs() as f64);
    }
    let OutboxCounts { waiting, handed_over, dead, refused } = ledger.outbox_counts().await?;
    for (state, jobs) in
        [("waiting", waiting), ("handed_over", handed_over), ("dead", dead), ("refused", refused)]
    {
        metrics::gauge!("windlass_outbox_jobs", "state" => state).set(jobs as f64);
    }
    let waits_s = ledger.outbox_waiting_since().await?.map_or(0.0, |at| now.since(at).as_secs_f64());
    metrics::gauge!("windlass_outbox_oldest_waiting_seconds").set(waits_s);
    if let Some(day) = newest_day_compared(ledger).await? {
        metrics::gauge!("windlass_reconciled_until_timestamp_seconds").set(day.end().secs() as f64);
    }
    for account in balances(ledger).await? {
        let labels = [("sale_group", account.sale_group_code), ("payer_account", account.payer_account_code)];
        metrics::gauge!("windlass_supplier_balance_fen", &labels).set(account.balance_fen as f64);
    }
    Ok(())
}

fn gauge(queue: &QueueStats, need: &Need) {
    for state in State::ALL {
        metrics::gauge!("windlass_queue_jobs", "queue" => queue.queue.clone(), "state" => state.as_str())
            .set(queue.counts.of(state) as f64);
    }
    metrics::gauge!("windlass_queue_oldest_ready_seconds", "queue" => queue.queue.clone())
        .set(need.oldest_ready_s);
    metrics::gauge!("windlass_queue_suggested_workers", "queue" => queue.queue.clone())
        .set(f64::from(need.suggested_workers));
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
