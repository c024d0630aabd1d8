//! Somebody else's systems that take the shop's webhooks: as many as there are names, on the control port. Each checks
//! every request as the specification of Standard Webhooks tells receivers to, with code of its own, and does with the
//! good ones what it was told to.
//!
//! `POST /control/webhooks/{name}` gives a receiver its secrets and says how it behaves; `POST /webhooks/{name}` is where
//! the shop sends to; `GET /webhooks/{name}` tells what came.

mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use self::verify::verify;
use crate::answer::{On, answer, refused};
use crate::draw::draw;
use crate::fault::Endpoint;
use crate::world::event::Fact;
use crate::world::{Unrecorded, World};

/// Requests that are kept of one receiver, good ones and bad ones each.
const KEPT_MAX: usize = 1_000;
const RECEIVERS_MAX: usize = 1_000;

/// How a receiver behaves, until it is told otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Manner {
    /// Whoever has one of these may send; none: the ones from before stay.
    secrets: Vec<String>,
    /// What it answers instead of 200, without taking anything.
    status: Option<u16>,
    /// How often it does so; then it takes again. None: always.
    times: Option<u32>,
    /// Sent with a status that is a redirect.
    location: Option<String>,
    /// Real time until it answers.
    delay_ms: u64,
}

#[derive(Debug, Default)]
struct Receiver {
    manner: Manner,
    taken: VecDeque<Taken>,
    refused: VecDeque<Refused>,
    /// Requests that came, good or bad.
    requests: u64,
    /// Requests that are being answered right now, and how many were at most.
    at_once: u32,
    at_once_max: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Taken {
    id: String,
    at: Timestamp,
    /// How many signatures the request carried.
    signatures: usize,
    body: Value,
}

#[derive(Clone, Debug, Serialize)]
struct Refused {
    id: String,
    at: Timestamp,
    why: String,
}

#[derive(Clone)]
struct Desk {
    world: Arc<World>,
    receivers: Arc<Mutex<BTreeMap<String, Receiver>>>,
}

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/control/webhooks/{name}", post(tell))
        .route("/webhooks/{name}", get(told).post(receive))
        .with_state(Desk { world, receivers: Arc::default() })
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Receiver>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tell(State(desk): State<Desk>, Path(name): Path<String>, Json(manner): Json<Manner>) -> Response {
    if let Some(bad) = manner.secrets.iter().find(|secret| verify::key(secret).is_none()) {
        let why = format!("{bad} is no whsec_ and base64");
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": why }))).into_response();
    }
    let mut receivers = desk.lock();
    if receivers.len() >= RECEIVERS_MAX && !receivers.contains_key(&name) {
        return StatusCode::INSUFFICIENT_STORAGE.into_response();
    }
    let receiver = receivers.entry(name).or_default();
    let secrets = if manner.secrets.is_empty() {
        std::mem::take(&mut receiver.manner.secrets)
    } else {
        manner.secrets.clone()
    };
    receiver.manner = Manner { secrets, ..manner };
    Json(json!({ "secrets": receiver.manner.secrets.len() })).into_response()
}

async fn told(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    let receivers = desk.lock();
    match receivers.get(&name) {
        Some(receiver) => Json(json!({
            "requests": receiver.requests,
            "at_once_max": receiver.at_once_max,
            "taken": receiver.taken,
            "refused": receiver.refused,
        }))
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn receive(
    State(desk): State<Desk>,
    ConnectInfo(shears): On,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(delay) = desk.enter(&name) else { return StatusCode::NOT_FOUND.into_response() };
    // Also when the client gives up and this is dropped.
    let _leaving = Leaving { desk: &desk, name: &name };
    tokio::time::sleep(delay).await;
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let id = text("webhook-id");
    if let Some(refusal) = desk.refusal(&name) {
        return refusal;
    }
    let secrets = desk.lock().get(&name).map(|receiver| receiver.manner.secrets.clone()).unwrap_or_default();
    let now = desk.world.clock.wall();
    let verified =
        verify(&secrets, &id, &text("webhook-timestamp"), &text("webhook-signature"), &body, now.secs());
    let signatures = match verified {
        Ok(signatures) => signatures,
        Err(why) => {
            desk.keep_refused(&name, Refused { id, at: now, why: why.to_owned() });
            return (StatusCode::UNAUTHORIZED, why).into_response();
        }
    };
    let fault = desk.world.dial.ask(Endpoint::Webhook, &format!("{name}|{id}"));
    let taking = || {
        let (key, content) = (format!("{name}|{id}"), draw(0, &[&String::from_utf8_lossy(&body)], 0));
        desk.world.act(|scene| scene.record(Fact::WebhookTaken { key, content }))?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        desk.keep_taken(&name, Taken { id: id.clone(), at: desk.world.clock.now(), signatures, body });
        Ok::<_, Unrecorded>(StatusCode::NO_CONTENT.into_response())
    };
    answer(&desk.world, &shears, fault, refused, taking).await
}

impl Desk {
    /// None: there is no receiver of that name.
    fn enter(&self, name: &str) -> Option<Duration> {
        let mut receivers = self.lock();
        let receiver = receivers.get_mut(name)?;
        receiver.requests += 1;
        receiver.at_once += 1;
        receiver.at_once_max = receiver.at_once_max.max(receiver.at_once);
        Some(Duration::from_millis(receiver.manner.delay_ms))
    }

    /// What the receiver answers instead of taking it.
    fn refusal(&self, name: &str) -> Option<Response> {
        let mut receivers = self.lock();
        let manner = &mut receivers.get_mut(name)?.manner;
        let status = StatusCode::from_u16(manner.status?).ok()?;
        match &mut manner.times {
            Some(0) => return None,
            Some(times) => *times -= 1,
            None => {}
        }
        let mut answer = status.into_response();
        if let Some(location) = manner.location.as_ref().and_then(|location| location.parse().ok()) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Some(answer)
    }

    fn keep_taken(&self, name: &str, taken: Taken) {
        if let Some(receiver) = self.lock().get_mut(name) {
            keep_newest(&mut receiver.taken, taken);
        }
    }

    fn keep_refused(&self, name: &str, refused: Refused) {
        if let Some(receiver) = self.lock().get_mut(name) {
            keep_newest(&mut receiver.refused, refused);
        }
    }
}

fn keep_newest<T>(kept: &mut VecDeque<T>, newest: T) {
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(newest);
}

struct Leaving<'a> {
    desk: &'a Desk,
    name: &'a str,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(receiver) = self.desk.lock().get_mut(self.name) {
            receiver.at_once -= 1;
        }
    }
}
