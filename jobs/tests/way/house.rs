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
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::{MiniProgram, MiniProgramSettings};
use windlass_jobs::notifications::mail::{MailSettings, MailTls, Mailer};
use windlass_jobs::notifications::{Notifier, Part, SubscribeTemplate, Template, Templates, ask_dead_jobs};
use windlass_jobs::orders::{ExpireUnpaidOrders, SweepOrders};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_jobs::outside::{Http, HttpSettings, Secret};
use windlass_jobs::payments::wechat_pay::{WechatPay, WechatPaySettings};
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_jobs::suppliers::ylh::{CallbackKeys, Ylh, YlhPaths, YlhSettings};
use windlass_jobs::suppliers::{TrackParcels, WatchSupplierOrders};
use windlass_jobs::token::Tokens;
use windlass_jobs::{JOBS, Settings, Shop};
use windlass_sandbox::{Addresses, Credentials, credentials};

use crate::door;

/// Wall time between two ticks of the schedule.
const TICK: Duration = Duration::from_millis(150);
/// Wall time after which a call that a dead process began has no living caller.
const TELL_TIME_MAX: Duration = Duration::from_secs(4);
const FOR_EVER: Duration = Duration::from_secs(1_000 * 24 * 3_600);

/// What the ledger is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

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
            let shop = Arc::new(shop(&ground, ledger, store.clone()));
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

fn shop(ground: &Ground, ledger: Ledger, store: Arc<dyn Store>) -> Shop {
    let out = credentials();
    let clock = ground.clock.clone();
    let http = Http::new(&HttpSettings::default(), clock.clone()).expect("a client");
    let tokens = Tokens::new(Arc::new(LedgerShelf::new(ledger.clone())), clock.clone(), holder(&clock));
    Shop {
        haier: Haier::new(http.clone(), tokens.clone(), haier(ground, &out)),
        ylh: Ylh::new(http.clone(), tokens.clone(), ylh(ground, &out)),
        ylh_callback_keys: CallbackKeys {
            app_key: out.ylh.callback_app_key.to_owned(),
            secrets: vec![Secret::new(out.ylh.callback_secret)],
        },
        wechat_pay: WechatPay::new(http.clone(), wechat_pay(ground, &out)).expect("keys"),
        mini_program: MiniProgram::new(
            http,
            tokens,
            MiniProgramSettings {
                base_url: ground.addresses.mini_program.clone(),
                appid: out.mini_program.appid.to_owned(),
                secret: Secret::new(out.mini_program.secret),
                token_timeout: ground.patience,
                call_timeout: ground.patience,
            },
        ),
        mailer: Mailer::new(mail(ground, &out), clock.clone()),
        notifier: Notifier::new(
            Templates::load(None).expect("our own are sound"),
            &Secret::new("a key for tests"),
            ground.settings.webhook_post(),
            clock.clone(),
        )
        .expect("a notifier")
        .asking_dead_jobs(ask_dead_jobs(store)),
        settings: ground.settings.clone(),
        clock,
        ledger,
    }
}

/// Another one for every start.
fn holder(clock: &Clock) -> String {
    format!("house-{}", clock.wall().micros())
}

fn haier(ground: &Ground, out: &Credentials) -> HaierSettings {
    HaierSettings {
        base_url: ground.addresses.haier.clone(),
        client_id: out.haier.client_id.to_owned(),
        client_secret: Secret::new(out.haier.client_secret),
        customer_code: out.haier.customer_code.to_owned(),
        send_to_code: out.haier.send_to_code.to_owned(),
        supplier_code: out.haier.supplier_code.to_owned(),
        password: Secret::new(out.haier.password),
        seller_password: Secret::new(out.haier.seller_password),
        customer_password: Secret::new(out.haier.customer_password),
        token_timeout: ground.patience,
        call_timeout: ground.patience,
        ..HaierSettings::default()
    }
}

fn ylh(ground: &Ground, out: &Credentials) -> YlhSettings {
    YlhSettings {
        paths: YlhPaths {
            auth: ground.addresses.ylh_auth.clone(),
            order: ground.addresses.ylh_order.clone(),
            stock: ground.addresses.ylh_stock.clone(),
        },
        client_id: out.ylh.client_id.to_owned(),
        client_password: Secret::new(out.ylh.client_password),
        username: out.ylh.username.to_owned(),
        password: Secret::new(out.ylh.password),
        source_system: out.ylh.source_system.to_owned(),
        shop_name: out.ylh.shop_name.to_owned(),
        seller_code: out.ylh.seller_code.to_owned(),
        token_timeout: ground.patience,
        call_timeout: ground.patience,
        ..YlhSettings::default()
    }
}

fn wechat_pay(ground: &Ground, out: &Credentials) -> WechatPaySettings {
    let pay = &out.wechat_pay;
    WechatPaySettings {
        base_url: ground.addresses.wechat_pay.clone(),
        appid: pay.appid.to_owned(),
        mchid: pay.mchid.to_owned(),
        merchant_serial_no: pay.merchant_serial.to_owned(),
        merchant_key_pem: Secret::new(pay.merchant_private_key_pem),
        api_v3_key: Secret::new(pay.api_v3_key),
        platform_keys: BTreeMap::from([
            (pay.platform_serial.to_owned(), pay.platform_certificate_pem.to_owned()),
            (pay.platform_public_key_id.to_owned(), pay.platform_public_key_pem.to_owned()),
        ]),
        answer_with_key: None,
        call_timeout: ground.patience,
        ..WechatPaySettings::default()
    }
}

fn mail(ground: &Ground, out: &Credentials) -> MailSettings {
    MailSettings {
        host: ground.addresses.smtp.ip().to_string(),
        port: ground.addresses.smtp.port(),
        tls: MailTls::None,
        credentials: Some((out.smtp.user.to_owned(), Secret::new(out.smtp.password))),
        step_timeout: ground.patience,
        ..MailSettings::default()
    }
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
