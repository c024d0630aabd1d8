//! Effects on the outside, and what a person found out about those in doubt.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_jobs::effect::{EFFECT_ROWS_MAX, EffectOutcome, EffectState, effects, settle_effect};

use super::Door;
use super::body::{Named, Params};
use super::business::tell_times;
use super::by_hand::{Decided, by, decided, not_done};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page of effects when the caller does not say.
const EFFECT_ROWS: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichEffects {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/effects`: what was done to the outside, the oldest first. `?state=in_doubt` is what people must see.
pub async fn list(
    Given(door): Given<Door>,
    Params(which): Params<WhichEffects>,
) -> Result<Json<Value>, Problem> {
    let mut faults = Vec::new();
    let state = which.state.as_deref().and_then(|name| {
        let state = EffectState::parse(name);
        if state.is_none() {
            faults.push(Fault::of("state", "must be one of intended, done, refused, in_doubt"));
        }
        state
    });
    let limit = which.limit.unwrap_or(EFFECT_ROWS);
    if !(1..=EFFECT_ROWS_MAX).contains(&limit) {
        faults.push(Fault::of("limit", format!("must be between 1 and {EFFECT_ROWS_MAX}")));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
    }
    let page = effects(&door.ledger, state, limit, which.cursor.as_deref()).await?;
    let mut told = json!(page);
    tell_times(&mut told);
    Ok(Json(told))
}

/// `POST /v1/effects/{key}/settle` with `{outcome: done|refused|never_happened, reason}`.
pub async fn settle(
    Given(door): Given<Door>,
    caller: Caller,
    Named(key): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Decided { what, reason } = decided::<EffectOutcome>(&headers, body, "outcome").await?;
    let who = caller.who();
    settle_effect(&door.ledger, &key, what, by(&who, &reason)).await.map_err(not_done(Kind::NoSuchEffect))?;
    Ok(Json(json!({ "key": key, "outcome": what })))
}
