//! Refunds, disputed payments and refused uploads: what people look at, and what they decide.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_jobs::orders::{UploadOutcome, settle_upload};
use windlass_jobs::payments::{
    Decision, REFUND_ROWS_MAX, RefundState, refunds, replace_refund, settle_payment,
};

use super::Door;
use super::body::{Named, Params};
use super::business::tell_times;
use super::by_hand::{Decided, by, decided, not_done, reasoned};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page of refunds when the caller does not say.
const REFUND_ROWS: u32 = 50;
/// Not a state: whatever waits for a decision.
const NEEDS_PERSON: &str = "needs_person";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichRefunds {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/refunds`: the oldest first. `?state=needs_person` is what people must decide about.
pub async fn list(
    Given(door): Given<Door>,
    Params(which): Params<WhichRefunds>,
) -> Result<Json<Value>, Problem> {
    let mut faults = Vec::new();
    let waiting = which.state.as_deref() == Some(NEEDS_PERSON);
    let state = which.state.as_deref().filter(|_| !waiting).and_then(|name| {
        let state: Result<RefundState, _> = name.parse();
        if state.is_err() {
            let known: Vec<_> = RefundState::ALL.iter().map(|state| state.as_str()).collect();
            faults.push(Fault::of("state", format!("must be {NEEDS_PERSON} or one of {}", known.join(", "))));
        }
        state.ok()
    });
    let limit = which.limit.unwrap_or(REFUND_ROWS);
    if !(1..=REFUND_ROWS_MAX).contains(&limit) {
        faults.push(Fault::of("limit", format!("must be between 1 and {REFUND_ROWS_MAX}")));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
    }
    let page = refunds(&door.ledger, state, waiting, limit, which.cursor.as_deref()).await?;
    let mut told = json!(page);
    tell_times(&mut told);
    Ok(Json(told))
}

/// `POST /v1/refunds/{no}/replace` with `{reason}`: the money goes back under a new number.
pub async fn replace(
    Given(door): Given<Door>,
    caller: Caller,
    Named(no): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let reason = reasoned(&headers, body).await?;
    let who = caller.who();
    let replaced = replace_refund(&door.shop, &no, by(&who, &reason)).await;
    let new_no = replaced.map_err(not_done(Kind::NoSuchRefund))?;
    Ok(Json(json!({ "refund_no": no, "replaced_by": new_no })))
}

/// `POST /v1/payments/{no}/settle` with `{decision: accept|refund, reason}`, by the order's number.
pub async fn settle_disputed(
    Given(door): Given<Door>,
    caller: Caller,
    Named(no): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Decided { what, reason } = decided::<Decision>(&headers, body, "decision").await?;
    let who = caller.who();
    let settled = settle_payment(&door.shop, &no, what, by(&who, &reason)).await;
    let state = settled.map_err(not_done(Kind::NoSuchOrder))?;
    Ok(Json(json!({ "order_no": no, "decision": what, "order_state": state })))
}

/// `POST /v1/orders/{no}/upload/settle` with `{outcome: uploaded|again|not_needed, reason}`.
pub async fn settle_refused_upload(
    Given(door): Given<Door>,
    caller: Caller,
    Named(no): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Decided { what, reason } = decided::<UploadOutcome>(&headers, body, "outcome").await?;
    let who = caller.who();
    let settled = settle_upload(&door.shop, &no, what, by(&who, &reason)).await;
    settled.map_err(not_done(Kind::NoSuchOrder))?;
    Ok(Json(json!({ "order_no": no, "outcome": what })))
}
