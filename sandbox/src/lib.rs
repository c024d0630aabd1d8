//! The simulated outside world: Haier, YLH, WeChat Pay, the mini-program and a mail server, on real sockets and in
//! their own protocols, one port each. It keeps its own books of what it was told ([`Truth`]) and shares no code with
//! the clients in `jobs/`: a shared mistake would cancel out.
//!
//! The world is a journal of events. It survives the end of its process at any instant: what was answered was written
//! down before, and what is still to happen (payments, shipments, callbacks) follows from what is written.

mod answer;
mod bills;
mod call;
mod config;
mod control;
mod course;
mod credentials;
mod draw;
mod fault;
mod haier;
mod journal;
mod mini_program;
mod plants;
mod sealed;
mod smtp;
mod times;
mod truth;
mod webhooks;
mod wechat_pay;
mod wire;
mod world;
mod ylh;

pub use self::bills::{Day, NoDay};
pub use self::config::{Callbacks, Config, Pace, RefundFates};
pub use self::credentials::{
    Credentials, HaierCredentials, MiniProgramCredentials, SmtpCredentials, Template, TemplateField,
    WechatPayCredentials, YlhCredentials, credentials,
};
pub use self::draw::Span;
pub use self::fault::{Faults, UnknownFaults};
pub use self::haier::{CallsTruth, Goods, ProductTruth};
pub use self::journal::journal_ends_at;
pub use self::plants::{Bill, Plant, PlantKind};
pub use self::truth::{
    CallbackTotals, EffectTruth, LineTruth, OrderTotals, OrderTruth, PaymentTotals, PaymentTruth, PlantTruth,
    RefundTotals, RefundTruth, Truth, TruthKeys,
};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_engine::Timestamp;

use self::course::Course;
use self::wechat_pay::Keys;
use self::wire::{Cuttable, Shears};
use self::world::World;

/// Real time that open conversations get to end when the sandbox is stopped.
const STOP_WITHIN: Duration = Duration::from_millis(500);

/// Where the systems are. Base URLs have no slash at their end.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    pub control: String,
    pub haier: String,
    /// YLH's four services have base paths of their own (facts: ylh.md 1); this is their host.
    pub ylh: String,
    pub ylh_auth: String,
    pub ylh_order: String,
    pub ylh_stock: String,
    pub wechat_pay: String,
    pub mini_program: String,
    pub smtp: SocketAddr,
}

impl Addresses {
    /// Of the systems that listen there: control, Haier, YLH, WeChat Pay, mini-program, SMTP.
    fn of([control, haier, ylh, wechat_pay, mini_program, smtp]: [SocketAddr; 6]) -> Self {
        let url = |address: SocketAddr| format!("http://{address}");
        Self {
            control: url(control),
            haier: url(haier),
            ylh_auth: format!("{}{}", url(ylh), ylh::AUTH),
            ylh_order: format!("{}{}", url(ylh), ylh::ORDER),
            ylh_stock: format!("{}{}", url(ylh), ylh::STOCK),
            ylh: url(ylh),
            wechat_pay: url(wechat_pay),
            mini_program: url(mini_program),
            smtp,
        }
    }

    /// Of a sandbox that was started with a [`Config::base_port`], by the address of its control port.
    pub fn beside(control: SocketAddr) -> Self {
        let nth = |n: u16| SocketAddr::new(control.ip(), control.port().saturating_add(n));
        Self::of([0, 1, 2, 3, 4, 5].map(nth))
    }
}

/// A running world.
pub struct Sandbox {
    world: Arc<World>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    others: JoinSet<()>,
}

/// Reads the journal, binds the ports and lets things take their course.
///
/// # Errors
/// When the journal cannot be read or a port cannot be bound.
pub async fn start(config: Config) -> Result<Sandbox> {
    let world = Arc::new(World::open(&config)?);
    let keys = Arc::new(Keys::load()?);
    let bind = async |nth: u16| {
        let port = config.base_port.map_or(0, |base| base.saturating_add(nth));
        let listener = TcpListener::bind((config.bind, port)).await;
        let listener = listener.with_context(|| format!("bind the sandbox to {}:{port}", config.bind))?;
        let address = listener.local_addr()?;
        anyhow::Ok((listener, address))
    };
    let (control, at_control) = bind(0).await?;
    let (haier, at_haier) = bind(1).await?;
    let (ylh, at_ylh) = bind(2).await?;
    let (wechat_pay, at_wechat_pay) = bind(3).await?;
    let (mini_program, at_mini_program) = bind(4).await?;
    let (smtp, at_smtp) = bind(5).await?;

    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    servers.spawn(serve(
        control,
        control::router(Arc::clone(&world)).merge(webhooks::router(Arc::clone(&world))),
        stopped.clone(),
    ));
    servers.spawn(serve(haier, haier::router(Arc::clone(&world)), stopped.clone()));
    servers.spawn(serve(ylh, ylh::router(Arc::clone(&world)), stopped.clone()));
    servers.spawn(serve(
        wechat_pay,
        wechat_pay::router(Arc::clone(&world), Arc::clone(&keys)),
        stopped.clone(),
    ));
    servers.spawn(serve(mini_program, mini_program::router(Arc::clone(&world)), stopped));
    let mut others = JoinSet::new();
    others.spawn(smtp::serve(Arc::clone(&world), smtp));
    others.spawn(Arc::new(Course::new(Arc::clone(&world), keys)?).run());

    let addresses = Addresses::of([at_control, at_haier, at_ylh, at_wechat_pay, at_mini_program, at_smtp]);
    Ok(Sandbox { world, addresses, stop, servers, others })
}

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let service = router.into_make_service_with_connect_info::<Shears>();
    let until = async move {
        // An error means that the sandbox was dropped, which stops it as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    if let Err(error) = axum::serve(Cuttable(listener), service).with_graceful_shutdown(until).await {
        tracing::error!(%error, "a sandbox server ended");
    }
}

impl Sandbox {
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The totals.
    pub async fn truth(&self) -> Truth {
        self.world.look(truth::totals)
    }

    /// The totals and everything by its key.
    pub async fn truth_with_keys(&self) -> Truth {
        self.world.look(truth::with_keys)
    }

    /// Haier's catalogue as it is at an instant.
    pub fn catalogue_at(&self, at: Timestamp) -> Vec<ProductTruth> {
        haier::Day { at, ..self.world.haier_today() }.truth()
    }

    /// How many pieces of a product Haier has for a county at an instant.
    pub fn stock_at(&self, product_code: &str, county_code: &str, at: Timestamp) -> u64 {
        haier::Day { at, ..self.world.haier_today() }.pieces(product_code, county_code)
    }

    /// What the outside was asked for so far.
    pub fn calls(&self) -> CallsTruth {
        self.world.haier.calls()
    }

    /// From now on callbacks go here, those that were waiting for an address at once.
    pub fn call_back_to(&self, callbacks: Callbacks) {
        self.world.call_back_to(callbacks);
    }

    /// Turns the fault dial.
    pub fn set_faults(&self, faults: Faults) {
        self.world.dial.set(faults);
    }

    /// Nothing happens in this world after this; its journal can be opened again.
    pub async fn stop(mut self) {
        self.others.shutdown().await;
        let _ = self.stop.send(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_WITHIN, ended).await;
        self.servers.shutdown().await;
    }
}

impl Drop for Sandbox {
    /// Connections outlive their servers for a moment; the world they belong to is over.
    fn drop(&mut self) {
        self.world.close();
    }
}
