//! One shop as a process would run it: ledger, carrier, relay, workers, callback door and a ticking schedule, on a
//! runtime of its own that can be dropped at any instant, as a kill would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Filter, JobView, Retention};
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, Job, JobId, JobTable, NewJob, State, Store};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::notifications::{Part, SubscribeTemplate, Template};
use windlass_jobs::orders::{ExpireUnpaidOrders, SweepOrders};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_jobs::suppliers::{TrackParcels, WatchSupplierOrders};
use windlass_jobs::{JOBS, Settings, Shop};
use windlass_sandbox::{Addresses, credentials};
use windlass_testing::TestShop;

use crate::door;

/// Wall time between two ticks of the schedule.
const TICK: Duration = Duration::from_millis(150);
/// Wall time after which a call that a dead process began has no living caller.
const TELL_TIME_MAX: Duration = Duration::from_secs(4);
const FOR_EVER: Duration = Duration::from_secs(1_000 * 24 * 3_600);

/// What outlives the process.
#[derive(Clone)]
pub struct Ground {
    pub folder: PathBuf,
    /// The ledger's address.
    pub ledger: String,
    pub clock: Clock,
    pub addresses: Addresses,
    pub settings: Settings,
    /// Wall time that a client waits for an answer.
    pub patience: Duration,
}

pub struct House {
    /// Taken when the house falls.
    runtime: Option<Runtime>,
    pub shop: Arc<Shop>,
    pub store: Arc<SqliteStore>,
    pub door: SocketAddr,
}

impl House {
    /// Opens everything anew on the same files.
    pub async fn build(ground: &Ground) -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let ground = ground.clone();
        let built = runtime.spawn(async move {
            let ledger = open_ledger(&ground).await;
            let store = open_store(&ground).await;
            let shop = Arc::new(shop(&ground, &ledger, store.clone()));
            let door = door::open(shop.clone()).await;
            start(&shop, &store);
            (shop, store, door)
        });
        let (shop, store, door) = built.await.expect("the house stands");
        House { runtime: Some(runtime), shop, store, door }
    }

    /// The process dies, now, in the middle of whatever it was doing.
    pub fn fall(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub async fn accept(&self, jobs: Vec<NewJob>) {
        let ledger = self.shop.ledger.clone();
        self.on_runtime(async move { ledger.accept(jobs).await.expect("accepted") }).await;
    }

    /// The ledger's tasks live on the house's runtime, and so does whoever uses it.
    pub async fn on_runtime<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.as_ref().expect("it stands").spawn(work).await.expect("the work ends")
    }

    pub async fn dead_jobs(&self) -> Vec<JobView> {
        let filter = Filter { state: Some(State::Dead), limit: 100, ..Filter::default() };
        self.store.list(filter).await.expect("listed").jobs
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn open_ledger(ground: &Ground) -> Ledger {
    Ledger::open_with(&ground.ledger, &ground.clock, TELL_TIME_MAX).await.expect("the ledger opens")
}

/// The process before holds the file until the last of its threads has ended.
async fn open_store(ground: &Ground) -> Arc<SqliteStore> {
    let path = ground.folder.join("carrier.sqlite");
    for _ in 0..500 {
        match SqliteStore::open(&path, ground.clock.clone()) {
            Ok(store) => return Arc::new(store),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("the carrier does not open: {}", Path::new(&path).display());
}

fn start(shop: &Arc<Shop>, store: &Arc<SqliteStore>) {
    let stop = CancellationToken::new();
    let settings = RelaySettings { sweep_age: Duration::from_millis(500), ..RelaySettings::default() };
    tokio::spawn(Relay::new(shop.ledger.clone(), store.clone(), settings).run(stop.clone()));
    let table = Arc::new(JobTable::new(JOBS));
    let mut queues: BTreeSet<&str> = table.queues().into_iter().collect();
    queues.insert("wechat_mini");
    let workers = Workers {
        store: store.clone() as Arc<dyn Store>,
        clock: shop.clock.clone(),
        table,
        context: shop.clone(),
        settings: WorkerSettings {
            queues: queues.into_iter().map(|queue| (queue.to_owned(), 4)).collect(),
            lease: Duration::from_secs(5),
            drain_max: Duration::from_secs(1),
            retention: Retention { jobs_max: u64::MAX, completed_age_max: FOR_EVER, dead_age_max: FOR_EVER },
        },
        on_ended: None,
        host: "test".to_owned(),
        version: "0".to_owned(),
    };
    tokio::spawn(workers.run(stop, CancellationToken::new()));
    tokio::spawn(tick(shop.clone(), store.clone()));
}

/// The schedule, run as fast as it goes.
async fn tick(shop: Arc<Shop>, store: Arc<SqliteStore>) {
    loop {
        let due = vec![
            once(&TrackParcels {}, &shop.clock),
            once(&ExpireUnpaidOrders {}, &shop.clock),
            once(&WatchSupplierOrders {}, &shop.clock),
            once(&SweepOrders {}, &shop.clock),
        ];
        let _ = store.enqueue(due).await;
        tokio::time::sleep(TICK).await;
    }
}

fn once<J: Job>(job: &J, clock: &Clock) -> NewJob {
    NewJob::of(job, clock).id(JobId::derived(&[J::KIND, &clock.wall().micros().to_string()]))
}

fn shop(ground: &Ground, ledger: &Ledger, store: Arc<dyn Store>) -> Shop {
    let shop = TestShop::beside(&ground.addresses, ground.patience, ground.settings.clone());
    TestShop { holder: holder(&ground.clock), carrier: Some(store), ..shop }.open(ledger)
}

/// Another one for every start.
fn holder(clock: &Clock) -> String {
    format!("house-{}", clock.wall().micros())
}

/// Settings that let a way end soon, with the templates that the sandbox has.
pub fn settings() -> Settings {
    Settings {
        complete_after_s: 600,
        sweep_after_s: 1_800,
        track_every_min_s: 60,
        refund_polls_s: vec![60],
        refund_gap_s: 60,
        mail_from: "Shop <shop@example.com>".to_owned(),
        subscribe_templates: templates(),
        ..Settings::default()
    }
}

fn templates() -> BTreeMap<Template, SubscribeTemplate> {
    let registered = credentials().mini_program.templates;
    let template = |purpose: &str, parts: &[Part]| {
        let known =
            registered.iter().find(|known| known.purpose == purpose).expect("a template of the sandbox");
        assert_eq!(known.fields.len(), parts.len(), "{purpose}");
        SubscribeTemplate {
            id: known.id.to_owned(),
            page: Some("pages/order?no={order_no}".to_owned()),
            fields: known
                .fields
                .iter()
                .map(|field| field.key.to_owned())
                .zip(parts.iter().copied())
                .collect(),
        }
    };
    let cancelled = [Part::OrderNo, Part::Reason, Part::Amount, Part::Time];
    BTreeMap::from([
        (
            Template::OrderPaid,
            template("order_paid", &[Part::OrderNo, Part::Products, Part::Amount, Part::Time]),
        ),
        (
            Template::OrderShipped,
            template(
                "order_shipped",
                &[Part::OrderNo, Part::Products, Part::Carrier, Part::TrackingNo, Part::Time],
            ),
        ),
        (Template::OrderCompleted, template("order_completed", &[Part::OrderNo, Part::Products, Part::Time])),
        (Template::OrderCancelled, template("order_cancelled", &cancelled)),
        (Template::OrderRefused, template("order_cancelled", &cancelled)),
        (
            Template::RefundMade,
            template("refund_succeeded", &[Part::RefundNo, Part::Amount, Part::Reason, Part::Time]),
        ),
    ])
}
