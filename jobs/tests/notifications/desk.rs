//! A shop whose mail and webhooks go to the sandbox, and whose jobs run when a test says so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::context::AttemptFacts;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, End, FaultCause, JobFault, Settlement, Store};
use windlass_engine::{
    Clock, Envelope, Job, JobContext, JobError, JobId, Outcome, State, Timestamp, Verdict,
};
use windlass_jobs::diagnostics::Noop;
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::{MiniProgram, MiniProgramSettings};
use windlass_jobs::notifications::mail::{MailSettings, MailTls, Mailer};
use windlass_jobs::notifications::webhooks::{Endpoint, NewEndpoint, SigningSecret, create};
use windlass_jobs::notifications::{Notifier, Templates, ask_dead_jobs};
use windlass_jobs::outside::{Http, HttpSettings, Secret};
use windlass_jobs::payments::wechat_pay::{WechatPay, WechatPaySettings};
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_jobs::suppliers::ylh::{CallbackKeys, Ylh, YlhSettings};
use windlass_jobs::token::Tokens;
use windlass_jobs::{Settings, Shop};
use windlass_sandbox::{Config, Faults, Sandbox, credentials};
use windlass_servers::Postgres;

/// 2026-01-05 12:00 in Beijing.
pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);
pub const BOSS: &str = "boss@shop.example";
/// Wall time that a receiver or the mail server has.
const PATIENCE: Duration = Duration::from_millis(1_500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

pub struct Desk {
    pub shop: Shop,
    pub clock: Clock,
    pub sandbox: Sandbox,
    pub store: Arc<SqliteStore>,
    http: reqwest::Client,
    database: Option<String>,
    _folder: tempfile::TempDir,
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
        let folder = tempfile::tempdir().unwrap();
        let database = (engine == Engine::Postgres).then(Postgres::fresh_database);
        let url = database
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", folder.path().join("ledger.db").display()));
        let clock = Clock::by_hand(NOON);
        let mut config = Config { faults, no_answer: PATIENCE * 2, ..Config::new(clock.clone(), 5) };
        sandbox(&mut config);
        let sandbox = windlass_sandbox::start(config).await.unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone()).unwrap());
        let ledger = Ledger::open(&url, &clock).await.unwrap();
        let mut decided = Settings {
            mail_from: "Shop <shop@shop.example>".to_owned(),
            summary_to: vec![BOSS.to_owned()],
            webhook_private_addresses: true,
            ..Settings::default()
        };
        settings(&mut decided);
        let shop = shop(ledger, &clock, &sandbox, store.clone(), decided);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { shop, clock, sandbox, store, http, database, _folder: folder }
    }

    /// One attempt, the first.
    pub async fn run<J: Job<Context = Shop>>(&self, job: J) -> Result<Outcome, JobError> {
        self.attempt(job, 1).await
    }

    pub async fn attempt<J: Job<Context = Shop>>(&self, job: J, attempt: u32) -> Result<Outcome, JobError> {
        let facts = AttemptFacts {
            id: JobId::new(self.clock.now()),
            queue: J::QUEUE.into(),
            attempt,
            attempts_max: J::ATTEMPTS_MAX,
            due_at: self.clock.now(),
            created_at: self.clock.now(),
            deadline_at: None,
        };
        let envelope = Envelope::new(J::KIND, serde_json::value::to_raw_value(&json!({})).unwrap());
        let context = JobContext::new(facts, envelope, self.clock.clone());
        job.run(&self.shop, &context).await
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

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(url) = &self.database {
            Postgres::drop_database(url);
        }
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

fn shop(
    ledger: Ledger,
    clock: &Clock,
    sandbox: &Sandbox,
    store: Arc<SqliteStore>,
    settings: Settings,
) -> Shop {
    let out = credentials();
    let http = Http::new(&HttpSettings::default(), clock.clone()).unwrap();
    let tokens = Tokens::new(Arc::new(LedgerShelf::new(ledger.clone())), clock.clone(), "test".to_owned());
    let pay = WechatPaySettings {
        merchant_serial_no: out.wechat_pay.merchant_serial.to_owned(),
        merchant_key_pem: Secret::new(out.wechat_pay.merchant_private_key_pem),
        api_v3_key: Secret::new(out.wechat_pay.api_v3_key),
        ..WechatPaySettings::default()
    };
    let mail = MailSettings {
        host: sandbox.addresses().smtp.ip().to_string(),
        port: sandbox.addresses().smtp.port(),
        tls: MailTls::None,
        credentials: Some((out.smtp.user.to_owned(), Secret::new(out.smtp.password))),
        step_timeout: PATIENCE,
        ..MailSettings::default()
    };
    let mut post = settings.webhook_post();
    post.timeout = PATIENCE;
    let notifier =
        Notifier::new(Templates::load(None).unwrap(), &Secret::new("a key for tests"), post, clock.clone());
    Shop {
        haier: Haier::new(http.clone(), tokens.clone(), HaierSettings::default()),
        ylh: Ylh::new(http.clone(), tokens.clone(), YlhSettings::default()),
        ylh_callback_keys: CallbackKeys {
            app_key: out.ylh.callback_app_key.to_owned(),
            secrets: vec![Secret::new(out.ylh.callback_secret)],
        },
        wechat_pay: WechatPay::new(http.clone(), pay).unwrap(),
        mini_program: MiniProgram::new(http, tokens, MiniProgramSettings::default()),
        mailer: Mailer::new(mail, clock.clone()),
        notifier: notifier.unwrap().asking_dead_jobs(ask_dead_jobs(store)),
        settings,
        clock: clock.clone(),
        ledger,
    }
}
