//! `windlass up`, and the roles by themselves: `windlass api`, `worker` and `scheduler`.
//!
//! One story for all of them: take the ports, open the stores, make what the role needs, and run until a signal
//! comes. What runs is put together in [`Platform`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use windlass_engine::Clock;
use windlass_sandbox::Sandbox;

use crate::access::{Hasher, Keyring};
use crate::config::{Config, WrongSetUp, shared};
use crate::demo::listen_on;
use crate::front_door::Access;
use crate::lifecycle::Lifecycle;
use crate::outside::{Accounts, call_back_to, sandbox_at, wants_sandbox};
use crate::platform::{Platform, Roles, Stores, queues_of, schedules, shop_settings};
use crate::telemetry::Metrics;

/// How long a client waits for the sandbox.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where a role looks for a sandbox that it does not start: where `windlass sandbox` listens.
const SANDBOX_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 9400);

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of the others in one.
    Up,
    Api,
    Worker,
    Scheduler,
}

/// What every role is told.
#[derive(Clone, Debug, Default, Args)]
pub struct Serving {
    /// Where metrics and health are told [default: worker 127.0.0.1:9101, scheduler 127.0.0.1:9102, otherwise the front
    /// door].
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
}

/// What a worker is told.
#[derive(Clone, Debug, Default, Args)]
pub struct Working {
    #[command(flatten)]
    serving: Serving,
    /// The queues to take from, such as orders,haier or orders=16,haier=4 [default: all].
    #[arg(long, value_name = "QUEUES")]
    queues: Option<String>,
    /// Jobs of each queue that run at once, where the queue has no number of its own [default: 32].
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
}

impl Serving {
    /// The variables that the options stand for.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let listen = self.metrics_listen.map(|address| ("WINDLASS_METRICS_LISTEN", address.to_string()));
        listen.into_iter().collect()
    }
}

impl Working {
    /// The variables that the options stand for.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let queues = self.queues.clone().map(|queues| ("WINDLASS_QUEUES", queues));
        let slots = self.concurrency.map(|slots| ("WINDLASS_SLOTS", slots.to_string()));
        self.serving.flags().into_iter().chain(queues).chain(slots).collect()
    }
}

/// Who may use the front door at `address`.
///
/// # Errors
/// In production, when nobody could.
async fn access(config: &Config, stores: &Stores, address: SocketAddr) -> anyhow::Result<Access> {
    let in_production = config.env.is_strict();
    let hasher = Hasher::new(&config.access.secret_key);
    let ring = Keyring::new(stores.ledger.clone(), hasher, !in_production, stores.clock.clone());
    let (good, all) = ring.count().await?;
    if in_production && good == 0 {
        return Err(WrongSetUp(
            "in production the front door does not open while there is no key to it: make one with `windlass keys \
             create --name NAME --scopes jobs:write,jobs:read`"
                .to_owned(),
        )
        .into());
    }
    match (all, address.ip().is_loopback()) {
        (0, true) => tracing::info!("there is no API key: whoever reaches the front door may use it"),
        (0, false) => tracing::warn!(
            "there is no API key, and the front door listens beyond this host: make a key with `windlass keys create`, \
             which closes it to everybody else"
        ),
        _ => tracing::info!(keys = good, "the front door asks for a key"),
    }
    Ok(Access::Keys(Arc::new(ring)))
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }

    const fn has_door(self) -> bool {
        matches!(self, Self::Up | Self::Api)
    }

    const fn works(self) -> bool {
        matches!(self, Self::Up | Self::Worker)
    }

    const fn schedules(self) -> bool {
        matches!(self, Self::Up | Self::Scheduler)
    }

    /// Where monitors ask when nothing is set: ports of their own for roles that may share a host.
    fn monitors_default(self) -> Option<SocketAddr> {
        let port = match self {
            Self::Up | Self::Api => return None,
            Self::Worker => 9101,
            Self::Scheduler => 9102,
        };
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Runs until a signal comes. `json`: tells on stdout, once, where it answers.
    ///
    /// # Errors
    /// When it cannot start, with what to do, or cannot go on.
    pub async fn run(self, config: Config, json: bool) -> anyhow::Result<()> {
        let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
        let clock = config.clock();
        if self != Self::Up {
            shared(&config.queue, &config.database)?;
        }
        queues_of(&config.work)?;
        let metrics = Metrics::install(&clock)?;
        // The ports first: a second process on them must not touch the files of the first.
        let door = if self.has_door() { Some(listen_on(config.listen).await?) } else { None };
        let monitors = self.monitors(&config).await?;
        let schedules = if self.schedules() { Some(schedules(&config.schedules)?) } else { None };
        let settings = shop_settings(config.shop.as_deref())?;
        let stores = tokio::select! {
            stores = Stores::open(&config, &clock) => stores?,
            // Nothing has begun: a store that lets us wait does not hold up the end.
            () = lifecycle.stop.cancelled() => return Ok(()),
        };
        let access = match &door {
            Some(door) => access(&config, &stores, door.local_addr()?).await?,
            None => Access::Open,
        };
        let (platform, sandbox) = if self == Self::Scheduler {
            (Platform::without_shop(&config, stores)?, None)
        } else {
            let (accounts, sandbox) = self.outside(&config, &clock).await?;
            (Platform::new(&config, stores, accounts, settings)?, sandbox)
        };
        let url =
            |listener: &TcpListener| Ok::<_, std::io::Error>(format!("http://{}", listener.local_addr()?));
        let at_door = door.as_ref().map(url).transpose()?;
        let at_monitors = monitors.as_ref().map(url).transpose()?;
        self.tell(&config, at_door.as_deref(), at_monitors.as_deref(), sandbox.as_ref());
        if json {
            let sandbox = sandbox.as_ref().map(Sandbox::addresses);
            println!(
                "{}",
                json!({ "role": self.name(), "door": at_door, "monitors": at_monitors, "sandbox": sandbox })
            );
        }
        if let (Some(sandbox), Some(door)) = (&sandbox, &at_door) {
            call_back_to(sandbox, door);
        }
        let roles = Roles { door, access, monitors, worker: self.works(), scheduler: schedules };
        platform.run(roles, metrics, lifecycle).await?;
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        Ok(())
    }

    async fn monitors(self, config: &Config) -> anyhow::Result<Option<TcpListener>> {
        let Some(address) = config.metrics_listen.or(self.monitors_default()) else { return Ok(None) };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen on {address} for monitors: does another {} run on this host? choose another address \
                 with --metrics-listen",
                self.name()
            )
        })?;
        Ok(Some(listener))
    }

    /// The accounts to use, and the sandbox where this process starts one.
    async fn outside(self, config: &Config, clock: &Clock) -> anyhow::Result<(Accounts, Option<Sandbox>)> {
        if !wants_sandbox(&config.outside) {
            let accounts =
                Accounts::real(config.outside.clone()).context("every account was there a moment ago")?;
            return Ok((accounts, None));
        }
        let there = config.sandbox.or_else(|| (self != Self::Up).then(|| SocketAddr::from(SANDBOX_DEFAULT)));
        if let Some(control) = there {
            tracing::info!(%control, "a sandbox stands in for the systems outside that have no credentials");
            return Ok((
                Accounts::with_sandbox(config.outside.clone(), &sandbox_at(control), PATIENCE),
                None,
            ));
        }
        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("cannot make the data folder {}", config.data.display()))?;
        let sandbox = windlass_sandbox::start(windlass_sandbox::Config {
            journal: Some(config.data.join("sandbox.journal")),
            ..windlass_sandbox::Config::new(clock.clone(), 1)
        })
        .await?;
        let addresses = config.data.join("sandbox.json");
        std::fs::write(&addresses, serde_json::to_vec_pretty(sandbox.addresses())?)
            .with_context(|| format!("cannot write {}", addresses.display()))?;
        let accounts = Accounts::with_sandbox(config.outside.clone(), sandbox.addresses(), PATIENCE);
        Ok((accounts, Some(sandbox)))
    }

    fn tell(self, config: &Config, door: Option<&str>, monitors: Option<&str>, sandbox: Option<&Sandbox>) {
        tracing::info!(door, monitors, queue = %config.queue, ledger = %config.database, "{}", self.name());
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(sandbox) = sandbox {
            let control = &sandbox.addresses().control;
            tracing::info!(control, "the sandbox stands in for the systems outside that have no credentials");
        }
    }
}
