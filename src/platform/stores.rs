//! The two stores of a process, opened before anything else is touched: whoever has them, has the data folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use windlass_engine::gate::{BreakerRules, GateRules, Rate};
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::store::spread::SpreadStore;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, JobTable, Store, StoreError};
use windlass_jobs::ledger::{Ledger, OUTBOX_ROWS_MAX, TELL_TIME_MAX};
use windlass_jobs::outside::Secret;
use windlass_jobs::{JOBS, Shop};

use crate::config::{Config, Outside, StoreUrl, WrongSetUp};
use crate::telemetry::money_trail;

pub struct Stores {
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
}

/// The queue of jobs that talk to nobody outside.
const INSIDE: [&str; 3] = ["orders", "housekeeping", "diagnostics"];
/// The queue of many other sides, each with a breaker of its own: one that is down does not close it.
const MANY_PARTIES: &str = "webhook";
/// Closes a queue when the other side is down: twenty outages in a row, two seconds at first, a minute at most.
const BREAKER: BreakerRules = BreakerRules { failures: 20, cool_ms: 2_000, cool_max_ms: 60_000 };
/// How fast a queue to a real system outside begins; a sandbox bears everything.
#[derive(Clone, Copy)]
struct Pace {
    per_s: u32,
    burst: u32,
    at_once: Option<u32>,
}
/// What a supplier bears is printed nowhere (facts: haier.md 10.6), so it begins modestly.
const HAIER_PACE: Pace = Pace { per_s: 20, burst: 20, at_once: Some(8) };
const YLH_PACE: Pace = Pace { per_s: 10, burst: 10, at_once: Some(4) };
/// Mail providers take a few messages a second from one account and then refuse for minutes: assumed, as each has its
/// own bound.
const MAIL_PACE: Pace = Pace { per_s: 5, burst: 20, at_once: None };
/// Of the mini-program's interface as a whole, far below its quota of a minute (facts: wechat-mini-program.md 2).
const MINI_PROGRAM_PACE: Pace = Pace { per_s: 50, burst: 100, at_once: None };
/// Jobs of one queue that may wait.
pub const BACKLOG_MAX: u64 = 1_000_000;

impl Stores {
    /// Opens both, and binds the carrier to its ledger. A queue that has no gate rules yet is given ours; what an operator set stays.
    ///
    /// # Errors
    /// When a store cannot be opened: the message says what to do.
    pub async fn open(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        let files = [config.queue.path(), config.database.path()].into_iter().flatten();
        let folders = files.filter_map(Path::parent);
        for folder in folders {
            std::fs::create_dir_all(folder).with_context(|| {
                format!("cannot make the data folder {}: choose another with --data", folder.display())
            })?;
        }
        let carrier = Carrier::open(config, clock).await?;
        let url = config.database.to_connect();
        let slow = config.slow_query;
        let ledger = Ledger::open_watched(url.expose(), clock, TELL_TIME_MAX, OUTBOX_ROWS_MAX, slow).await?;
        if let Some(trail) = money_trail() {
            ledger.keep_money_trail(trail);
        }
        carrier.claim(&ledger).await?;
        let store = carrier.store;
        guard(store.as_ref(), &JobTable::new(JOBS), &config.outside).await?;
        Ok(Self { clock: clock.clone(), store, ledger })
    }
}

/// A carrier that is open.
pub struct Carrier {
    pub store: Arc<dyn Store>,
    /// What it is, and what its settings promise, in words.
    pub promises: Vec<String>,
}

impl Carrier {
    /// Opens the carrier that the configuration names.
    ///
    /// # Errors
    /// When it cannot be opened: the message says what to do. [`WrongSetUp`] when it may not carry jobs as it is set.
    pub async fn open(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        match &config.queue {
            StoreUrl::Sqlite(path) => {
                let store = Arc::new(SqliteStore::open(path, clock.clone())?);
                let promises =
                    vec!["one process has the file; every commit is on disk before its answer".to_owned()];
                Ok(Self { store, promises })
            }
            StoreUrl::Server(_) => {
                let store = redis(&config.queue.to_connect(), config, clock).await?;
                let promises = store.promises().to_vec();
                Ok(Self { store: Arc::new(store), promises })
            }
            StoreUrl::Servers(servers) => {
                let (mut carriers, mut promises) = (Vec::<Arc<dyn Store>>::new(), Vec::new());
                for server in servers {
                    let store = redis(&server.to_connect(), config, clock).await?;
                    promises.extend_from_slice(store.promises());
                    carriers.push(Arc::new(store));
                }
                Ok(Self { store: Arc::new(SpreadStore::over(carriers).map_err(fitting)?), promises })
            }
        }
    }

    /// Binds the carrier to its ledger, so that two shops' jobs and books never mix.
    ///
    /// # Errors
    /// [`WrongSetUp`] when it is another ledger's.
    pub async fn claim(&self, ledger: &Ledger) -> anyhow::Result<()> {
        self.store.claim(ledger.identity()).await.map_err(fitting)?;
        Ok(())
    }
}

async fn redis(url: &Secret, config: &Config, clock: &Clock) -> anyhow::Result<RedisStore> {
    let settings = RedisSettings::new(url.expose(), &config.namespace);
    RedisStore::open(settings, clock.clone()).await.map_err(fitting)
}

/// What a carrier holds to be wrong with the call is, before any job, wrong with what is set.
fn fitting(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Invalid(why) => WrongSetUp(why).into(),
        other => other.into(),
    }
}

async fn guard(store: &dyn Store, table: &JobTable<Shop>, outside: &Outside) -> anyhow::Result<()> {
    let known = store.stats().await?;
    for queue in table.queues() {
        if known.iter().any(|known| known.queue == queue && known.gate.rules != GateRules::default()) {
            continue;
        }
        store.set_gate(queue, first_rules(queue, outside)).await?;
    }
    Ok(())
}

/// What a queue is held back by until an operator says otherwise.
fn first_rules(queue: &str, outside: &Outside) -> GateRules {
    let pace = match queue {
        "haier" => outside.haier.is_some().then_some(HAIER_PACE),
        "ylh" => outside.ylh.is_some().then_some(YLH_PACE),
        "mail" => outside.mail.is_some().then_some(MAIL_PACE),
        "wechat_mini" => outside.mini_program.is_some().then_some(MINI_PROGRAM_PACE),
        _ => None,
    };
    GateRules {
        rate: pace.map(|Pace { per_s, burst, .. }| Rate { jobs: per_s, per_ms: 1_000, burst }),
        concurrency_max: pace.and_then(|pace| pace.at_once),
        breaker: (!INSIDE.contains(&queue) && queue != MANY_PARTIES).then_some(BREAKER),
        backlog_max: Some(BACKLOG_MAX),
    }
}

#[cfg(test)]
mod tests {
    use windlass_jobs::notifications::mail::MailSettings;
    use windlass_jobs::suppliers::ylh::{CallbackKeys, YlhSettings};

    use super::*;
    use crate::config::{MailAccount, YlhAccount};

    #[tokio::test]
    async fn queues_to_the_outside_get_a_breaker_and_what_an_operator_set_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("queue.db"), Clock::system()).unwrap();
        let by_hand =
            GateRules { rate: Some(Rate { jobs: 5, per_ms: 1_000, burst: 1 }), ..GateRules::default() };
        store.set_gate("haier", by_hand.clone()).await.unwrap();
        let callbacks = CallbackKeys { app_key: String::new(), secrets: Vec::new() };
        let ylh = YlhAccount { settings: YlhSettings::default(), callbacks };
        let mail = MailAccount { settings: MailSettings::default(), from: "shop@shop.example".to_owned() };
        let outside =
            Outside { haier: None, ylh: Some(ylh), wechat_pay: None, mini_program: None, mail: Some(mail) };
        guard(&store, &JobTable::new(JOBS), &outside).await.unwrap();

        let stats = store.stats().await.unwrap();
        let rules = |queue: &str| {
            stats.iter().find(|known| known.queue == queue).map(|known| known.gate.rules.clone()).unwrap()
        };
        assert_eq!(rules("haier"), by_hand);
        assert_eq!((rules("ylh").breaker, rules("ylh").backlog_max), (Some(BREAKER), Some(BACKLOG_MAX)));
        let pace = |queue| (rules(queue).rate.map(|rate| rate.jobs), rules(queue).concurrency_max);
        assert_eq!(pace("ylh"), (Some(10), Some(4)), "a real supplier is not stormed");
        assert_eq!(pace("mail"), (Some(5), None), "nor a mail provider");
        assert_eq!(pace("wechat_mini"), (None, None), "the sandbox bears everything");
        assert_eq!(rules("webhook").breaker, None, "one endpoint does not close it for the others");
        assert_eq!((rules("orders").breaker, rules("orders").backlog_max), (None, Some(BACKLOG_MAX)));
    }
}
