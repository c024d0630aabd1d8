//! YLH: the token, placing and cancelling orders, store logistics, and the callbacks that tell how it went
//! (facts: ylh.md). Rescheduling and delivery pictures are not simulated.

pub(crate) mod callbacks;
mod cancel;
mod create;
mod logistics;

pub(crate) use cancel::{at_the_door, is_lacking, sent_back, verdict};
pub(crate) use create::refusal;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{On, Refusal, Refused, answer, envelope, refused};
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::sealed::{base64, jwt, open_jwt};
use crate::world::{Unrecorded, World};

/// Four services, four base paths (facts: ylh.md 1; production's).
pub(crate) const AUTH: &str = "/ylh-cloud-mgt-auth";
pub(crate) const ORDER: &str = "/ylh-cloud-service-jst-order";
pub(crate) const STOCK: &str = "/ylh-cloud-service-stock";

pub(crate) fn router(world: Arc<World>) -> Router {
    let order = |path: &str| format!("{ORDER}/api/page/hmm/retailorder/{path}");
    Router::new()
        .route(&format!("{AUTH}/oauth/token"), post(token))
        .route(&order("receive-hmm-retail-order"), post(create::receive))
        .route(&order("cancel-hmm-retail-order"), post(cancel::receive))
        .route(
            &format!("{STOCK}/api/composite/stock/logistics/get-store-logistics-by-order-code"),
            post(logistics::read),
        )
        .with_state(world)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    grant_type: String,
    username: String,
    password: String,
}

/// The parameters are taken from the query or from the form body (facts: ylh.md 2).
async fn token(
    State(world): State<Arc<World>>,
    ConnectInfo(on): On,
    headers: HeaderMap,
    Query(in_query): Query<Asked>,
    in_body: Result<Form<Asked>, FormRejection>,
) -> Response {
    let ours = credentials().ylh;
    let asked = match in_body {
        Ok(Form(asked)) if !asked.grant_type.is_empty() => asked,
        _ => in_query,
    };
    let basic =
        format!("Basic {}", base64(format!("{}:{}", ours.client_id, ours.client_password).as_bytes()));
    let has =
        |name: &str, right: &str| headers.get(name).is_some_and(|value| value.as_bytes() == right.as_bytes());
    if !has("system-name", "ylh-open-api") || !has(header::AUTHORIZATION.as_str(), &basic) {
        return refused_token(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if asked.grant_type != "password" || asked.username != ours.username || asked.password != ours.password {
        return refused_token(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    world.haier.ylh_tokens.fetch_add(1, Ordering::Relaxed);
    let fault = world.dial.ask(Endpoint::YlhToken, ours.client_id);
    answer(&world, &on, fault, refuse, || {
        let lifetime = world.pace.ylh_token;
        let token = jwt(&secret(&world), &json!({"exp": (world.clock.now() + lifetime).secs()}));
        Ok(Json(json!({
            "access_token": token, "token_type": "bearer", "expires_in": lifetime.as_secs(), "scope": "all",
        }))
        .into_response())
    })
    .await
}

fn refused_token(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

fn secret(world: &World) -> [u8; 8] {
    world.draw(&["ylh.token"], 0).to_le_bytes()
}

fn is_let_in(world: &World, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| open_jwt(&secret(world), token))
        .and_then(|said| said["exp"].as_i64())
        .is_some_and(|exp| world.clock.now().secs() < exp)
}

type Call = crate::call::Call<Arc<World>>;

/// Lets the caller in, reads the JSON, plays the faults and puts the result into the envelope. `key` names what the
/// call is about.
async fn play(
    call: Call,
    endpoint: Endpoint,
    key: impl FnOnce(&Value) -> String,
    act: impl FnOnce(&World, &Value) -> Result<Result<Value, Refusal>, Unrecorded>,
) -> Response {
    let Call { to: world, on, headers, body, .. } = call;
    if !is_let_in(&world, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let fault = world.dial.ask(endpoint, &key(&asked));
    answer(&world, &on, fault, refuse, || Ok(Json(envelope(act(&world, &asked)?)).into_response())).await
}

fn refuse(why: Refused) -> Response {
    match why {
        // Neither yes nor no (facts: ylh.md 4, outcome classes).
        Refused::Busy => Json(envelope(Ok(json!(false)))).into_response(),
        why => refused(why),
    }
}

/// A required text field.
fn required<'a>(asked: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    match asked[field].as_str().unwrap_or_default().trim() {
        "" => Err(invalid(field, "不能为空")),
        given => Ok(given),
    }
}

fn invalid(field: &str, what: &str) -> Refusal {
    Refusal { code: "PARAM", text: format!("{field}{what}") }
}
