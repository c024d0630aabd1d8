//! The parts of a process, put together from its configuration: the stores, the shop over them, the schedules. What is
//! played over them is in [`roles`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use windlass_engine::schedule::Schedules;
use windlass_engine::{Clock, JobTable, Store};
use windlass_jobs::JOBS;
use windlass_jobs::ledger::{Ledger, is_ledger_away};
use windlass_jobs::settings::Settings;
use windlass_jobs::shop::Shop;

use crate::config::{Config, Env, Work, WrongSetUp};
use crate::front_door::Limits;
use crate::outside::Accounts;

mod accept;
mod roles;
mod schedules;
mod shop;
mod stores;

pub use roles::Roles;
pub use schedules::schedules;
pub use shop::{shop, shop_settings, templates};
pub use stores::{BACKLOG_MAX, Carrier, Stores};

/// What this build calls itself.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A carrier, a ledger and a shop over them.
pub struct Platform {
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    /// None: this process calls nobody outside and takes no callbacks.
    shop: Option<Arc<Shop>>,
    pub table: Arc<JobTable<Shop>>,
    /// For people to look at; what runs them is a role.
    schedules: Result<Arc<Schedules>, String>,
    queues: Vec<(String, u32)>,
    lease: Duration,
    limits: Limits,
    /// Calls of one key in a second.
    rate_limit: Option<u32>,
}

impl Platform {
    /// Makes the clients over stores that are open. `settings`: what the shop decides.
    ///
    /// # Errors
    /// When an account cannot be used.
    pub fn new(
        config: &Config,
        stores: Stores,
        accounts: Accounts,
        mut settings: Settings,
    ) -> anyhow::Result<Self> {
        if config.env == Env::Production {
            settings.backup_kinds.get_or_insert_with(|| vec!["ledger".to_owned()]);
        }
        if !config.summary_to.is_empty() {
            settings.summary_to.clone_from(&config.summary_to);
        }
        let notifier = shop::notifier(config, &settings, &stores)?;
        let shop = shop(accounts, settings, notifier, &stores.ledger, &stores.clock)?;
        let platform = Self::without_shop(config, stores)?;
        Ok(Self { shop: Some(Arc::new(shop)), ..platform })
    }

    /// For a process that only hands jobs over: no client is made.
    ///
    /// # Errors
    /// When the configuration names a queue that is not there.
    pub fn without_shop(config: &Config, stores: Stores) -> anyhow::Result<Self> {
        let Stores { clock, store, ledger } = stores;
        let queues = queues_of(&config.work)?;
        let (table, lease) = (JobTable::new(JOBS).excusing(is_ledger_away), config.work.lease);
        let table = Arc::new(table);
        let schedules = schedules(&config.schedules).map(Arc::new).map_err(|e| format!("{e:#}"));
        let limits = Limits { close_delay: config.close_delay, ..Limits::default() };
        let rate_limit = config.access.rate_limit;
        Ok(Self { clock, store, ledger, shop: None, table, schedules, queues, lease, limits, rate_limit })
    }

    /// The business, for who does something by hand before or beside the roles.
    ///
    /// # Errors
    /// Of a platform [without one](Self::without_shop).
    pub fn shop(&self) -> anyhow::Result<&Shop> {
        self.shop.as_deref().context("this process has no shop")
    }
}

/// The queues that a worker takes from, each with its slots: those that are named, or all.
///
/// # Errors
/// When there is no queue of a name, with those that there are.
pub fn queues_of(work: &Work) -> Result<Vec<(String, u32)>, WrongSetUp> {
    let table = JobTable::new(JOBS);
    let known = table.queues();
    if work.queues.is_empty() {
        return Ok(known.into_iter().map(|queue| (queue.to_owned(), work.slots)).collect());
    }
    let unknown: Vec<_> =
        work.queues.iter().map(|(name, _)| name.as_str()).filter(|name| !known.contains(name)).collect();
    if !unknown.is_empty() {
        let known: Vec<_> = known.into_iter().collect();
        return Err(WrongSetUp(format!(
            "there is no queue called {}: --queues (WINDLASS_QUEUES) names some of {}",
            unknown.join(", "),
            known.join(", ")
        )));
    }
    Ok(work.queues.iter().map(|(name, slots)| (name.clone(), slots.unwrap_or(work.slots))).collect())
}

pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}
