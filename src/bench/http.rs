//! The front door under load, and beside it a handler that does nothing.

mod client;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_engine::{Job, JobTable};
use windlass_jobs::Settings;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::notifications::{Notifier, Templates};
use windlass_jobs::outside::Secret;

use self::client::Client;
use super::figures::Burst;
use super::ground::Ground;
use super::progress::Phase;
use super::subject::{Subject, shares};
use super::toy::{KINDS, Toy};
use crate::config::Outside;
use crate::front_door::listener::Bounded;
use crate::front_door::{self, Access, FrontDoor, Kinds, Limits};
use crate::outside::{Accounts, nobody};
use crate::platform::shop;
use crate::telemetry::Metrics;

/// Connections that are kept alive, each with one request at a time.
pub const CONNECTIONS: usize = 64;
/// Nobody outside answers, so nobody is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where jobs are posted.
const PATH: &str = "/v1/jobs";

/// A server in this process, on a free port of the loopback address. Closes when it is dropped.
pub struct Served {
    address: SocketAddr,
    closing: CancellationToken,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Served {
    /// The real front door over the ground's store, with a ledger of its own.
    pub async fn door(ground: &Ground, metrics: Metrics) -> anyhow::Result<Self> {
        let Subject { store, clock, .. } = ground.subject.clone();
        let ledger = format!("sqlite:{}", ground.folder().join("ledger.db").display());
        let ledger = Ledger::open(&ledger, &clock).await?;
        // No job of the shop runs here: nobody outside is called, and no account of the shop's is touched.
        let outside = Outside { haier: None, ylh: None, wechat_pay: None, mini_program: None, mail: None };
        let accounts = Accounts::with_sandbox(outside, &nobody(), PATIENCE);
        let closing = CancellationToken::new();
        let settings = Settings::default();
        let templates = Templates::load(None)?;
        let notifier = Notifier::new(templates, &Secret::default(), settings.webhook_post(), clock.clone())?;
        let door = FrontDoor {
            store,
            shop: Arc::new(shop(accounts, settings, notifier, &ledger, &clock)?),
            ledger,
            kinds: Kinds::of(&JobTable::new(KINDS))?,
            schedules: Ok(Default::default()),
            queues: Default::default(),
            clock,
            access: Access::Open,
            limits: Limits::default(),
            rate: None,
            watchers: front_door::events::watchers(),
            pulses: Default::default(),
            flows: Default::default(),
            tells_metrics: true,
            metrics: Arc::new(move || metrics.render()),
            closing: closing.clone(),
            hurrying: closing.clone(),
        };
        let (listener, address) = listen().await?;
        let serving = Some(tokio::spawn(front_door::serve(listener, door)));
        Ok(Self { address, closing, serving })
    }

    /// Reads each body, answers 202 and does nothing: what any front door in front of this client costs.
    pub async fn idle() -> anyhow::Result<Self> {
        let (listener, address) = listen().await?;
        let limits = Limits::default();
        let listener = Bounded::new(listener, limits.connections_max, limits.idle_max);
        let closing = CancellationToken::new();
        let until = closing.clone().cancelled_owned();
        let router = Router::new().route(PATH, post(async |_: Bytes| StatusCode::ACCEPTED));
        let serving = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(until).await;
            served.context("the handler that does nothing stopped serving")
        });
        Ok(Self { address, closing, serving: Some(serving) })
    }

    /// Posts `n` single jobs over [`CONNECTIONS`].
    pub async fn load(&self, n: usize, payload_bytes: usize, phase: &Phase) -> anyhow::Result<Burst> {
        let job = json!({ "kind": Toy::KIND, "payload": Toy::plain(payload_bytes) });
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS.min(n) {
            clients.push(Client::connect(self.address, PATH, job.to_string().as_bytes()).await?);
        }
        let began = Instant::now();
        let mut posting = JoinSet::new();
        for (mut client, share) in clients.into_iter().zip(shares(n, CONNECTIONS.min(n))) {
            let phase = phase.clone();
            posting.spawn(async move {
                for _ in 0..share {
                    let status = client.post().await?;
                    if status != StatusCode::ACCEPTED {
                        bail!("a job that was posted was answered with {status}");
                    }
                    phase.step(1);
                }
                Ok(())
            });
        }
        while let Some(client) = posting.join_next().await {
            client??;
        }
        Ok(Burst::since(began, n))
    }

    pub async fn close(mut self) -> anyhow::Result<()> {
        self.closing.cancel();
        match self.serving.take() {
            Some(serving) => serving.await.context("a server of the benchmark panicked")?,
            None => Ok(()),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

async fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free on the loopback address")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
