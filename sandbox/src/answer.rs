//! How an answer goes out: right, late, spoiled or not at all. The faults that every system knows are played here;
//! what is special to one (signatures, spellings) is played where its answers are made.

use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::wire::Shears;
use crate::world::{Unrecorded, World};

/// The connection that a request came on.
pub(crate) type On = ConnectInfo<Shears>;

/// Plays `fault` around `effect`, which does the thing and words the right answer. `refuse` words the faults that are a
/// refusal in the system's own dialect.
pub(crate) async fn answer(
    world: &World,
    on: &Shears,
    fault: Option<Fault>,
    refuse: impl FnOnce(Refused) -> Response,
    effect: impl FnOnce() -> Result<Response, Unrecorded>,
) -> Response {
    let effect = || effect().unwrap_or_else(IntoResponse::into_response);
    match fault {
        Some(Fault::Slow(by)) => {
            tokio::time::sleep(by).await;
            effect()
        }
        Some(Fault::TooMany) => refuse(Refused::TooMany),
        Some(Fault::Busy) => refuse(Refused::Busy),
        Some(Fault::TokenExpired) => refuse(Refused::TokenExpired),
        Some(Fault::NotEnough) => refuse(Refused::NotEnough),
        Some(Fault::ErrorBefore) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::Html) => gateway_page(),
        Some(Fault::ErrorAfter) => {
            effect();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(Fault::NoAnswer) => {
            effect();
            tokio::time::sleep(world.no_answer).await;
            on.cut();
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Some(Fault::Drop) => {
            let lost = effect();
            on.cut();
            lost
        }
        Some(Fault::Truncated) => {
            let answer = effect();
            on.cut_at_the_end();
            answer
        }
        // The rest is played by whoever makes the answer or the callback.
        Some(
            Fault::OtherForm
            | Fault::BadSignature
            | Fault::ProbeSignature
            | Fault::Unsigned
            | Fault::Duplicate
            | Fault::Late
            | Fault::OddSpelling
            | Fault::SmallSign
            | Fault::ItemsAsText
            | Fault::Replay
            | Fault::ChangedBody
            | Fault::StaleStamp
            | Fault::UnknownSerial
            | Fault::WrongSecret
            | Fault::LinkExpired,
        )
        | None => effect(),
    }
}

/// The faults that are a refusal without an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooMany,
    Busy,
    TokenExpired,
    NotEnough,
}

/// A refusal by the status alone.
pub(crate) fn refused(why: Refused) -> Response {
    match why {
        Refused::TooMany => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response(),
        Refused::Busy => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Refused::TokenExpired => StatusCode::UNAUTHORIZED.into_response(),
        Refused::NotEnough => StatusCode::FORBIDDEN.into_response(),
    }
}

fn gateway_page() -> Response {
    Html("<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>")
        .into_response()
}

/// A business refusal inside HTTP 200, as Haier and YLH word it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// The envelope of Haier and YLH (facts: haier.md 3, ylh.md 3).
pub(crate) fn envelope(result: Result<Value, Refusal>) -> Value {
    let (code, err_code, error, data) = match result {
        Ok(data) => (0, Value::Null, Value::Null, data),
        Err(refusal) => (1, json!(refusal.code), json!(refusal.text), Value::Null),
    };
    json!({
        "success": code == 0, "code": code, "errCode": err_code, "infoMsgs": [], "warningMsgs": [],
        "errorMsg": error, "data": data, "error": null,
    })
}
