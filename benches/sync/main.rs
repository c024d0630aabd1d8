//! The synchronisation of prices against the simulated Haier: how much of what its gate lets through it uses, and what
//! other jobs notice of it.
//!
//! `cargo run --release -p windlass-benches --bin sync [-- PRODUCTS CALLS_PER_S...]`
//!
//! One process: workers, ledger and carrier in files of their own, the outside on real sockets beside them. The sandbox
//! bounds nothing here, so what a rate does not reach is ours.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::config::Outside;
use windlass::outside::Accounts;
use windlass::platform;
use windlass_benches::percentile;
use windlass_engine::gate::{GateRules, Rate};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Filter, Retention};
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, Job, JobTable, NewJob, State, Store};
use windlass_jobs::diagnostics::Noop;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::notifications::{Notifier, Templates};
use windlass_jobs::outside::Secret;
use windlass_jobs::suppliers::sync_run::{SyncRun, sync_run};
use windlass_jobs::suppliers::{SyncPrices, SyncProducts};
use windlass_jobs::{JOBS, Settings, Shop};
use windlass_sandbox::{Goods, Sandbox};

const PRODUCTS: u32 = 10_000;
const RATES: [u32; 4] = [50, 100, 200, 400];
/// Calls that may start at once after a quiet time.
const BURST: u32 = 10;
/// Jobs of the queue `orders` a second, beside the synchronisation and without it.
const ORDERS_PER_S: u64 = 50;
/// How long the jobs of `orders` are measured alone.
const ALONE: Duration = Duration::from_secs(5);
const SLOTS: u32 = 16;
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const RETENTION: Retention = Retention {
    jobs_max: 1_000_000,
    completed_age_max: Duration::from_secs(24 * 3_600),
    dead_age_max: Duration::from_secs(24 * 3_600),
};

fn main() -> anyhow::Result<()> {
    let numbers: Result<Vec<u32>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let numbers = numbers.context("PRODUCTS and CALLS_PER_S are numbers")?;
    let (products, rates) = match numbers.split_first() {
        None => (PRODUCTS, RATES.to_vec()),
        Some((products, [])) => (*products, RATES.to_vec()),
        Some((products, rates)) => (*products, rates.to_vec()),
    };
    windlass_jobs::outside::install_crypto();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(products, &rates))
}

async fn measure(products: u32, rates: &[u32]) -> anyhow::Result<()> {
    let site = Site::open(products).await?;
    let first = site.synced(&SyncProducts { discover: true, codes: vec![] }).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{products} products, {} listed; orders: {ORDERS_PER_S} jobs a second", first.codes)?;
    let alone = site.orders_for(async { tokio::time::sleep(ALONE).await }).await?;
    writeln!(out, "{:<34} {:>52}", "orders alone", words(&alone))?;
    for &calls_per_s in rates {
        let rate = Rate { jobs: calls_per_s, per_ms: 1_000, burst: BURST };
        site.store.set_gate("haier", GateRules { rate: Some(rate), ..GateRules::default() }).await?;
        let mut run = None;
        let waits = site.orders_for(async { run = Some(site.synced(&SyncPrices {}).await) }).await?;
        let run = run.context("the synchronisation ended")??;
        ensure!(run.done == run.chunks, "calls failed: {run:?}");
        let took_s = (run.finished_at.unwrap_or_default() - run.started_at) as f64 / 1e6;
        // The burst is not the rate's.
        let achieved = (run.chunks - i64::from(BURST)) as f64 / took_s;
        writeln!(
            out,
            "gate {calls_per_s:>4}/s: {:>4} calls in {took_s:>6.2} s, {achieved:>5.0}/s, ratio {:.3} {:>26}",
            run.chunks,
            achieved / f64::from(calls_per_s),
            words(&waits)
        )?;
    }
    site.stop.cancel();
    Ok(())
}

fn words(waits_ms: &[f64]) -> String {
    format!("orders p50 {:.1} ms, p99 {:.1} ms", percentile(waits_ms, 0.5), percentile(waits_ms, 0.99))
}

struct Site {
    shop: Arc<Shop>,
    store: Arc<SqliteStore>,
    stop: CancellationToken,
    _sandbox: Sandbox,
    _folder: TempDir,
}

impl Site {
    async fn open(products: u32) -> anyhow::Result<Self> {
        let (folder, clock) = (tempfile::tempdir()?, Clock::system());
        let goods = Goods { products, ..Goods::default() };
        let config = windlass_sandbox::Config { goods, ..windlass_sandbox::Config::new(clock.clone(), 1) };
        let sandbox = windlass_sandbox::start(config).await?;
        let ledger =
            Ledger::open(&format!("sqlite:{}", folder.path().join("ledger.db").display()), &clock).await?;
        let nothing = Outside { haier: None, ylh: None, wechat_pay: None, mini_program: None, mail: None };
        let accounts = Accounts::with_sandbox(nothing, sandbox.addresses(), PATIENCE);
        let settings = Settings::default();
        let words = Templates::load(None)?;
        let notifier = Notifier::new(words, &Secret::default(), settings.webhook_post(), clock.clone())?;
        let shop = Arc::new(platform::shop(accounts, settings, notifier, &ledger, &clock)?);
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone())?);
        let stop = CancellationToken::new();
        let workers = Workers {
            store: store.clone() as Arc<dyn Store>,
            clock,
            table: Arc::new(JobTable::new(JOBS)),
            context: shop.clone(),
            settings: WorkerSettings {
                queues: [("haier", SLOTS), ("orders", SLOTS)].map(|(queue, n)| (queue.to_owned(), n)).into(),
                lease: WorkerSettings::LEASE_DEFAULT,
                drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
                retention: RETENTION,
            },
            on_ended: None,
            host: "bench".to_owned(),
            version: "0".to_owned(),
        };
        tokio::spawn(workers.run(stop.clone(), CancellationToken::new()));
        Ok(Self { shop, store, stop, _sandbox: sandbox, _folder: folder })
    }

    /// Plans the synchronisation and waits for its end.
    async fn synced<J: Job>(&self, job: &J) -> anyhow::Result<SyncRun> {
        let job = NewJob::of(job, &self.shop.clock);
        let id = job.id.clone();
        self.store.enqueue(vec![job]).await?;
        loop {
            let planned = self.store.get(&id).await?.filter(|job| job.state.is_terminal());
            if let Some(planned) = planned {
                ensure!(planned.state == State::Completed, "the plan failed: {:?}", planned.faults);
                let result = planned.result.context("a plan has a result")?;
                let run_id = result["run"].as_str().with_context(|| format!("no run: {result}"))?;
                let run = sync_run(&self.shop.ledger, run_id).await?;
                if let Some(run) = run.filter(|run| run.finished_at.is_some()) {
                    return Ok(run);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// From accepted to done, in milliseconds, of the jobs of `orders` that came while `work` went on.
    async fn orders_for(&self, work: impl Future<Output = ()>) -> anyhow::Result<Vec<f64>> {
        let from = self.shop.clock.now();
        let orders = async {
            let mut tick = tokio::time::interval(Duration::from_millis(1_000 / ORDERS_PER_S));
            loop {
                tick.tick().await;
                let job = NewJob::of(&Noop {}, &self.shop.clock).queue("orders");
                self.store.enqueue(vec![job]).await?;
            }
        };
        let enqueued: anyhow::Result<()> = tokio::select! {
            () = work => Ok(()),
            enqueued = orders => enqueued,
        };
        enqueued?;
        let mut waits = Vec::new();
        let mut cursor = None;
        loop {
            let filter = Filter {
                queue: Some("orders".to_owned()),
                state: Some(State::Completed),
                limit: 1_000,
                cursor,
                ..Filter::default()
            };
            let page = self.store.list(filter).await?;
            waits.extend(
                page.jobs
                    .iter()
                    .filter(|job| job.created_at >= from)
                    .filter_map(|job| Some(job.finished_at?.since(job.created_at).as_secs_f64() * 1_000.0)),
            );
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        waits.sort_by(f64::total_cmp);
        ensure!(!waits.is_empty(), "no job of orders was run");
        Ok(waits)
    }
}
