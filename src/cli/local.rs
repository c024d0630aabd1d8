//! The server that a command asks: one that runs, or one just for this command.

use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api::Api;
use crate::access::MadeKey;
use crate::config::Config;
use crate::front_door::Access;
use crate::lifecycle::Lifecycle;
use crate::outside::{Accounts, nobody};
use crate::platform::{Platform, Roles, Stores, shop_settings};
use crate::telemetry::Metrics;

/// A server that answers, for as long as this is held.
pub struct Reached {
    api: Api,
    /// Closes with this.
    _local: Option<Local>,
}

struct Local {
    lifecycle: Lifecycle,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Reached {
    pub fn api(&self) -> &Api {
        &self.api
    }
}

/// Asks the server that the configuration names, or the one that listens where ours would; where none does, opens the
/// data folder for this command.
pub async fn reach(mut config: Config) -> anyhow::Result<Reached> {
    if let Some(server) = config.server {
        return Ok(Reached { api: Api::new(server)?.with_key(config.access.api_key), _local: None });
    }
    let api = Api::new(format!("http://{}", config.listen))?.with_key(config.access.api_key.clone());
    if api.is_up().await {
        return Ok(Reached { api, _local: None });
    }
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free on the loopback address")?;
    // The door is open for this command alone.
    let key = MadeKey::new()?.text;
    let api = Api::new(format!("http://{}", listener.local_addr()?))?.with_key(Some(key.clone()));
    // No balancer has to turn away from it.
    config.close_delay = Duration::ZERO;
    let clock = config.clock();
    // No job runs here, so nobody outside is called.
    let accounts = Accounts::with_sandbox(config.outside.clone(), &nobody(), Duration::from_secs(1));
    let settings = shop_settings(config.shop.as_deref())?;
    let stores = Stores::open(&config, &clock).await?;
    let platform = Platform::new(&config, stores, accounts, settings)?;
    let metrics = Metrics::install(&clock)?;
    let lifecycle = Lifecycle::default();
    let ours = lifecycle.clone();
    let roles = Roles { door: Some(listener), access: Access::Only(key), ..Roles::default() };
    let serving = tokio::spawn(async move { platform.run(roles, metrics, ours).await });
    Ok(Reached { api, _local: Some(Local { lifecycle, serving: Some(serving) }) })
}

impl Drop for Local {
    /// Lets the stores close in order: what was enqueued is on disk already.
    fn drop(&mut self) {
        self.lifecycle.stop.cancel();
        if let Some(serving) = self.serving.take() {
            let _ = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(serving));
        }
    }
}
