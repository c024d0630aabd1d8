//! `windlass up`: front door, worker and scheduler in one process.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use windlass_engine::Clock;
use windlass_engine::schedule::Schedules;
use windlass_jobs::Settings;
use windlass_sandbox::Sandbox;

use crate::config::{Config, Env};
use crate::demo::listen_on;
use crate::lifecycle::Lifecycle;
use crate::outside::{Accounts, call_back_to, wants_sandbox};
use crate::platform::{Platform, Roles};
use crate::telemetry::Metrics;

/// How long a client waits for the sandbox.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs until a signal comes. `json`: tells on stdout, once, where it answers.
pub async fn run(config: Config, json: bool) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
    let clock = Clock::system();
    let metrics = Metrics::install(&clock)?;
    // The port first: a second process on it must not touch the files of the first.
    let listener = listen_on(config.listen).await?;
    let (accounts, sandbox) = outside(&config, &clock).await?;
    let platform = Platform::open(&config, accounts, Settings::default(), clock).await?;
    let schedules = Schedules::load(&config.schedules, &|kind, payload| platform.table.lane(kind, payload))?;
    let door = format!("http://{}", listener.local_addr()?);
    tell(&config, &door, sandbox.as_ref(), schedules.len());
    if json {
        println!("{}", json!({ "door": door, "sandbox": sandbox.as_ref().map(Sandbox::addresses) }));
    }
    if let Some(sandbox) = &sandbox {
        call_back_to(sandbox, &door);
    }
    let roles = Roles { door: Some(listener), worker: true, scheduler: Some(schedules) };
    platform.run(roles, metrics, lifecycle).await?;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// The accounts to use, and the sandbox where it stands in for any.
async fn outside(config: &Config, clock: &Clock) -> anyhow::Result<(Accounts, Option<Sandbox>)> {
    if !wants_sandbox(&config.outside) {
        let accounts =
            Accounts::real(config.outside.clone()).context("every account was there a moment ago")?;
        return Ok((accounts, None));
    }
    std::fs::create_dir_all(&config.data).with_context(|| {
        format!("cannot make the data folder {}: choose another with --data", config.data.display())
    })?;
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

fn tell(config: &Config, door: &str, sandbox: Option<&Sandbox>, schedules: usize) {
    tracing::info!(door, queue = %config.queue, ledger = %config.database, schedules, "up");
    if config.env == Env::Development {
        tracing::info!("development: the front door asks for no key");
    }
    if let Some(sandbox) = sandbox {
        let control = &sandbox.addresses().control;
        tracing::info!(control, "the sandbox stands in for the systems outside that have no credentials");
    }
}
