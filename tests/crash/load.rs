//! What customers and others hand in meanwhile: orders, and jobs that try the platform. Whoever gets no answer, or
//! one that promises nothing, sends the same again under the same id.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::http;
use crate::town::Town;
use crate::wait::within;

/// Callers at once.
const CALLERS: usize = 6;
const WATCH_EVERY: Duration = Duration::from_millis(500);
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Whoever is refused for so long is refused for good.
const TRY_MAX: Duration = Duration::from_secs(90);

/// How much is handed in, spread over how long.
#[derive(Clone, Copy)]
pub struct Amount {
    pub orders: usize,
    pub jobs: usize,
    pub over: Duration,
}

/// The status and the answer of a job at its end, by its id.
pub type Seen = BTreeMap<String, (u16, Value)>;

/// What was promised.
#[derive(Clone, Default)]
pub struct Accepted {
    pub orders: Vec<String>,
    /// Ids of the jobs of orders; the ledger has them.
    pub order_jobs: Vec<String>,
    /// Ids of jobs that only the carrier has, and when the call began that was accepted.
    pub jobs: Vec<(String, Instant)>,
    /// Jobs that were seen at their end, with the answer then: a completed one is forgotten after a while.
    pub seen: Seen,
    /// Of earlier loads.
    pub jobs_before: usize,
    /// How often each answer came; `none`: the call broke.
    pub answers: BTreeMap<String, u64>,
    /// Refusals that sending again does not heal.
    pub faults: Vec<String>,
}

pub struct Load {
    desk: Arc<Desk>,
    callers: Vec<JoinHandle<()>>,
    watcher: JoinHandle<()>,
}

struct Desk {
    control: String,
    doors: Vec<String>,
    items: Vec<Item>,
    next: AtomicUsize,
    is_closed: AtomicBool,
    began: Instant,
    over: Duration,
    accepted: Mutex<Accepted>,
}

enum Item {
    Order { no: String, product: &'static str, pays_after_s: Option<u64> },
    Cancel { no: String, delay_s: u64 },
    Job { id: String, kind: &'static str, payload: Value, delay_s: u64 },
}

impl Load {
    /// Begins to hand in. `series` is part of every id and number.
    pub fn begin(town: &mut Town, series: &str, amount: Amount) -> Self {
        let mut rng = town.rng.fork();
        let mut items: Vec<_> = (0..amount.orders).map(|n| order(series, n, &mut rng)).collect();
        items.extend((0..amount.jobs).map(|n| job(series, n, &mut rng)));
        rng.shuffle(&mut items);
        // Whoever cancels has seen the order.
        let cancels = (0..amount.orders).filter(|n| n % 8 == 3);
        items.extend(cancels.map(|n| Item::Cancel { no: no(series, n), delay_s: rng.u64(0..9_000) }));
        let desk = Arc::new(Desk {
            control: town.control.clone(),
            doors: town.doors(),
            items,
            next: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            began: Instant::now(),
            over: amount.over,
            accepted: Mutex::default(),
        });
        let callers = (0..CALLERS).map(|_| {
            let (desk, mut rng) = (desk.clone(), rng.fork());
            std::thread::spawn(move || while desk.hand_in_next(&mut rng) {})
        });
        let callers = callers.collect();
        let watcher = std::thread::spawn({
            let desk = desk.clone();
            move || desk.watch()
        });
        Self { callers, watcher, desk }
    }

    /// How often an answer came so far.
    pub fn answered(&self, status: &str) -> u64 {
        self.desk.accepted.lock().unwrap().answers.get(status).copied().unwrap_or(0)
    }

    pub fn is_over(&self) -> bool {
        self.callers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until everything was handed in.
    pub fn end(self) -> Accepted {
        for caller in self.callers {
            caller.join().unwrap();
        }
        self.desk.is_closed.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap();
        std::mem::take(&mut self.desk.accepted.lock().unwrap())
    }
}

impl Accepted {
    /// Ids of the jobs that were not seen at their end yet.
    pub fn unseen(&self) -> Vec<String> {
        let ids = self.order_jobs.iter().chain(self.jobs.iter().map(|(id, _)| id));
        ids.filter(|id| !self.seen.contains_key(*id)).cloned().collect()
    }

    /// Takes the place of an earlier load that was judged: its orders stay, its jobs may be forgotten by now.
    pub fn after(&mut self, earlier: Self) {
        self.orders.extend(earlier.orders);
        self.jobs_before = earlier.jobs_before + earlier.jobs.len();
        for (answer, n) in earlier.answers {
            *self.answers.entry(answer).or_default() += n;
        }
    }
}

const OVER: [&str; 3] = ["completed", "dead", "cancelled"];

/// What is told of a job that is over; None: it is not, or nobody can tell.
pub fn end_of(door: &str, id: &str) -> Option<(u16, Value)> {
    let told = http::get(door, &format!("/v1/jobs/{id}")).ok()?;
    (told.0 == 200 && OVER.contains(&told.1["state"].as_str()?)).then_some(told)
}

fn no(series: &str, n: usize) -> String {
    format!("SO-{series}-{n:04}")
}

fn order(series: &str, n: usize, rng: &mut Rng) -> Item {
    Item::Order {
        no: no(series, n),
        // The supplier refuses some.
        product: if n % 9 == 4 { "FAIL00001" } else { "FAKE00001" },
        pays_after_s: (n % 10 != 7).then(|| rng.u64(5..900)),
    }
}

fn job(series: &str, n: usize, rng: &mut Rng) -> Item {
    let (kind, payload) = match rng.u8(..10) {
        0..4 => ("sleep", json!({"ms": rng.u64(1..1_200)})),
        4..7 => ("flaky", json!({"fail_attempts": rng.u32(1..4)})),
        _ => ("noop", json!({})),
    };
    let delay_s = if rng.u8(..5) == 0 { rng.u64(1..7_200) } else { 0 };
    Item::Job { id: format!("try-{series}-{n}"), kind, payload, delay_s }
}

impl Desk {
    /// False: there is nothing more.
    fn hand_in_next(&self, rng: &mut Rng) -> bool {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = self.items.get(nth) else { return false };
        let at = self.began + self.over.mul_f64(nth as f64 / self.items.len() as f64);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        match item {
            Item::Order { no, product, pays_after_s } => {
                let (order, openid) = order_of(no, product);
                let checkout = json!({
                    "out_trade_no": no, "total_fen": 129_999, "openid": openid, "pays_after_s": pays_after_s,
                });
                let till = [self.control.clone()];
                if self.send(&till, "/control/payments", &checkout, rng).is_none() {
                    return true;
                }
                let id = format!("fulfil_order:{no}");
                let job = json!({"kind": "fulfil_order", "id": id, "payload": {"order": order}});
                if self.send(&self.doors, "/v1/jobs", &job, rng).is_some() {
                    let mut accepted = self.accepted.lock().unwrap();
                    accepted.orders.push(no.clone());
                    accepted.order_jobs.push(id);
                }
            }
            Item::Cancel { no, delay_s } => {
                if !self.is_recorded(no) {
                    let fault = format!("order {no} is not recorded although it was handed in");
                    self.accepted.lock().unwrap().faults.push(fault);
                    return true;
                }
                let id = format!("cancel_order:{no}");
                let payload = json!({"order_no": no, "reason": "the customer changed their mind"});
                let job =
                    json!({"kind": "cancel_order", "id": id, "payload": payload, "delay_seconds": delay_s});
                if self.send(&self.doors, "/v1/jobs", &job, rng).is_some() {
                    self.accepted.lock().unwrap().order_jobs.push(id);
                }
            }
            Item::Job { id, kind, payload, delay_s } => {
                let mut job = json!({"kind": kind, "id": id, "payload": payload});
                if *delay_s > 0 {
                    job["delay_seconds"] = json!(delay_s);
                }
                if let Some(at) = self.send(&self.doors, "/v1/jobs", &job, rng) {
                    self.accepted.lock().unwrap().jobs.push((id.clone(), at));
                }
            }
        }
        true
    }

    /// Looks for jobs that have ended until the desk closes.
    fn watch(&self) {
        while !self.is_closed.load(Ordering::Relaxed) {
            let unseen = self.accepted.lock().unwrap().unseen();
            for id in unseen {
                if let Some(end) = end_of(&self.doors[0], &id) {
                    self.accepted.lock().unwrap().seen.insert(id, end);
                }
            }
            std::thread::sleep(WATCH_EVERY);
        }
    }

    /// Waits until the front door shows the order.
    fn is_recorded(&self, no: &str) -> bool {
        let path = format!("/v1/orders/{no}");
        let shown = || self.doors.iter().any(|door| matches!(http::get(door, &path), Ok((200, _))));
        within(TRY_MAX, || shown().then_some(())).is_some()
    }

    /// Sends until it is accepted, by a call that began when the answer says; None: it never will be.
    fn send(&self, to: &[String], path: &str, body: &Value, rng: &mut Rng) -> Option<Instant> {
        let began = Instant::now();
        loop {
            let sent = Instant::now();
            let at = &to[rng.usize(..to.len())];
            let answer = http::post(at, path, body);
            let status = answer.as_ref().map_or("none".to_owned(), |(status, _)| status.to_string());
            *self.accepted.lock().unwrap().answers.entry(status).or_default() += 1;
            let comes_back = match &answer {
                Ok((200..300, _)) => return Some(sent),
                Ok((status, _)) => *status == 429 || *status >= 500,
                Err(_) => true,
            };
            if !comes_back || began.elapsed() > TRY_MAX {
                self.accepted.lock().unwrap().faults.push(format!("{at}{path} refused {body}: {answer:?}"));
                return None;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
    }
}

fn order_of(no: &str, product: &str) -> (Value, String) {
    let openid = format!("oCRASH-{no}");
    let order = json!({
        "no": no, "total_fen": 129_999,
        "customer": {
            "openid": openid, "name": "测试", "mobile": "13000000001",
            "email": format!("{}@customers.example", no.to_lowercase()),
        },
        "address": {
            "province": "江苏省", "city": "南京市", "area": "鼓楼区", "detail": "测试路 1 号", "county_code": "320106",
        },
        "lines": [{"product_code": product, "name": "电热水器 60L", "quantity": 1, "unit_price_fen": 129_999}],
    });
    (order, openid)
}
