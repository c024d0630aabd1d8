//! The parts of a process, put together from its configuration, and the roles that it plays.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_engine::backend::{EndedJob, OnEnded};
use windlass_engine::schedule::{Misfit, Scheduler, Schedules};
use windlass_engine::store::Retention;
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, JobTable, State, Store};
use windlass_jobs::JOBS;
use windlass_jobs::ledger::{Ledger, LedgerShelf, is_ledger_away};
use windlass_jobs::mini_program::MiniProgram;
use windlass_jobs::notifications::mail::Mailer;
use windlass_jobs::notifications::{Notifier, Templates, ask_dead_jobs};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_jobs::outside::{Http, HttpSettings};
use windlass_jobs::payments::wechat_pay::WechatPay;
use windlass_jobs::settings::Settings;
use windlass_jobs::shop::Shop;
use windlass_jobs::suppliers::haier::Haier;
use windlass_jobs::suppliers::ylh::Ylh;
use windlass_jobs::token::Tokens;

use crate::config::{Config, Env, Work, WrongSetUp};
use crate::front_door::events::watchers;
use crate::front_door::{self, Access, FrontDoor, Kinds, Limits, Rate};
use crate::health::{Health, Pulses};
use crate::lifecycle::Lifecycle;
use crate::monitoring::{self, Monitored};
use crate::outside::Accounts;
use crate::scaling::Flows;
use crate::telemetry::Metrics;

mod accept;
mod stores;

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

/// What a process does beside keeping its stores open.
#[derive(Default)]
pub struct Roles {
    pub door: Option<TcpListener>,
    /// Who may use the door.
    pub access: Access,
    /// A port for metrics and health alone.
    pub monitors: Option<TcpListener>,
    pub worker: bool,
    /// Runs these schedules.
    pub scheduler: Option<Schedules>,
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
        let notifier = notifier(config, &settings, &stores)?;
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

    /// Plays the roles until the process is told to stop, then drains.
    ///
    /// # Errors
    /// When the front door cannot go on.
    pub async fn run(&self, roles: Roles, metrics: Metrics, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let (mut parts, mut monitored) = (JoinSet::new(), false);
        // The relay outlives the workers: what they put into the outbox while they drain still goes out.
        let drained = CancellationToken::new();
        let relay = Relay::new(self.ledger.clone(), self.store.clone(), RelaySettings::default());
        let relay = tokio::spawn(relay.run(drained.clone()));
        let keeping = metrics.clone().keep(lifecycle.stop.clone());
        parts.spawn(async move {
            keeping.await;
            Ok(())
        });
        let mut pulses = Pulses::default();
        if roles.worker {
            let workers = self.workers()?;
            let Lifecycle { stop, hurry } = lifecycle.clone();
            let pulse = pulses.worker.insert(Default::default()).clone();
            parts.spawn(async move {
                workers.run_watched(stop, hurry, pulse).await;
                Ok(())
            });
        }
        if let Some(schedules) = roles.scheduler {
            let accept = Arc::new(accept::ByKind {
                store: self.store.clone(),
                ledger: self.ledger.clone(),
                table: self.table.clone(),
            });
            let scheduler = Scheduler::new(self.store.clone(), accept, &schedules, self.clock.clone());
            pulses.scheduler = Some(scheduler.pulse());
            let stop = lifecycle.stop.clone();
            parts.spawn(async move {
                scheduler.run(stop).await;
                Ok(())
            });
        }
        let flows = Flows::default();
        let render: front_door::metrics::Render = Arc::new(move || metrics.render());
        if let Some(listener) = roles.monitors {
            let health = Health {
                store: self.store.clone(),
                ledger: self.ledger.clone(),
                clock: self.clock.clone(),
                pulses: pulses.clone(),
                closing: lifecycle.stop.clone(),
            };
            let books = roles.door.is_some();
            let monitored_parts = Monitored { health, metrics: render.clone(), flows: flows.clone(), books };
            parts.spawn(monitoring::serve(listener, monitored_parts));
            monitored = true;
        }
        if let Some(listener) = roles.door {
            let door = FrontDoor {
                access: roles.access,
                tells_metrics: !monitored,
                flows,
                ..self.door(render, pulses, &lifecycle)?
            };
            parts.spawn(front_door::serve(listener, door));
        }
        let mut ended = Ok(());
        while let Some(part) = parts.join_next().await {
            let part = part.context("a part of the process panicked").and_then(|part| part);
            if let Err(error) = part {
                lifecycle.stop.cancel();
                ended = Err(error);
            }
        }
        drained.cancel();
        relay.await.context("the relay panicked")?;
        ended
    }

    fn door(
        &self,
        metrics: front_door::metrics::Render,
        pulses: Pulses,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<FrontDoor> {
        Ok(FrontDoor {
            store: self.store.clone(),
            ledger: self.ledger.clone(),
            shop: self.shop.clone().context("the front door needs a shop")?,
            kinds: Kinds::of(&self.table)?,
            schedules: self.schedules.clone(),
            queues: Default::default(),
            clock: self.clock.clone(),
            limits: self.limits,
            rate: self.rate_limit.map(Rate::new),
            watchers: watchers(),
            metrics,
            access: Access::Open,
            tells_metrics: true,
            pulses,
            flows: Flows::default(),
            closing: lifecycle.stop.clone(),
            hurrying: lifecycle.hurry.clone(),
        })
    }

    fn workers(&self) -> anyhow::Result<Workers<Shop>> {
        Ok(Workers {
            store: self.store.clone(),
            clock: self.clock.clone(),
            table: self.table.clone(),
            context: self.shop.clone().context("a worker needs a shop")?,
            settings: WorkerSettings {
                queues: self.queues.clone(),
                lease: self.lease,
                drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
                retention: RETENTION,
            },
            on_ended: Some(self.tell_outbox()),
            host: host_name(),
            version: VERSION.to_owned(),
        })
    }

    /// Tells the outbox of jobs that ended: it keeps what may still be wanted.
    fn tell_outbox(&self) -> OnEnded {
        let ledger = self.ledger.clone();
        Arc::new(move |ended: Vec<EndedJob>| {
            let ended = ended.into_iter().filter(|job| job.in_outbox);
            let (dead, over): (Vec<_>, Vec<_>) = ended.partition(|job| job.state == State::Dead);
            let ids = |jobs: Vec<EndedJob>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
            let (dead, over, ledger) = (ids(dead), ids(over), ledger.clone());
            tokio::spawn(async move {
                // What is missed here is found by the relay's sweep.
                if let Err(error) = ledger.finished(over).await.and(ledger.died(dead).await) {
                    tracing::warn!(%error, "rows of jobs that ended stay live in the outbox for now");
                }
            });
        })
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

/// How long finished jobs stay in the carrier. Completed ones stay far longer than the outbox's sweep takes to
/// see them, so that no finished job is handed over again.
const RETENTION: Retention = Retention {
    jobs_max: 100_000,
    completed_age_max: Duration::from_secs(7 * 24 * 3_600),
    dead_age_max: Duration::from_secs(90 * 24 * 3_600),
};

/// The wording, the way to webhooks, and whom to ask for dead jobs.
fn notifier(config: &Config, settings: &Settings, stores: &Stores) -> anyhow::Result<Notifier> {
    let templates = templates(config)?;
    let (post, clock) = (settings.webhook_post(), stores.clock.clone());
    let notifier = Notifier::new(templates, &config.access.secret_key, post, clock)?;
    Ok(notifier.asking_dead_jobs(ask_dead_jobs(stores.store.clone())))
}

/// The wording of mail, tried out.
///
/// # Errors
/// [`WrongSetUp`] with everything that is wrong with the shop's own templates.
pub fn templates(config: &Config) -> Result<Templates, WrongSetUp> {
    Templates::load(config.templates.as_deref()).map_err(|problems| WrongSetUp(problems.to_string()))
}

/// The shop's clients over a ledger that is open.
///
/// # Errors
/// When an account cannot be used.
pub fn shop(
    accounts: Accounts,
    mut settings: Settings,
    notifier: Notifier,
    ledger: &Ledger,
    clock: &Clock,
) -> anyhow::Result<Shop> {
    let http = HttpSettings { traceparent_to: settings.traceparent_to.clone(), ..HttpSettings::default() };
    let http = Http::new(&http, clock.clone()).context("the HTTP client cannot be made")?;
    let holder = format!("{}-{}", host_name(), std::process::id());
    let tokens = Tokens::new(Arc::new(LedgerShelf::new(ledger.clone())), clock.clone(), holder);
    if let Some(templates) = accounts.templates {
        settings.subscribe_templates = templates;
    }
    if settings.mail_from.is_empty() {
        settings.mail_from = accounts.mail.from;
    }
    Ok(Shop {
        clock: clock.clone(),
        ledger: ledger.clone(),
        haier: Haier::new(http.clone(), tokens.clone(), accounts.haier),
        ylh: Ylh::new(http.clone(), tokens.clone(), accounts.ylh.settings),
        ylh_callback_keys: accounts.ylh.callbacks,
        wechat_pay: WechatPay::new(http.clone(), accounts.wechat_pay)
            .context("the WeChat Pay account cannot be used")?,
        mini_program: MiniProgram::new(http, tokens, accounts.mini_program),
        mailer: Mailer::new(accounts.mail.settings, clock.clone()),
        notifier,
        settings,
    })
}

/// Reads the schedules; their payloads must fit the kinds' schemas as those of the front door must.
///
/// # Errors
/// Every problem of every file at once.
pub fn schedules(folder: &Path) -> anyhow::Result<Schedules> {
    let table = JobTable::new(JOBS);
    let kinds = Kinds::of(&table)?;
    let lane_of = |kind: &str, payload: &RawValue| {
        let lane = table.lane(kind, payload)?;
        let value = serde_json::from_str(payload.get()).map_err(|e| Misfit::Payload(vec![e.to_string()]))?;
        match kinds.get(kind).map(|known| known.check(payload, &value)) {
            Some(Err(faults)) => Err(Misfit::Payload(
                faults
                    .iter()
                    .map(|fault| {
                        format!("{}: {}", fault.pointer.as_deref().unwrap_or_default(), fault.message)
                    })
                    .collect(),
            )),
            _ => Ok(lane),
        }
    };
    Ok(Schedules::load(folder, &lane_of)?)
}

/// What the shop decides: the file, or the defaults.
///
/// # Errors
/// When the file cannot be read, with its line.
pub fn shop_settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = file else { return Ok(Settings::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} does not say what the shop decides", path.display()))
}

pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use windlass_engine::schedule::{CatchUp, Overlap};

    use super::*;

    #[test]
    fn a_schedule_whose_payload_breaks_the_schema_is_refused_where_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let entry = "[nap]\nevery = \"1h\"\njob = \"sleep\"\npayload = { ms = 3_600_001 }\n";
        std::fs::write(folder.path().join("naps.toml"), entry).unwrap();
        let refused = schedules(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("/payload/ms") && refused.contains("naps.toml"), "{refused}");
    }

    /// The folder that is shipped: `schedules` checks kinds, schemas and that what expires does so before the next
    /// instant.
    #[test]
    fn the_schedules_of_the_house_fit_their_kinds_and_build_no_backlog() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
        let all = schedules(&folder).unwrap_or_else(|problems| panic!("{problems:#}"));
        for entry in all.iter() {
            let name = &entry.name;
            assert!(!entry.description.is_empty(), "{name} says for people what it does");
            assert!(entry.enabled, "{name} is shipped to run");
            // One at a time, so that a job that waits keeps the next ones from piling up behind it; or each gone
            // before the next comes.
            let alone = entry.overlap != Overlap::Allow && !matches!(entry.catch_up, CatchUp::All { .. });
            assert!(alone || entry.expires.is_some(), "{name} may build a backlog");
            if let Some(zone) = entry.rhythm.zone() {
                assert_eq!(zone, "Asia/Shanghai", "{name} is read on the shop's clock");
            }
        }
        // Whatever comes by a schedule in the catalogue of the business, and is in this build, has one.
        let table = JobTable::new(JOBS);
        let scheduled: Vec<&str> = all.iter().map(|entry| entry.job.as_str()).collect();
        let missing: Vec<_> = BY_SCHEDULE
            .iter()
            .filter(|kind| table.get(kind).is_none() || !scheduled.contains(*kind))
            .collect();
        assert!(missing.is_empty(), "no schedule starts {missing:?}");
    }

    const BY_SCHEDULE: [&str; 15] = [
        "expire_unpaid_orders",
        "sweep_orders",
        "compare_shipments",
        "watch_supplier_orders",
        "track_parcels",
        "sync_products",
        "sync_prices",
        "sync_stock",
        "check_supplier_balance",
        "fetch_bill",
        "refresh_tokens",
        "daily_summary",
        "tell_findings",
        "prune",
        "backup_check",
    ];

    #[test]
    fn what_the_shop_decides_is_read_and_a_slip_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, "complete_after_s = 60\n").unwrap();
        assert_eq!(shop_settings(Some(&path)).unwrap().complete_after_s, 60);
        std::fs::write(&path, "complete_afterwards = 60\n").unwrap();
        let refused = format!("{:#}", shop_settings(Some(&path)).unwrap_err());
        assert!(refused.contains("complete_afterwards") && refused.contains("shop.toml"), "{refused}");
    }
}
