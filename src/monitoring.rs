//! The port for monitors: metrics and health, and nothing else. A worker and a scheduler have no other door.
//!
//! It asks nobody for a key: it tells no job, no order and no secret, and monitors have none to show. It listens on
//! the loopback address unless somebody opens it wider.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State as Given;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::front_door::listener::Bounded;
use crate::front_door::metrics::{self, Render};
use crate::front_door::{Limits, METRICS_PATHS, READY_PATHS};
use crate::health::{Health, live};
use crate::scaling::Flows;

/// Connections at once: monitors are few.
const CONNECTIONS_MAX: usize = 64;

/// What the port tells.
#[derive(Clone)]
pub struct Monitored {
    pub health: Health,
    /// The metrics registry as text.
    pub metrics: Render,
    /// Makes the gauges of the queues and the ledger fresh, which are the same whoever tells them: one process of an
    /// installation is enough.
    pub books: bool,
    /// What came and went of late; shared with the front door of this process.
    pub flows: Flows,
}

/// Serves on `listener` until the process stops.
///
/// # Errors
/// When it cannot go on.
pub async fn serve(listener: TcpListener, monitored: Monitored) -> anyhow::Result<()> {
    let closing = monitored.health.closing.clone();
    let mut router = Router::new().route("/livez", get(live));
    for path in READY_PATHS {
        router = router
            .route(path, get(|Given(all): Given<Arc<Monitored>>| async move { all.health.ready().await }));
    }
    for path in METRICS_PATHS {
        router = router.route(path, get(scrape));
    }
    let router = router.with_state(Arc::new(monitored));
    let listener = Bounded::new(listener, CONNECTIONS_MAX, Limits::default().idle_max);
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.context("the port for monitors stopped serving"),
        // A monitor's connection that stays open does not hold the process up.
        () = closing.cancelled() => Ok(()),
    }
}

async fn scrape(Given(all): Given<Arc<Monitored>>) -> Response {
    if all.books {
        let Health { store, ledger, clock, .. } = &all.health;
        metrics::refresh(store.as_ref(), ledger, clock, &all.flows).await;
    }
    metrics::rendered(&all.metrics)
}
