//! The front door: the HTTP API over one carrier and one ledger.
//!
//! It checks what comes in, stores it before it answers, and tells what is there. It runs no job, and decides
//! nothing about the business: callbacks and orders are handed to `windlass_jobs`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use windlass_engine::schedule::Schedules;
use windlass_engine::{Clock, Store};
use windlass_jobs::Shop;
use windlass_jobs::ledger::Ledger;

pub use self::caller::Access;
use self::caller::Caller;
pub use self::kinds::Kinds;
use self::listener::Bounded;
pub use self::rate::Rate;
use self::serving::Closing;
use crate::health::Pulses;
use crate::scaling::Flows;

pub mod actions;
pub mod backups;
pub mod bills;
pub mod body;
pub mod business;
mod by_hand;
pub mod caller;
pub mod effects;
pub mod enqueue;
pub mod events;
pub mod findings;
pub mod found;
pub mod gates;
pub mod health;
pub mod jobs;
pub mod kinds;
pub mod listener;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod products;
pub mod queues;
pub mod rate;
pub mod reconciliations;
pub mod refunds;
pub mod request;
pub mod schedules;
mod serving;
mod traced;
pub mod webhooks;
mod wire;

/// Everything that the door is made of.
pub struct FrontDoor {
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub shop: Arc<Shop>,
    pub kinds: Kinds,
    /// The schedules that run in this installation, or why they are not known here.
    pub schedules: Result<Arc<Schedules>, String>,
    /// Queues beside those of the kinds that jobs may be sent to.
    pub queues: BTreeSet<String>,
    pub clock: Clock,
    /// Who may call.
    pub access: Access,
    pub limits: Limits,
    /// How often one key may call; None: as often as it likes.
    pub rate: Option<Rate>,
    /// Room for those who watch jobs.
    pub watchers: Arc<Semaphore>,
    /// The metrics registry as text.
    pub metrics: metrics::Render,
    /// Metrics are told here, and not at a port of their own.
    pub tells_metrics: bool,
    /// What came and went of late.
    pub flows: Flows,
    /// What else runs in this process, for its health.
    pub pulses: Pulses,
    /// Cancelled when the process stops: long waits end, and the door says that it is not ready.
    pub closing: CancellationToken,
    /// Cancelled when that shall be quick: see [`Limits::close_delay`].
    pub hurrying: CancellationToken,
}

/// The door as every request is given it.
pub type Door = Arc<FrontDoor>;

/// Readiness, first under its own address, then where the monitors of the shop's Django ask for it.
pub const READY_PATHS: [&str; 3] = ["/readyz", "/health/", "/api/health/"];
/// Metrics, likewise.
pub const METRICS_PATHS: [&str; 2] = ["/metrics", "/metrics/"];

/// WeChat Pay waits 5 s for the answer to a callback and then calls again (facts: wechat-pay.md 4).
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(4);

/// Bounds of the door, in wall time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For any request but those that ask to wait.
    pub request_timeout: Duration,
    pub connections_max: usize,
    /// A connection on which nothing moves for so long is closed.
    pub idle_max: Duration,
    /// How long the door stays open after it was told to close: it says that it is not ready and asks each client to
    /// connect anew, so that balancers turn away from it before it refuses anybody. Hurried, it closes as soon as no
    /// connection is left from before, on which a caller could still send a request.
    pub close_delay: Duration,
    /// How long requests may go on after the door began to close.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            connections_max: 4_096,
            // Longer than any request may take: an answer that is waited for is not silence.
            idle_max: Duration::from_secs(75),
            close_delay: Duration::ZERO,
            drain_max: Duration::from_secs(20),
        }
    }
}

impl FrontDoor {
    /// The queues that a job may be sent to, each once, sorted.
    pub fn queues_known(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> =
            self.kinds.queues().chain(self.queues.iter().map(String::as_str)).collect();
        names.into_iter()
    }

    pub fn knows_queue(&self, name: &str) -> bool {
        self.queues.contains(name) || self.kinds.queues().any(|known| known == name)
    }

    /// Notes in the audit log what somebody did by hand. What was done stays done when that fails.
    async fn record(&self, caller: &Caller, what: &str, about: &str, detail: &str) {
        let noted = async {
            let mut tx = self.ledger.begin().await?;
            tx.audit(&caller.who(), what, about, detail).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(what, about, detail, "the audit log missed an action: {error}");
        }
    }
}

/// Serves the door on `listener` until `door.closing` is cancelled and the delay is over, then lets requests end.
///
/// # Errors
/// None: a door that cannot accept tries again.
pub async fn serve(listener: TcpListener, door: FrontDoor) -> anyhow::Result<()> {
    let limits = door.limits;
    let closing =
        Closing { told: door.closing.clone(), hurried: door.hurrying.clone(), delay: limits.close_delay };
    let late = {
        let told = door.closing.clone();
        async move {
            told.cancelled().await;
            tokio::time::sleep(limits.close_delay + limits.drain_max).await;
        }
    };
    let port = Bounded::new(listener, limits.connections_max, limits.idle_max);
    tokio::select! {
        () = serving::serve(port, router(door), closing) => {}
        () = late => tracing::warn!("requests were cut off that did not end within {:?}", limits.drain_max),
    }
    Ok(())
}

/// Every address of the door.
pub fn router(door: FrontDoor) -> Router {
    let limits = door.limits;
    let door = Arc::new(door);
    let prompt = Router::new()
        .route("/v1/jobs", get(jobs::list).post(enqueue::enqueue))
        .route("/v1/jobs/{id}/why", get(jobs::explain))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/jobs/{id}/promote", post(jobs::promote))
        .route("/v1/kinds", get(kinds::list))
        .route("/v1/queues", get(queues::list))
        .route("/v1/queues/{queue}", patch(gates::set))
        .route("/v1/queues/{queue}/pause", post(queues::pause))
        .route("/v1/queues/{queue}/resume", post(queues::resume))
        .route("/v1/schedules", get(schedules::list))
        .route("/v1/schedules/{key}", get(schedules::show))
        .route("/v1/schedules/{key}/preview", get(schedules::preview))
        .route("/v1/schedules/{key}/run", post(schedules::run))
        .route("/v1/schedules/{key}/pause", post(schedules::pause))
        .route("/v1/schedules/{key}/resume", post(schedules::resume))
        .route("/v1/backups", get(backups::list).post(backups::record))
        .route("/v1/stats", get(queues::stats))
        .route("/v1/audit", get(queues::audit))
        .route("/v1/workers", get(queues::workers))
        .route("/v1/orders/{no}", get(business::order))
        .route("/v1/totals", get(business::totals))
        .route("/v1/products", get(products::list))
        .route("/v1/products/{code}", get(products::show))
        .route("/v1/sync-runs", get(products::runs))
        .route("/v1/sync-runs/{id}", get(products::run))
        .route("/v1/supplier-balances", get(products::balances))
        .route("/v1/bills", get(bills::list))
        .route("/v1/reconciliations", get(reconciliations::list).post(reconciliations::run))
        .route("/v1/reconciliations/{date}", get(reconciliations::show))
        .route("/v1/findings", get(findings::list))
        .route("/v1/findings/{id}", get(findings::show))
        .route("/v1/findings/{id}/assign", post(findings::assign))
        .route("/v1/findings/{id}/resolve", post(findings::resolve))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/webhooks/{id}", get(webhooks::show).patch(webhooks::relocate).delete(webhooks::delete))
        .route("/v1/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/v1/webhooks/{id}/enable", post(webhooks::enable))
        .route("/v1/webhooks/{id}/disable", post(webhooks::disable))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/redeliver", post(webhooks::redeliver))
        .route("/v1/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/v1/webhooks/{id}/deliveries/{message}", get(webhooks::tries))
        .route("/v1/orders/{no}/upload/settle", post(refunds::settle_refused_upload))
        .route("/v1/payments/{no}/settle", post(refunds::settle_disputed))
        .route("/v1/refunds", get(refunds::list))
        .route("/v1/refunds/{no}/replace", post(refunds::replace))
        .route("/v1/effects", get(effects::list))
        .route("/v1/effects/{key}/settle", post(effects::settle))
        .route_layer(from_fn_with_state(door.clone(), rate::limit))
        .route_layer(from_fn_with_state(door.clone(), caller::admit));
    let mut open = Router::new()
        .route("/livez", get(health::live))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(openapi::page));
    for path in READY_PATHS {
        open = open.route(path, get(health::ready));
    }
    if door.tells_metrics {
        for path in METRICS_PATHS {
            open = open.route(path, get(metrics::scrape));
        }
    }
    let prompt = prompt.merge(open).route_layer(from_fn_with_state(limits.request_timeout, request::within));
    // May take longer: one waits for a job's end, the others bring or touch thousands.
    let patient = Router::new()
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}", delete(jobs::delete))
        .route("/v1/jobs/batch", post(enqueue::batch::enqueue_batch))
        .route("/v1/jobs/actions", post(actions::act))
        .route("/v1/schedules/{key}/backfill", post(schedules::backfill))
        .route_layer(from_fn_with_state(door.clone(), rate::limit))
        .route_layer(from_fn_with_state(door.clone(), caller::admit))
        .route_layer(from_fn_with_state(limits.request_timeout + jobs::WAIT_MAX, request::within));
    // Bounded by itself: its answer goes on for as long as the job does.
    let watching = Router::new()
        .route("/v1/jobs/{id}/events", get(events::watch))
        .route_layer(from_fn_with_state(door.clone(), rate::limit))
        .route_layer(from_fn_with_state(door.clone(), caller::admit));
    let callbacks = Router::new()
        .route("/callbacks/ylh", post(business::ylh))
        .route("/callbacks/wechat-pay/payment", post(business::wechat_payment))
        .route("/callbacks/wechat-pay/refund", post(business::wechat_refund))
        .route_layer(from_fn_with_state(CALLBACK_TIMEOUT, request::within));
    prompt
        .merge(patient)
        .merge(watching)
        .merge(callbacks)
        .fallback(request::no_such_route)
        .method_not_allowed_fallback(request::wrong_method)
        .layer(from_fn_with_state(door.clone(), request::pass))
        .with_state(door)
        // Once for all connections: what axum's own loop does.
        .with_state(())
}
