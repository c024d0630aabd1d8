//! A front door of its own for each test: a real socket, a real carrier and ledger in a folder of their own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use windlass::front_door::events::watchers;
use windlass::front_door::{Access, FrontDoor, Kinds, Limits, Rate, serve};
use windlass_engine::schedule::Schedules;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, Delivery, End, Settled, Settlement};
use windlass_engine::{Clock, JobTable, Store, Timestamp};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::{Settings, Shop};
use windlass_testing::{NOON, TestShop};

use self::kinds::TOYS;

pub mod kinds;

const LONG_ENOUGH: Duration = Duration::from_secs(20);

pub struct TestDoor {
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub shop: Arc<Shop>,
    pub clock: Clock,
    pub url: String,
    pub closing: CancellationToken,
    pub hurrying: CancellationToken,
    pub folder: tempfile::TempDir,
    client: reqwest::Client,
}

/// An answer that has been read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl TestDoor {
    pub async fn open() -> Self {
        Self::open_with(Limits::default()).await
    }

    pub async fn open_with(limits: Limits) -> Self {
        Self::open_bounded(limits, None).await
    }

    /// With the schedules of one file.
    pub async fn open_scheduled(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test.toml"), text).unwrap();
        let table = JobTable::new(TOYS);
        let schedules = Schedules::load(folder.path(), &|kind, payload| table.lane(kind, payload)).unwrap();
        Self::open_all(Limits::default(), None, schedules, None).await
    }

    /// With a carrier whose disk is full at so many bytes.
    pub async fn open_bounded(limits: Limits, carrier_bytes_max: Option<u64>) -> Self {
        Self::open_all(limits, carrier_bytes_max, Schedules::default(), None).await
    }

    /// Each key may call so often in a second.
    pub async fn open_limited(per_second: u32) -> Self {
        let rate = Some(Rate::new(per_second));
        Self::open_all(Limits::default(), None, Schedules::default(), rate).await
    }

    async fn open_all(
        limits: Limits,
        carrier_bytes_max: Option<u64>,
        schedules: Schedules,
        rate: Option<Rate>,
    ) -> Self {
        recorder();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(NOON);
        let carrier = folder.path().join("queue.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_bounded(&carrier, clock.clone(), carrier_bytes_max).unwrap());
        let ledger = open_ledger(folder.path(), &clock).await;
        // Its outside is out of reach: the door calls nobody.
        let settings = Settings { webhook_private_addresses: true, ..Settings::default() };
        let shop = Arc::new(TestShop::alone(settings).open(&ledger));
        let (closing, hurrying) = (CancellationToken::new(), CancellationToken::new());
        let door = FrontDoor {
            store: store.clone(),
            ledger: ledger.clone(),
            shop: shop.clone(),
            kinds: Kinds::of(&JobTable::new(TOYS)).unwrap(),
            schedules: Ok(Arc::new(schedules)),
            queues: BTreeSet::from(["attic".to_owned()]),
            clock: clock.clone(),
            limits,
            rate,
            watchers: watchers(),
            metrics: Arc::new(|| recorder().render()),
            access: Access::Open,
            tells_metrics: true,
            pulses: Default::default(),
            flows: Default::default(),
            closing: closing.clone(),
            hurrying: hurrying.clone(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, door));
        Self { store, ledger, shop, clock, url, closing, hurrying, folder, client: client() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).timeout(LONG_ENOUGH)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub async fn enqueue(&self, body: &Value) -> Answer {
        self.post("/v1/jobs", body).await
    }

    /// Enqueues a parcel to be weighed and answers with its id.
    pub async fn accepted(&self, body: &Value) -> String {
        let answer = self.enqueue(body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn keyed(&self, key: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, "/v1/jobs").header("Idempotency-Key", key).json(body)).await
    }

    /// Takes the next job of the queue, as a worker would.
    pub async fn take(&self, queue: &str) -> Delivery {
        let ask = Ask {
            queue: queue.to_owned(),
            worker: "w1".to_owned(),
            jobs_max: 1,
            lease: Duration::from_secs(60),
            wait: LONG_ENOUGH,
        };
        self.store.reserve(ask).await.unwrap().deliveries.pop().expect("a job is ready")
    }

    pub async fn end(&self, queue: &str, delivery: &Delivery, end: End) {
        let settlement =
            Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None };
        assert_eq!(self.store.settle(queue, vec![settlement]).await.unwrap(), [Settled::Done]);
    }

    pub async fn jobs_stored(&self) -> u64 {
        self.store.stats().await.unwrap().iter().map(|queue| queue.counts.accepted).sum()
    }
}

impl Drop for TestDoor {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last part of a problem's type.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let told = self.json();
        assert_eq!(told["status"], self.status, "the status is told twice");
        assert_eq!(told["request_id"].as_str(), self.header("x-request-id"));
        told["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }
}

pub async fn open_ledger(folder: &Path, clock: &Clock) -> Ledger {
    Ledger::open(&format!("sqlite:{}", folder.join("ledger.db").display()), clock).await.unwrap()
}

pub fn parcel(n: u32) -> Value {
    json!({"kind": "weigh_parcel", "payload": {"parcel": format!("P-{n}"), "grams": 500}})
}

pub fn order(no: &str) -> Value {
    json!({"kind": "keep_order", "payload": {"no": no}})
}

/// Puts words in the place of what differs from run to run.
pub fn normal(mut told: Value) -> Value {
    fn walk(name: &str, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item)),
            Value::Object(members) => members.iter_mut().for_each(|(name, member)| walk(name, member)),
            Value::String(_) if matches!(name, "id" | "job_id" | "parent" | "request_id") => {
                *value = json!("[id]")
            }
            Value::String(text) if Timestamp::parse_rfc3339(text).is_ok() => *value = json!("[time]"),
            _ => {}
        }
    }
    walk("", &mut told);
    told
}

fn client() -> reqwest::Client {
    // The second test of a process finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
}
