//! How an answer goes out: right, late, spoiled or not at all. The faults that every system knows are played here;
//! what is special to one (signatures, spellings) is played where its answers are made.

use axum::Json;
use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::wire::Shears;
use crate::world::{Unrecorded, World};

/// The connection that a request came on.
pub(crate) type On = ConnectInfo<Shears>;

/// Whose dialect a refusal is spoken in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum System {
    Haier,
    Ylh,
    Pay,
    Mini,
}

/// Plays `fault` around `effect`, which does the thing and words the right answer.
pub(crate) async fn answer(
    world: &World,
    system: System,
    on: &Shears,
    fault: Option<Fault>,
    effect: impl FnOnce() -> Result<Response, Unrecorded>,
) -> Response {
    let effect = || effect().unwrap_or_else(IntoResponse::into_response);
    match fault {
        Some(Fault::Slow(by)) => {
            tokio::time::sleep(by).await;
            effect()
        }
        Some(Fault::TooMany) => system.too_many(),
        Some(Fault::ErrorBefore) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::Html) => gateway_page(),
        Some(Fault::Busy) => system.busy(),
        Some(Fault::TokenExpired) => system.token_expired(),
        Some(Fault::NotEnough) => {
            pay_error(StatusCode::FORBIDDEN, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        }
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
            | Fault::OddSpelling,
        )
        | None => effect(),
    }
}

impl System {
    fn too_many(self) -> Response {
        match self {
            System::Haier | System::Ylh => {
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response()
            }
            System::Pay => {
                pay_error(StatusCode::TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "频率限制，请稍后再试")
            }
            System::Mini => mini_error(45011, "api minute-quota reach limit, must slower, retry next minute"),
        }
    }

    fn busy(self) -> Response {
        match self {
            System::Haier => Json(envelope(Err(Refusal {
                code: "SYS_BUSY",
                text: "系统繁忙，请稍后再试".into(),
            })))
            .into_response(),
            // Taken for neither yes nor no (facts: ylh.md 4, outcome classes).
            System::Ylh => Json(envelope(Ok(json!(false)))).into_response(),
            System::Pay => {
                pay_error(StatusCode::INTERNAL_SERVER_ERROR, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用")
            }
            System::Mini => mini_error(-1, "system error"),
        }
    }

    fn token_expired(self) -> Response {
        match self {
            System::Mini => mini_error(42001, "access_token expired"),
            System::Haier | System::Ylh | System::Pay => StatusCode::UNAUTHORIZED.into_response(),
        }
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

/// facts: wechat-pay.md 1. Not signed: it comes from in front of the system.
pub(crate) fn pay_error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message}))).into_response()
}

/// facts: wechat-mini-program.md, head.
pub(crate) fn mini_error(errcode: i64, errmsg: &str) -> Response {
    Json(json!({"errcode": errcode, "errmsg": format!("{errmsg} rid: 5f5f5f5f-00000000-00000000")}))
        .into_response()
}
