//! A shop with its workers beside a simulated Haier. The shop's time stands still until a test moves it, so what the
//! ledger holds can be compared with the truth of that instant; wall time, which gates and leases count, runs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{JobView, Retention};
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, Job, JobTable, NewJob, State, Store};
use windlass_jobs::suppliers::sync_run::{SyncRun, sync_run};
use windlass_jobs::{JOBS, Settings, Shop};
use windlass_sandbox::{Addresses, Config, Goods, Sandbox, credentials};
use windlass_testing::{Engine, Place, TestShop};

/// Wall time that a test waits for what must come.
const WAIT_MAX: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(20);
const FOR_EVER: Duration = Duration::from_secs(1_000 * 24 * 3_600);

pub struct Site {
    pub shop: Arc<Shop>,
    pub store: Arc<SqliteStore>,
    pub sandbox: Sandbox,
    pub clock: Clock,
    place: Place,
    workers: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
    /// The shop's time moves while the test waits, so that what failed is tried again.
    time_passes: bool,
}

impl Site {
    pub async fn open(engine: Engine, goods: Goods) -> Site {
        Self::open_with(engine, goods, Settings::default()).await
    }

    pub async fn open_with(engine: Engine, goods: Goods, settings: Settings) -> Site {
        Self::build(engine, goods, settings, credentials().haier.customer_code).await
    }

    /// A shop that says that it is this customer of Haier's.
    pub async fn open_for(engine: Engine, customer_code: &str) -> Site {
        Self::build(engine, Goods::default(), Settings::default(), customer_code).await
    }

    /// Workers do not run until [`Site::work`].
    async fn build(engine: Engine, goods: Goods, settings: Settings, customer_code: &str) -> Site {
        let place = Place::new(engine);
        let clock = place.clock.clone();
        let config = Config { goods, ..Config::new(clock.clone(), 7) };
        let sandbox = windlass_sandbox::start(config).await.expect("the outside world");
        let shop = shop(sandbox.addresses(), settings, customer_code, "one").open(&place.ledger().await);
        let store = carrier(&place, "carrier");
        Site { shop: Arc::new(shop), store, sandbox, clock, place, workers: None, time_passes: false }
    }

    /// Another process of the shop: the same ledger, caches of its own.
    pub fn replica(&self, name: &str) -> Shop {
        let (at, settings) = (self.sandbox.addresses(), self.shop.settings.clone());
        shop(at, settings, credentials().haier.customer_code, name).open(&self.shop.ledger)
    }

    pub fn time_passes(&mut self, passes: bool) {
        self.time_passes = passes;
    }

    pub fn work(&mut self) {
        let stop = CancellationToken::new();
        let workers = Workers {
            store: self.store.clone() as Arc<dyn Store>,
            clock: self.clock.clone(),
            table: Arc::new(JobTable::new(JOBS)),
            context: self.shop.clone(),
            settings: WorkerSettings {
                queues: vec![("haier".to_owned(), 8)],
                lease: Duration::from_secs(30),
                drain_max: Duration::from_secs(5),
                retention: Retention {
                    jobs_max: u64::MAX,
                    completed_age_max: FOR_EVER,
                    dead_age_max: FOR_EVER,
                },
            },
            on_ended: None,
            host: "test".to_owned(),
            version: "0".to_owned(),
        };
        let running = tokio::spawn(workers.run(stop.clone(), CancellationToken::new()));
        self.workers = Some((stop, running));
    }

    /// The workers end; what they held goes back.
    pub async fn rest(&mut self) {
        if let Some((stop, running)) = self.workers.take() {
            stop.cancel();
            running.await.expect("the workers end");
        }
    }

    /// The carrier is lost, and an empty one takes its place.
    pub fn lose_carrier(&mut self) {
        self.store = carrier(&self.place, "another");
    }

    pub async fn enqueue<J: Job>(&self, job: &J) -> NewJob {
        self.clock.advance(Duration::from_micros(1));
        let job = NewJob::of(job, &self.clock);
        self.store.enqueue(vec![job.clone()]).await.expect("enqueued");
        job
    }

    /// Enqueues the job and waits for its end; `Err`: what it died of.
    pub async fn run<J: Job>(&self, job: &J) -> Result<Value, String> {
        let id = self.enqueue(job).await.id;
        let view: JobView = self
            .look("the job's end", async || {
                self.store.get(&id).await.expect("read").filter(|job| job.state.is_terminal())
            })
            .await;
        match view.state {
            State::Completed => Ok(view.result.unwrap_or(Value::Null)),
            _ => Err(view.faults.last().map(|fault| fault.message.clone()).unwrap_or_default()),
        }
    }

    /// Plans a synchronisation and waits until its run is over.
    pub async fn synced<J: Job>(&self, job: &J) -> SyncRun {
        let told = self.run(job).await.expect("planned");
        let run_id = told["run"].as_str().unwrap_or_else(|| panic!("no run: {told}")).to_owned();
        self.look("the end of the run", async || {
            self.sync_run(&run_id).await.filter(|run| run.finished_at.is_some())
        })
        .await
    }

    pub async fn sync_run(&self, run_id: &str) -> Option<SyncRun> {
        sync_run(&self.shop.ledger, run_id).await.expect("read")
    }

    pub async fn look<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let began = self.clock.wall();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(self.clock.wall().since(began) < WAIT_MAX, "{what} does not come");
            if self.time_passes {
                self.clock.advance(Duration::from_millis(500));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Turns something at the simulated Haier.
    pub async fn turn(&self, what: &Value) {
        let url = format!("{}/control/haier", self.sandbox.addresses().control);
        let answer = reqwest::Client::new().post(url).json(what).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{what}");
    }

    /// Writes into the ledger by hand.
    pub async fn write(&self, sql: &str) {
        let mut tx = self.shop.ledger.begin().await.expect("begun");
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(tx.conn()).await.expect("written");
        tx.commit().await.expect("committed");
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let (n,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(self.shop.ledger.reads())
            .await
            .expect("counted");
        n
    }

    /// An order as the shop would have it, of so many of each product.
    pub async fn sell(&self, order_no: &str, county: &str, lines: &[(&str, i64)]) {
        let now = self.clock.now().micros();
        self.write(&format!(
            "INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, province, city, area, \
             detail, county_code, total_fen, placed_at, expires_at, recorded_at, state_at, version, touched_at) \
             VALUES ('{order_no}', 'paid', 'f', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '{county}', 100, {now}, {now}, \
             {now}, {now}, 1, {now})"
        ))
        .await;
        for (n, (code, quantity)) in lines.iter().enumerate() {
            self.write(&format!(
                "INSERT INTO order_lines (order_no, line_no, product_code, name, quantity, unit_price_fen, discount_fen) \
                 VALUES ('{order_no}', {n}, '{code}', 'x', {quantity}, 100, 0)"
            ))
            .await;
        }
    }
}

pub fn goods(products: u32) -> Goods {
    Goods { products, ..Goods::default() }
}

/// Every call is answered in an odd form first.
pub fn all_odd() -> Value {
    json!({ "odd_per_mille": 1_000 })
}

fn carrier(place: &Place, name: &str) -> Arc<SqliteStore> {
    let path = place.path(&format!("{name}.sqlite"));
    Arc::new(SqliteStore::open(path, place.clock.clone()).expect("the carrier opens"))
}

fn shop(at: &Addresses, settings: Settings, customer_code: &str, holder: &str) -> TestShop {
    let mut shop = TestShop::beside(at, PATIENCE, settings);
    shop.haier.customer_code = customer_code.to_owned();
    shop.holder = holder.to_owned();
    shop
}
