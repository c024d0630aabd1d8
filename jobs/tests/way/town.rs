//! A shop in its town: the house, the outside world, a clock that runs fast, and the customers.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::store::{Filter, Store};
use windlass_engine::{Clock, Job, JobId, NewJob, State};
use windlass_jobs::Settings;
use windlass_jobs::findings::{Finding, FindingState, FindingType, findings_of_order};
use windlass_jobs::orders::{
    Address, CancelOrder, Customer, FulfilOrder, Order, OrderLine, OrderState, OrderView, Tally, order_view,
    tally,
};
use windlass_sandbox::{Callbacks, Config, Faults, Pace, Sandbox, Span, Truth, TruthKeys};
use windlass_testing::wait::{WAIT_MAX, within};
use windlass_testing::{Engine, NOON, Place};

use crate::house::{Ground, House, settings};

/// Shop's seconds in a second, of a plan that does not say.
const SPEED: f64 = 600.0;

pub struct Town {
    pub ground: Ground,
    pub house: Option<House>,
    pub sandbox: Sandbox,
    http: reqwest::Client,
    _place: Place,
}

/// What a town is made with.
pub struct Plan {
    pub seed: u64,
    pub faults: Faults,
    pub settings: Settings,
    pub pace: Pace,
    pub patience: Duration,
    /// Shop's seconds in a second.
    pub speed: f64,
}

impl Plan {
    pub fn calm() -> Self {
        Self {
            seed: 1,
            faults: Faults::None,
            settings: settings(),
            pace: Pace {
                confirm: Span::minutes(1, 2),
                ship: Span::minutes(2, 4),
                deliver: Span::minutes(3, 6),
                cancel_answer: Span::minutes(1, 2),
                refund: Span::minutes(1, 2),
                late_callback: Span::minutes(2, 5),
                ..Pace::default()
            },
            patience: Duration::from_secs(5),
            speed: SPEED,
        }
    }

    pub fn storm(seed: u64) -> Self {
        Self { seed, faults: Faults::Storm, patience: Duration::from_millis(400), ..Self::calm() }
    }
}

impl Town {
    pub async fn calm(engine: Engine) -> Self {
        Self::build(engine, Plan::calm()).await
    }

    pub async fn build(engine: Engine, plan: Plan) -> Self {
        let place = Place::with(engine, Clock::scaled(NOON, plan.speed));
        let clock = place.clock.clone();
        let config = Config {
            faults: plan.faults,
            pace: plan.pace,
            no_answer: plan.patience + Duration::from_millis(100),
            ..Config::new(clock.clone(), plan.seed)
        };
        let sandbox = windlass_sandbox::start(config).await.expect("the outside world");
        let ground = Ground {
            folder: place.folder().to_owned(),
            ledger: place.url(),
            clock,
            addresses: sandbox.addresses().clone(),
            settings: plan.settings,
            patience: plan.patience,
        };
        let house = House::build(&ground).await;
        let http = reqwest::Client::new();
        let town = Self { ground, house: Some(house), sandbox, http, _place: place };
        town.point_callbacks();
        town
    }

    pub fn house(&self) -> &House {
        self.house.as_ref().expect("the house stands")
    }

    fn point_callbacks(&self) {
        let url = |path: &str| Some(format!("http://{}/{path}", self.house().door));
        self.sandbox.call_back_to(Callbacks {
            ylh: url("ylh"),
            wechat_payment: url("payment"),
            wechat_refund: url("refund"),
        });
    }

    /// The callbacks go nowhere from now on.
    pub fn deafen(&self) {
        self.sandbox.call_back_to(Callbacks::default());
    }

    pub fn hear_again(&self) {
        self.point_callbacks();
    }

    /// Kills the process, and starts it anew on what it left.
    pub async fn crash(&mut self) {
        if let Some(house) = self.house.take() {
            house.fall();
        }
        self.house = Some(House::build(&self.ground).await);
        self.point_callbacks();
    }

    /// Kills the process and takes its queue away.
    pub async fn wipe_carrier(&mut self) {
        if let Some(house) = self.house.take() {
            house.fall();
        }
        for file in ["carrier.sqlite", "carrier.sqlite-wal", "carrier.sqlite-shm"] {
            let _ = std::fs::remove_file(self.ground.folder.join(file));
        }
        self.house = Some(House::build(&self.ground).await);
        self.point_callbacks();
    }

    /// The customer orders and goes to the till; None: never pays.
    pub async fn order(&self, no: &str, products: &[&str], pays_after_s: Option<u64>) {
        let order = order(no, products);
        self.check_out(&order, pays_after_s).await;
        self.house().accept(vec![fulfil(&order, &self.ground.clock)]).await;
    }

    pub async fn check_out(&self, order: &Order, pays_after_s: Option<u64>) {
        let body = json!({ "out_trade_no": order.no, "total_fen": order.total_fen,
            "openid": order.customer.openid, "pays_after_s": pays_after_s });
        let url = format!("{}/control/payments", self.ground.addresses.control);
        self.post(&url, &body).await;
    }

    /// Says something to the sandbox's control port.
    pub async fn post(&self, url: &str, body: &Value) {
        let answer = self.http.post(url).json(body).send().await.expect("the sandbox answers");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    pub async fn cancel(&self, no: &str) {
        let job =
            CancelOrder { order_no: no.to_owned(), reason: "不想要了".to_owned(), only_if_unpaid: false };
        let job = NewJob::of(&job, &self.ground.clock);
        self.house().accept(vec![job]).await;
    }

    pub async fn view(&self, no: &str) -> Option<OrderView> {
        let (ledger, no) = (self.house().shop.ledger.clone(), no.to_owned());
        self.house().on_runtime(async move { order_view(&ledger, &no).await.expect("read") }).await
    }

    pub async fn tally(&self) -> Tally {
        let ledger = self.house().shop.ledger.clone();
        self.house().on_runtime(async move { tally(&ledger).await.expect("read") }).await
    }

    /// Waits until the order is in the state.
    pub async fn until(&self, no: &str, state: OrderState) -> OrderView {
        self.until_view(no, state.as_str(), |view| view.order.state == state).await
    }

    /// Waits until what is known of the order is as wanted.
    pub async fn until_view(&self, no: &str, what: &str, wanted: impl Fn(&OrderView) -> bool) -> OrderView {
        let mut last = None;
        let found = self
            .look(async || {
                last = self.view(no).await;
                last.clone().filter(|view| wanted(view))
            })
            .await;
        match found {
            Some(view) => view,
            None => panic!("{no} never came to {what}: {}\n{}", show(&last), self.dead().await),
        }
    }

    /// Waits until so many orders ended, and everything that hangs on them.
    pub async fn until_ended(&self, orders: i64) -> Tally {
        let mut last = Tally::default();
        let found = self
            .look(async || {
                last = self.tally().await;
                has_ended(&last, orders).then(|| last.clone())
            })
            .await;
        match found {
            Some(tally) => tally,
            None => panic!("not all ended: {last:#?}\n{}", self.dead().await),
        }
    }

    pub async fn look<T>(&self, look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        within(WAIT_MAX, look).await
    }

    /// Waits for so many more runs of a kind that the schedule starts.
    pub async fn runs(&self, kind: &str, more: usize) {
        let filter = Filter {
            kind: Some(kind.to_owned()),
            state: Some(State::Completed),
            limit: 1_000,
            ..Filter::default()
        };
        let runs = async || self.house().store.list(filter.clone()).await.expect("listed").jobs.len();
        let wanted = runs().await + more;
        let found = self.look(async || (runs().await >= wanted).then_some(())).await;
        assert!(found.is_some(), "{kind} does not run any more: {}", self.dead().await);
    }

    /// Writes into the ledger behind the shop's back.
    pub async fn write(&self, sql: &str) {
        let (ledger, sql) = (self.house().shop.ledger.clone(), sqlx::AssertSqlSafe(sql.to_owned()));
        let write = async move {
            let mut tx = ledger.begin().await.expect("begun");
            sqlx::query(sql).execute(tx.conn()).await.expect("written");
            tx.commit().await.expect("committed");
        };
        self.house().on_runtime(write).await;
    }

    pub async fn truth(&self) -> (Truth, TruthKeys) {
        let truth = self.sandbox.truth_with_keys().await;
        let keys = truth.keys.clone().expect("asked for");
        (truth, keys)
    }

    /// What ended badly, for whoever reads a failed test.
    pub async fn dead(&self) -> String {
        let mut text = String::new();
        for job in self.house().dead_jobs().await {
            let fault = job.faults.last().map(|fault| fault.message.clone()).unwrap_or_default();
            text.push_str(&format!("dead: {} {fault}\n", job.id));
        }
        text
    }

    /// The cases of an order, the oldest first.
    pub async fn findings(&self, no: &str) -> Vec<Finding> {
        let (ledger, no) = (self.house().shop.ledger.clone(), no.to_owned());
        let read = async move { findings_of_order(&ledger, &no).await.expect("read") };
        self.house().on_runtime(read).await
    }

    /// Waits until the order has a case of that type and state.
    pub async fn until_finding(&self, no: &str, kind: FindingType, state: FindingState) -> Finding {
        let mut last = Vec::new();
        let found = self
            .look(async || {
                last = self.findings(no).await;
                last.iter().find(|found| found.kind == kind && found.state == state).cloned()
            })
            .await;
        found.unwrap_or_else(|| panic!("{no} has no {} that is {}: {last:#?}", kind.as_str(), state.as_str()))
    }

    /// Has a job run and answers its result.
    pub async fn result_of<J: Job>(&self, job: &J) -> Value {
        let mut new = NewJob::of(job, &self.ground.clock);
        // The one before may be over and not cleared away yet.
        new.unique = None;
        let id = new.id.clone();
        self.house().accept(vec![new]).await;
        let store = self.house().store.clone();
        let ended = self
            .look(async || {
                let view = store.get(&id).await.expect("read");
                view.filter(|view| view.state == State::Completed)
            })
            .await;
        let Some(view) = ended else { panic!("{} never ended: {}", J::KIND, self.dead().await) };
        view.result.expect("a result")
    }
}

fn has_ended(tally: &Tally, orders: i64) -> bool {
    let of = |map: &std::collections::BTreeMap<String, i64>, states: &[&str]| -> i64 {
        states.iter().filter_map(|state| map.get(*state)).sum()
    };
    of(&tally.orders, &["completed", "cancelled", "refused"]) == orders
        && of(&tally.refunds, &["requested", "accepted"]) == 0
        && of(&tally.uploads, &["wanted"]) == 0
        && of(&tally.notifications, &["queued"]) == 0
}

fn show(view: &Option<OrderView>) -> String {
    let Some(view) = view else { return "it is not in the ledger".to_owned() };
    let mut text = format!("{} ({})\n", view.order.state, view.order.reason);
    for event in &view.events {
        let data = event.data.as_ref().map(Value::to_string).unwrap_or_default();
        text.push_str(&format!("  {} {} {} {data}\n", event.at, event.kind, event.text));
    }
    text
}

pub fn fulfil(order: &Order, clock: &Clock) -> NewJob {
    NewJob::of(&FulfilOrder { order: order.clone() }, clock).id(JobId::derived(&["fulfil_order", &order.no]))
}

pub fn order(no: &str, products: &[&str]) -> Order {
    let customer = Customer {
        openid: format!("openid-{no}"),
        name: "测试".to_owned(),
        mobile: "13000000001".to_owned(),
        email: Some(format!("{}@example.com", no.to_lowercase())),
    };
    let address = Address {
        province: "江苏省".to_owned(),
        city: "南京市".to_owned(),
        area: "鼓楼区".to_owned(),
        town: None,
        detail: "测试路1号".to_owned(),
        county_code: "320106".to_owned(),
    };
    let line = |(n, code): (usize, &&str)| OrderLine {
        product_code: (*code).to_owned(),
        name: format!("商品{code}"),
        quantity: n as i64 + 1,
        unit_price_fen: 129_999,
        discount_fen: 10_000,
    };
    Order::new(no, customer, address, products.iter().enumerate().map(line).collect()).expect("an order")
}
