//! Webhook endpoints through the door: made, looked at, moved, switched off and on, tried, and the log of what they were told.
//!
//! What an endpoint may be and what becomes of a delivery is decided in `windlass_jobs`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State as Given};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_engine::Timestamp;
use windlass_jobs::notifications::webhooks::{
    self, DELIVERY_ROWS_MAX, DeliveryState, Endpoint, NewEndpoint, SigningSecret, WebhookError, Which,
};

use super::Door;
use super::body::{Fields, Named, Params, must_be_json, read, read_json};
use super::business::tell_times;
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Rows on a page of deliveries when the caller does not say.
const DELIVERY_ROWS: u32 = 50;

/// `POST /v1/webhooks` with `{url, types?, description?}`: the answer shows the secret, this once.
pub async fn create(
    Given(door): Given<Door>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let mut fields = Fields::parse(&text)?;
    let mut faults = Vec::new();
    let url: Option<String> = fields.take("url", &mut faults);
    let types: Option<Vec<String>> = fields.take("types", &mut faults);
    let description: Option<String> = fields.take("description", &mut faults);
    fields.end(&["url", "types", "description"], &mut faults);
    if url.is_none() && faults.is_empty() {
        faults.push(Fault::at("/url", "is missing"));
    }
    let (Some(url), true) = (url, faults.is_empty()) else {
        return Err(Problem::new(Kind::Invalid, "The endpoint does not hold together.").faults(faults));
    };
    let new =
        NewEndpoint { url, types: types.unwrap_or_default(), description: description.unwrap_or_default() };
    let (endpoint, secret) = webhooks::create(&door.shop, &new, &caller.who()).await.map_err(refused)?;
    let location =
        HeaderValue::from_str(&format!("/v1/webhooks/{}", endpoint.id)).map_err(Problem::internal)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(with_secret(&endpoint, &secret)))
        .into_response())
}

/// `GET /v1/webhooks`
pub async fn list(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let endpoints: Vec<_> = webhooks::endpoints(&door.shop).await?.iter().map(told).collect();
    Ok(Json(json!({ "webhooks": endpoints })))
}

/// `GET /v1/webhooks/{id}`
pub async fn show(Given(door): Given<Door>, Named(id): Named) -> Result<Json<Value>, Problem> {
    Ok(Json(told(&webhooks::endpoint(&door.shop, &id).await.map_err(refused)?)))
}

/// `PATCH /v1/webhooks/{id}` with `{url}`: it is told there from now on, under the secret that it has.
pub async fn relocate(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let mut fields = Fields::parse(&text)?;
    let mut faults = Vec::new();
    let url: Option<String> = fields.take("url", &mut faults);
    fields.end(&["url"], &mut faults);
    if url.is_none() && faults.is_empty() {
        faults.push(Fault::at("/url", "is missing"));
    }
    let (Some(url), true) = (url, faults.is_empty()) else {
        return Err(Problem::new(Kind::Invalid, "Where the endpoint moves to is not clear.").faults(faults));
    };
    Ok(Json(told(&webhooks::relocate(&door.shop, &id, &url, &caller.who()).await.map_err(refused)?)))
}

/// `DELETE /v1/webhooks/{id}`
pub async fn delete(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    webhooks::delete(&door.shop, &id, &caller.who()).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/webhooks/{id}/rotate`: a new secret, shown this once; the old one signs too for a while.
pub async fn rotate(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
) -> Result<Json<Value>, Problem> {
    let (endpoint, secret) = webhooks::rotate(&door.shop, &id, &caller.who()).await.map_err(refused)?;
    Ok(Json(with_secret(&endpoint, &secret)))
}

/// `POST /v1/webhooks/{id}/enable`
pub async fn enable(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
) -> Result<Json<Value>, Problem> {
    Ok(Json(told(&webhooks::enable(&door.shop, &id, &caller.who()).await.map_err(refused)?)))
}

/// `POST /v1/webhooks/{id}/disable`
pub async fn disable(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
) -> Result<Json<Value>, Problem> {
    let why = format!("by {}", caller.who());
    Ok(Json(told(&webhooks::disable(&door.shop, &id, &caller.who(), &why).await.map_err(refused)?)))
}

/// `POST /v1/webhooks/{id}/test`: a message of the type `webhook.test`; what becomes of it stands among the deliveries.
pub async fn test(Given(door): Given<Door>, caller: Caller, Named(id): Named) -> Result<Response, Problem> {
    let message = webhooks::send_test(&door.shop, &id, &caller.who()).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "endpoint": id, "message": message }))).into_response())
}

/// `POST /v1/webhooks/{id}/redeliver` with `{message}` or `{since}`.
pub async fn redeliver(
    Given(door): Given<Door>,
    caller: Caller,
    Named(id): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    must_be_json(&headers)?;
    let text = read(body, BODY_BYTES_MAX).await?;
    let mut fields = Fields::parse(&text)?;
    let mut faults = Vec::new();
    let message: Option<String> = fields.take("message", &mut faults);
    let since: Option<String> = fields.take("since", &mut faults);
    fields.end(&["message", "since"], &mut faults);
    let which = match (message, since) {
        (Some(message), None) => Some(Which::Message(message)),
        (None, Some(since)) => match Timestamp::parse_rfc3339(&since) {
            Ok(since) => Some(Which::Since(since)),
            Err(_) => {
                faults.push(Fault::at("/since", "must be an instant such as 2026-11-22T08:00:00Z"));
                None
            }
        },
        _ if faults.is_empty() => {
            faults.push(Fault::at("", "must have either message or since"));
            None
        }
        _ => None,
    };
    let (Some(which), true) = (which, faults.is_empty()) else {
        return Err(Problem::new(Kind::Invalid, "What is to be delivered again is not clear.").faults(faults));
    };
    let count = webhooks::redeliver(&door.shop, &id, &which, &caller.who()).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "redelivered": count }))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichDeliveries {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/webhooks/{id}/deliveries`: the newest first.
pub async fn deliveries(
    Given(door): Given<Door>,
    Named(id): Named,
    Params(which): Params<WhichDeliveries>,
) -> Result<Json<Value>, Problem> {
    let mut faults = Vec::new();
    let state = which.state.as_deref().and_then(|name| {
        let state = name.parse::<DeliveryState>().ok();
        if state.is_none() {
            faults.push(Fault::of("state", "must be one of queued, delivered, failed, dropped"));
        }
        state
    });
    let limit = which.limit.unwrap_or(DELIVERY_ROWS);
    if !(1..=DELIVERY_ROWS_MAX).contains(&limit) {
        faults.push(Fault::of("limit", format!("must be between 1 and {DELIVERY_ROWS_MAX}")));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
    }
    let page = webhooks::deliveries(&door.shop, &id, state, limit, which.cursor.as_deref()).await?;
    let mut told = json!(page);
    tell_times(&mut told);
    Ok(Json(told))
}

/// `GET /v1/webhooks/{id}/deliveries/{message}`: each try of it.
pub async fn tries(
    Given(door): Given<Door>,
    Path((id, message)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let tries = webhooks::tries(&door.shop, &id, &message).await?;
    let mut told = json!({ "endpoint": id, "message": message, "tries": tries });
    tell_times(&mut told);
    Ok(Json(told))
}

fn told(endpoint: &Endpoint) -> Value {
    let mut told = json!(endpoint);
    told["types"] = json!(endpoint.types.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
    tell_times(&mut told);
    told
}

fn with_secret(endpoint: &Endpoint, secret: &SigningSecret) -> Value {
    let mut told = told(endpoint);
    told["secret"] = json!(secret.expose());
    told
}

fn refused(error: WebhookError) -> Problem {
    match error {
        WebhookError::Bad(faults) => {
            let faults = faults.into_iter().map(|fault| Fault::at(fault.pointer, fault.what)).collect();
            Problem::new(Kind::Invalid, "The endpoint does not hold together.").faults(faults)
        }
        WebhookError::Missing(id) => {
            let shown: String = id.chars().take(100).collect();
            Problem::new(Kind::NoSuchWebhook, format!("No endpoint has the id {shown:?}."))
        }
        WebhookError::TooMany => Problem::new(Kind::Invalid, format!("{error}: delete one.")),
        WebhookError::NotNow(why) => Problem::new(Kind::NotNow, format!("{why}.")),
        WebhookError::Ledger(error) => error.into(),
        WebhookError::Broken(error) => Problem::internal(error),
    }
}
