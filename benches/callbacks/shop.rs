//! A shop that stands in one process on files of its own, with orders at the supplier and nobody outside.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass::front_door::{Access, FrontDoor, Kinds, Limits, events, serve};
use windlass_engine::store::Retention;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_engine::{Clock, JobTable, Store};
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::{MiniProgram, MiniProgramSettings};
use windlass_jobs::notifications::mail::{MailSettings, Mailer};
use windlass_jobs::notifications::{Notifier, Templates};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_jobs::outside::{Http, HttpSettings, Secret};
use windlass_jobs::payments::wechat_pay::{WechatPay, WechatPaySettings};
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_jobs::suppliers::ylh::{CallbackKeys, Ylh, YlhSettings};
use windlass_jobs::token::Tokens;
use windlass_jobs::{JOBS, Settings, Shop};
use windlass_sandbox::credentials;

pub const APP_KEY: &str = "bench";
pub const SECRET: &str = "a secret of the benchmark";
const SLOTS: u32 = 16;
const LEASE: Duration = Duration::from_secs(15);
const FOR_EVER: Duration = Duration::from_secs(1_000 * 24 * 3_600);

pub struct Stand {
    pub ledger: Ledger,
    store: Arc<SqliteStore>,
    shop: Arc<Shop>,
    clock: Clock,
}

pub fn order_no(n: usize) -> String {
    format!("SO-{n:08}")
}

impl Stand {
    pub async fn open(folder: &Path, clock: &Clock) -> anyhow::Result<Self> {
        let ledger = Ledger::open(&format!("sqlite:{}", folder.join("ledger.db").display()), clock).await?;
        let store = Arc::new(SqliteStore::open(folder.join("queue.db"), clock.clone())?);
        let shop = Arc::new(shop(&ledger, clock)?);
        Ok(Self { ledger, store, shop, clock: clock.clone() })
    }

    /// Orders that YLH has and has not confirmed.
    pub async fn place_orders(&self, orders: usize) -> anyhow::Result<()> {
        let now = self.clock.now().micros();
        let mut tx = self.ledger.begin().await?;
        for n in 0..orders {
            let no = order_no(n);
            sqlx::query(
                "INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, province, city, area, \
                 detail, county_code, total_fen, placed_at, expires_at, recorded_at, state_at, version, touched_at) \
                 VALUES ($1, 'placed', $1, 'o', 'n', '1', 'p', 'c', 'a', 'd', '320106', 100, $2, $2, $2, $2, 1, $2)",
            )
            .bind(&no)
            .bind(now)
            .execute(tx.conn())
            .await?;
            sqlx::query(
                "INSERT INTO order_lines (order_no, line_no, product_code, name, quantity, unit_price_fen, discount_fen) \
                 VALUES ($1, 1, 'P1', 'P1', 1, 100, 0)",
            )
            .bind(&no)
            .execute(tx.conn())
            .await?;
            sqlx::query(
                "INSERT INTO payments (out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, touched_at) \
                 VALUES ($1, $1, 'succeeded', 100, 100, $1, $2)",
            )
            .bind(&no)
            .bind(now)
            .execute(tx.conn())
            .await?;
            sqlx::query(
                "INSERT INTO supplier_orders (so_id, order_no, state, sent_at, accepted_at, touched_at) \
                 VALUES ($1, $2, 'accepted', $3, $3, $3)",
            )
            .bind(format!("{no}-1"))
            .bind(&no)
            .bind(now)
            .execute(tx.conn())
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// The door, the relay and the workers, until `stop`.
    pub fn start(&self, listener: TcpListener, stop: &CancellationToken) {
        let table = Arc::new(JobTable::new(JOBS));
        tokio::spawn(
            Relay::new(self.ledger.clone(), self.store.clone(), RelaySettings::default()).run(stop.clone()),
        );
        let workers = Workers {
            store: self.store.clone() as Arc<dyn Store>,
            clock: self.clock.clone(),
            table,
            context: self.shop.clone(),
            settings: WorkerSettings {
                queues: vec![("ylh".to_owned(), SLOTS)],
                lease: LEASE,
                drain_max: Duration::from_secs(1),
                retention: Retention {
                    jobs_max: u64::MAX,
                    completed_age_max: FOR_EVER,
                    dead_age_max: FOR_EVER,
                },
            },
            on_ended: None,
            host: "bench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        tokio::spawn(workers.run(stop.clone(), CancellationToken::new()));
        tokio::spawn(serve(listener, self.door(stop)));
    }

    fn door(&self, stop: &CancellationToken) -> FrontDoor {
        FrontDoor {
            store: self.store.clone() as Arc<dyn Store>,
            ledger: self.ledger.clone(),
            shop: self.shop.clone(),
            kinds: Kinds::of(&JobTable::new(JOBS)).expect("the schemas of this build"),
            queues: BTreeSet::new(),
            clock: self.clock.clone(),
            limits: Limits::default(),
            access: Access::Open,
            metrics: Arc::new(String::new),
            tells_metrics: false,
            pulses: Default::default(),
            flows: Default::default(),
            schedules: Ok(Default::default()),
            rate: None,
            watchers: events::watchers(),
            closing: stop.clone(),
            hurrying: stop.clone(),
        }
    }
}

fn shop(ledger: &Ledger, clock: &Clock) -> anyhow::Result<Shop> {
    let out = credentials();
    let http = Http::new(&HttpSettings::default(), clock.clone())?;
    let tokens = Tokens::new(Arc::new(LedgerShelf::new(ledger.clone())), clock.clone(), "bench".to_owned());
    let pay = WechatPaySettings {
        merchant_serial_no: out.wechat_pay.merchant_serial.to_owned(),
        merchant_key_pem: Secret::new(out.wechat_pay.merchant_private_key_pem),
        api_v3_key: Secret::new(out.wechat_pay.api_v3_key),
        ..WechatPaySettings::default()
    };
    let settings = Settings::default();
    let post = settings.webhook_post();
    let notifier = Notifier::new(Templates::load(None)?, &Secret::default(), post, clock.clone())?;
    Ok(Shop {
        haier: Haier::new(http.clone(), tokens.clone(), HaierSettings::default()),
        ylh: Ylh::new(http.clone(), tokens.clone(), YlhSettings::default()),
        ylh_callback_keys: CallbackKeys { app_key: APP_KEY.to_owned(), secrets: vec![Secret::new(SECRET)] },
        wechat_pay: WechatPay::new(http.clone(), pay)?,
        mini_program: MiniProgram::new(http, tokens, MiniProgramSettings::default()),
        mailer: Mailer::new(MailSettings::default(), clock.clone()),
        notifier,
        settings,
        clock: clock.clone(),
        ledger: ledger.clone(),
    })
}
