//! A shop whose mail and webhooks go to the sandbox, and whose jobs run when a test says so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, End, FaultCause, JobFault, Settlement, Store};
use windlass_engine::{Clock, Job, JobError, Outcome, State, Verdict};
use windlass_jobs::diagnostics::Noop;
use windlass_jobs::notifications::webhooks::{Endpoint, NewEndpoint, SigningSecret, create};
use windlass_jobs::{Settings, Shop};
use windlass_sandbox::{Config, Faults, Sandbox};
use windlass_testing::{Engine, Place, TestShop, attempt};

pub const BOSS: &str = "boss@shop.example";
/// Wall time that a receiver or the mail server has.
const PATIENCE: Duration = Duration::from_millis(1_500);

pub struct Desk {
    pub shop: Shop,
    pub clock: Clock,
    pub sandbox: Sandbox,
    pub store: Arc<SqliteStore>,
    http: reqwest::Client,
    _place: Place,
}

impl Desk {
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, Faults::None, |_| {}, |_| {}).await
    }

    pub async fn open_with(
        engine: Engine,
        faults: Faults,
        sandbox: impl FnOnce(&mut Config),
        settings: impl FnOnce(&mut Settings),
    ) -> Self {
        let place = Place::new(engine);
        let clock = place.clock.clone();
        let mut config = Config { faults, no_answer: PATIENCE * 2, ..Config::new(clock.clone(), 5) };
        sandbox(&mut config);
        let sandbox = windlass_sandbox::start(config).await.unwrap();
        let store = Arc::new(SqliteStore::open(place.path("queue.db"), clock.clone()).unwrap());
        let mut decided = Settings {
            mail_from: "Shop <shop@shop.example>".to_owned(),
            summary_to: vec![BOSS.to_owned()],
            webhook_private_addresses: true,
            ..Settings::default()
        };
        settings(&mut decided);
        let mut shop = TestShop::beside(sandbox.addresses(), PATIENCE, decided);
        shop.webhooks.timeout = PATIENCE;
        shop.carrier = Some(store.clone());
        let shop = shop.open(&place.ledger().await);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { shop, clock, sandbox, store, http, _place: place }
    }

    /// One attempt, the first.
    pub async fn run<J: Job<Context = Shop>>(&self, job: J) -> Result<Outcome, JobError> {
        self.attempt(job, 1).await
    }

    pub async fn attempt<J: Job<Context = Shop>>(&self, job: J, nth: u32) -> Result<Outcome, JobError> {
        attempt(&self.shop, job, nth).await
    }

    /// An endpoint at the sandbox's receiver of that name, which knows its secret.
    pub async fn endpoint(&self, receiver: &str, types: &[&str]) -> (Endpoint, SigningSecret) {
        let new = NewEndpoint {
            url: format!("{}/webhooks/{receiver}", self.sandbox.addresses().control),
            description: String::new(),
            types: types.iter().map(|word| (*word).to_owned()).collect(),
        };
        let (endpoint, secret) = create(&self.shop, &new, "a test").await.unwrap();
        self.tell(receiver, json!({ "secrets": [secret.expose()] })).await;
        (endpoint, secret)
    }

    /// Tells a receiver how to behave.
    pub async fn tell(&self, receiver: &str, manner: Value) {
        let url = format!("{}/control/webhooks/{receiver}", self.sandbox.addresses().control);
        assert!(self.http.post(url).json(&manner).send().await.unwrap().status().is_success());
    }

    /// What came to a receiver.
    pub async fn came(&self, receiver: &str) -> Value {
        let url = format!("{}/webhooks/{receiver}", self.sandbox.addresses().control);
        self.get(&url).await
    }

    /// What came to the mail server, the newest first.
    pub async fn mails(&self) -> Vec<Value> {
        let url = format!("{}/mails", self.sandbox.addresses().control);
        self.get(&url).await.as_array().unwrap().clone()
    }

    async fn get(&self, url: &str) -> Value {
        let answer = self.http.get(url).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// On how many keys the outside had the effect, and on how many of these too often.
    pub async fn effect(&self, name: &str) -> (u64, u64) {
        let truth = self.sandbox.truth().await;
        let effect = truth.effects.iter().find(|effect| effect.effect == name).unwrap();
        (effect.keys, effect.doubled)
    }

    pub async fn write(&self, sql: &'static str) {
        let mut tx = self.shop.ledger.begin().await.unwrap();
        sqlx::raw_sql(sql).execute(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A job of the carrier's alone that died.
    pub async fn a_job_dies(&self, why: &str) {
        let job = windlass_engine::NewJob::of(&Noop {}, &self.clock);
        self.store.enqueue(vec![job]).await.unwrap();
        let ask = Ask {
            queue: "diagnostics".to_owned(),
            worker: "test".to_owned(),
            jobs_max: 1,
            lease: Duration::from_secs(5),
            wait: Duration::ZERO,
        };
        let delivery = self.store.reserve(ask).await.unwrap().deliveries.remove(0);
        let (at, message) = (self.clock.now(), why.to_owned());
        let fault = JobFault { attempt: 1, at, cause: FaultCause::Error, message };
        let (id, token) = (delivery.id, delivery.token);
        let end = Settlement { id, token, end: End::Dead { fault }, outage: false, notes: None };
        self.store.settle("diagnostics", vec![end]).await.unwrap();
        let stats = self.store.stats().await.unwrap();
        assert_eq!(stats.iter().map(|queue| queue.counts.of(State::Dead)).sum::<u64>(), 1);
    }
}

/// The result that a job left.
pub fn result(outcome: Result<Outcome, JobError>) -> Value {
    match outcome {
        Ok(outcome) => outcome.into_parts().0.unwrap_or_default(),
        Err(error) => panic!("{:?}: {:#}", error.verdict(), error.cause()),
    }
}

/// What the job that did not complete asks for.
pub fn verdict(outcome: Result<Outcome, JobError>) -> Verdict {
    outcome.expect_err("it does not complete").verdict()
}
