//! The shop's side of the wire: a sandbox with a clock that is set by hand, and somebody who takes its callbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use windlass_engine::{Clock, Timestamp};
use windlass_sandbox::{Addresses, Callbacks, Config, Credentials, Sandbox, Truth, credentials};

/// 2026-01-05 12:00 in Beijing.
pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Shop {
    pub clock: Clock,
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    pub desk: Desk,
    pub is: Credentials,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::by_hand(NOON);
        let mut config = Config::new(clock.clone(), 7);
        let desk = Desk::open().await;
        config.callbacks = desk.callbacks();
        change(&mut config);
        let clock = config.clock.clone();
        let sandbox = windlass_sandbox::start(config).await.unwrap();
        Self { clock, sandbox, http: client(), desk, is: credentials() }
    }

    pub fn at(&self) -> Addresses {
        self.sandbox.addresses().clone()
    }

    /// The customer checks out and pays after `pays_after_s`, if at all.
    pub async fn check_out(&self, out_trade_no: &str, total_fen: i64, pays_after_s: Option<u64>) {
        let body = json!({"out_trade_no": out_trade_no, "total_fen": total_fen, "openid": "oTEST", "pays_after_s": pays_after_s});
        let url = format!("{}/control/payments", self.at().control);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// The same, with the payment made and its callback taken.
    pub async fn be_paid(&self, out_trade_no: &str, total_fen: i64) {
        self.check_out(out_trade_no, total_fen, Some(0)).await;
        self.until(|truth| truth.keys.as_ref().unwrap().payments[out_trade_no].paid_at.is_some()).await;
    }

    pub async fn truth(&self) -> Truth {
        self.sandbox.truth_with_keys().await
    }

    /// Waits until the truth is so.
    pub async fn until(&self, is_so: impl Fn(&Truth) -> bool) -> Truth {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let truth = self.truth().await;
                if is_so(&truth) {
                    return truth;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("the truth never came to be so")
    }

    /// Moves the clock on in steps until the truth is so: what follows on what happens late is due later, too.
    pub async fn in_time(&self, step: Duration, is_so: impl Fn(&Truth) -> bool) -> Truth {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let truth = self.truth().await;
                if is_so(&truth) {
                    return truth;
                }
                self.clock.advance(step);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the truth never came to be so")
    }

    pub async fn effect(&self, name: &str) -> (u64, u64) {
        let truth = self.truth().await;
        let effect = truth.effects.iter().find(|effect| effect.effect == name).unwrap();
        (effect.keys, effect.doubled)
    }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap()
}

#[derive(Clone, Debug)]
pub struct Taken {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Takes callbacks on a port of its own and answers as it is told.
#[derive(Clone)]
pub struct Desk {
    url: String,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    taken: Vec<Taken>,
    refusals_left: u32,
}

impl Desk {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let desk = Self { url, inner: Arc::default() };
        let router = Router::new()
            .route("/ylh", post(take))
            .route("/pay", post(take))
            .route("/refund", post(take))
            .with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        desk
    }

    pub fn callbacks(&self) -> Callbacks {
        let to = |path: &str| Some(format!("{}{path}", self.url));
        Callbacks { ylh: to("/ylh"), wechat_payment: to("/pay"), wechat_refund: to("/refund") }
    }

    /// Refuses the next callbacks.
    pub fn refuse(&self, times: u32) {
        self.inner.lock().unwrap().refusals_left = times;
    }

    pub fn taken(&self, path: &str) -> Vec<Taken> {
        self.inner.lock().unwrap().taken.iter().filter(|taken| taken.path == path).cloned().collect()
    }

    /// Waits until so many callbacks came to `path`.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Taken> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let taken = self.taken(path);
                if taken.len() >= count {
                    return taken;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("the callbacks never came")
    }
}

async fn take(State(desk): State<Desk>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = desk.inner.lock().unwrap();
    inner.taken.push(Taken { path: uri.path().to_owned(), headers, body: body.to_vec() });
    if inner.refusals_left > 0 {
        inner.refusals_left -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    axum::Json(
        json!({"success": true, "code": "success", "description": "成功", "timeStamp": "20260105133956",
        "data": {"statusCode": 200, "message": "成功", "platformOrderNo": "P"}}),
    )
    .into_response()
}

pub async fn json_of(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}
