//! The control port: no real system, but the hand of whoever runs the sandbox. Here customers check out, the truth is
//! told and the fault dial is turned.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::Timestamp;

use crate::fault::Faults;
use crate::haier;
use crate::plants::{self, Plant, Refusal};
use crate::truth::{self, Truth};
use crate::world::event::{Fact, Mail};
use crate::world::{Unrecorded, World};

const PAYMENTS_MAX: usize = 1_000;
const BODY_BYTES_MAX: usize = 1024 * 1024;
const MAILS_DEFAULT: usize = 100;
/// facts: wechat-pay.md 5.
const OUT_TRADE_NO_CHARS: std::ops::RangeInclusive<usize> = 6..=32;

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(haier::control())
        .route("/control/payments", post(payments))
        .route("/control/faults", post(set_faults).get(faults))
        .route("/control/plants", post(plant))
        .route("/truth", get(truth_told))
        .route("/mails", get(mails))
        .route("/livez", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(world)
}

/// A customer checks out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkout {
    out_trade_no: String,
    total_fen: i64,
    openid: String,
    /// The shop's time until the customer pays; `null` is never.
    pays_after_s: Option<u64>,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(given: OneOrMany<T>) -> Self {
        match given {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// Idempotent by `out_trade_no`: who checks out again with the same number changes nothing. A payment that the shop
/// placed itself waits for its customer to check out.
async fn payments(State(world): State<Arc<World>>, Json(asked): Json<OneOrMany<Checkout>>) -> Response {
    let checkouts: Vec<Checkout> = asked.into();
    if checkouts.len() > PAYMENTS_MAX {
        return wrong(&format!("at most {PAYMENTS_MAX} payments at a time"));
    }
    if let Some(why) = checkouts.iter().find_map(Checkout::fault) {
        return wrong(&why);
    }
    let offered = world.act(|scene| {
        let (mut offered, now) = (0, scene.now());
        for checkout in checkouts {
            let fact = match scene.state().payments.get(&checkout.out_trade_no) {
                None => checkout.fact(now),
                Some(payment) if payment.prepaid => checkout.came(now),
                Some(_) => continue,
            };
            scene.record(fact)?;
            offered += 1;
        }
        Ok::<_, Unrecorded>(offered)
    });
    match offered {
        Ok(offered) => Json(json!({"offered": offered})).into_response(),
        Err(unrecorded) => unrecorded.into_response(),
    }
}

impl Checkout {
    fn fault(&self) -> Option<String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-*".contains(c);
        let number = &self.out_trade_no;
        if !OUT_TRADE_NO_CHARS.contains(&number.len()) || !number.chars().all(is_allowed) {
            return Some(format!("out_trade_no {number:?}: 6 to 32 digits, letters, _, - or *"));
        }
        if self.total_fen < 1 || self.openid.is_empty() {
            return Some(format!("payment {number}: total_fen is at least 1 and openid is not empty"));
        }
        None
    }

    fn pays_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.pays_after_s.map(|secs| now + Duration::from_secs(secs))
    }

    fn came(self, now: Timestamp) -> Fact {
        Fact::CustomerCame { pays_at: self.pays_at(now), out_trade_no: self.out_trade_no }
    }

    fn fact(self, now: Timestamp) -> Fact {
        Fact::PaymentOffered {
            pays_at: self.pays_at(now),
            prepaid: false,
            out_trade_no: self.out_trade_no,
            total_fen: self.total_fen,
            openid: self.openid,
            description: self.description,
        }
    }
}

/// One plant or many, all or none; what was asked for before is not planted again.
async fn plant(State(world): State<Arc<World>>, Json(asked): Json<OneOrMany<Plant>>) -> Response {
    let asked: Vec<Plant> = asked.into();
    match world.act(|scene| plants::ask(scene, &asked)) {
        Ok(new) => Json(json!({"planted": new})).into_response(),
        Err(Refusal::Unrecorded) => Unrecorded.into_response(),
        Err(refusal) => wrong(&refusal.to_string()),
    }
}

fn wrong(why: &str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": why}))).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TruthAsked {
    keys: bool,
}

async fn truth_told(State(world): State<Arc<World>>, Query(asked): Query<TruthAsked>) -> Json<Truth> {
    Json(world.look(|state| if asked.keys { truth::with_keys(state) } else { truth::totals(state) }))
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct MailsAsked {
    limit: usize,
}

impl Default for MailsAsked {
    fn default() -> Self {
        Self { limit: MAILS_DEFAULT }
    }
}

#[derive(Serialize)]
struct MailTold {
    taken_at: Timestamp,
    #[serde(flatten)]
    mail: Mail,
}

/// The newest first.
async fn mails(State(world): State<Arc<World>>, Query(asked): Query<MailsAsked>) -> Json<Vec<MailTold>> {
    Json(world.look(|state| {
        state
            .mails
            .iter()
            .rev()
            .take(asked.limit)
            .map(|(taken_at, mail)| MailTold { taken_at: *taken_at, mail: mail.clone() })
            .collect()
    }))
}

#[derive(Debug, Serialize, Deserialize)]
struct Dialled {
    faults: Faults,
}

async fn set_faults(State(world): State<Arc<World>>, Json(dialled): Json<Dialled>) -> Json<Dialled> {
    world.dial.set(dialled.faults);
    Json(dialled)
}

async fn faults(State(world): State<Arc<World>>) -> Response {
    Json(json!({"faults": world.dial.faults(), "given": world.dial.given()})).into_response()
}
