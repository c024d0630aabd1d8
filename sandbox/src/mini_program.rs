//! The mini-program's server calls: the access token, subscribe messages and shipping information
//! (facts: wechat-mini-program.md).

mod list;
mod messages;
mod shipping;
mod token;
mod upload;

use std::sync::Arc;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Refused, answer};
use crate::fault::Endpoint;
use crate::world::{Unrecorded, World};

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/cgi-bin/stable_token", post(token::stable_token))
        .route("/cgi-bin/message/subscribe/send", post(messages::send))
        .route("/wxa/sec/order/upload_shipping_info", post(upload::upload))
        .route("/wxa/sec/order/get_order", post(shipping::get_order))
        .route("/wxa/sec/order/get_order_list", post(list::get_order_list))
        .route("/wxa/sec/order/notify_confirm_receive", post(shipping::notify_confirm_receive))
        .with_state(world)
}

/// `errcode` and `errmsg` (facts: wechat-mini-program.md 6).
#[derive(Debug, PartialEq, Eq)]
struct Failure(i64, String);

fn failure(errcode: i64, errmsg: impl Into<String>) -> Failure {
    Failure(errcode, errmsg.into())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Access {
    access_token: String,
}

type Call = crate::call::Call<Arc<World>>;

/// Lets the caller in, reads the JSON, plays the faults. What `act` gives is put beside `errcode: 0`.
async fn play(
    call: Call,
    endpoint: Endpoint,
    key: impl FnOnce(&Value) -> String,
    act: impl FnOnce(&World, &Value) -> Result<Result<Value, Failure>, Unrecorded>,
) -> Response {
    let Call { to: world, on, uri, body, .. } = call;
    let Ok(Query(access)) = Query::<Access>::try_from_uri(&uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(Failure(errcode, errmsg)) = token::check(&world, &access.access_token) {
        return wrong(errcode, &errmsg);
    }
    if body.is_empty() {
        return wrong(44002, "empty post data");
    }
    // Escapes in place of UTF-8 are refused (facts: wechat-mini-program.md 3).
    let is_escaped = body.windows(2).any(|pair| pair == b"\\u");
    let Some(asked) = serde_json::from_slice::<Value>(&body).ok().filter(|_| !is_escaped) else {
        return wrong(47001, "data format error");
    };
    let fault = world.dial.ask(endpoint, &key(&asked));
    answer(&world, &on, fault, refuse, || {
        Ok(match act(&world, &asked)? {
            Ok(mut said) => {
                said["errcode"] = json!(0);
                said["errmsg"] = json!("ok");
                Json(said).into_response()
            }
            Err(Failure(errcode, errmsg)) => wrong(errcode, &errmsg),
        })
    })
    .await
}

/// An error inside HTTP 200, as every one of them ends (facts: wechat-mini-program.md, head).
fn wrong(errcode: i64, errmsg: &str) -> Response {
    Json(json!({"errcode": errcode, "errmsg": format!("{errmsg} rid: 5f5f5f5f-00000000-00000000")}))
        .into_response()
}

fn refuse(why: Refused) -> Response {
    match why {
        Refused::TooMany => wrong(45011, "api minute-quota reach limit, must slower, retry next minute"),
        Refused::Busy | Refused::NotEnough => wrong(-1, "system error"),
        Refused::TokenExpired => wrong(42001, "access_token expired"),
    }
}
