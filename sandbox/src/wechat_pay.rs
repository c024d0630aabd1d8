//! WeChat Pay v3 for one direct merchant: queries, closing, refunds, certificates and the callbacks
//! (facts: wechat-pay.md). A payment is placed by the shop, or through the control port with its customer; the customer's
//! part always comes from there. What the bills say is made in `bills`.

mod abnormal;
mod bills;
mod limits;
pub(crate) mod notices;
mod prepay;
mod refunds;
mod signing;
mod transactions;

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use self::bills::Desk;
use self::limits::Limits;
pub(crate) use self::refunds::fate;
pub(crate) use self::signing::Keys;
use crate::answer::{Refused, answer};
use crate::credentials::credentials;
use crate::fault::{Endpoint, Fault};
use crate::sealed::seal;
use crate::times;
use crate::world::{Unrecorded, World};

/// The certificate's own validity, as printed in it.
const CERTIFICATE_FROM: &str = "2020-01-01T08:00:00+08:00";
const CERTIFICATE_UNTIL: &str = "2120-01-01T08:00:00+08:00";

#[derive(Clone)]
struct Pay {
    world: Arc<World>,
    keys: Arc<Keys>,
    desk: Arc<Desk>,
    limits: Arc<Limits>,
}

pub(crate) fn router(world: Arc<World>, keys: Arc<Keys>) -> Router {
    Router::new()
        .route("/v3/pay/transactions/out-trade-no/{out_trade_no}", get(transactions::by_our_number))
        .route("/v3/pay/transactions/id/{transaction_id}", get(transactions::by_their_number))
        .route("/v3/pay/transactions/out-trade-no/{out_trade_no}/close", post(transactions::close))
        .route("/v3/pay/transactions/jsapi", post(prepay::create))
        .route("/v3/refund/domestic/refunds", post(refunds::create))
        .route("/v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund", post(abnormal::redirect))
        .route("/v3/refund/domestic/refunds/{out_refund_no}", get(refunds::query))
        .route("/v3/bill/tradebill", get(bills::trade))
        .route("/v3/bill/fundflowbill", get(bills::fund))
        .route("/v3/billdownload/file", get(bills::download))
        .route("/v3/certificates", get(certificates))
        .with_state(Pay { world, keys, desk: Arc::default(), limits: Arc::default() })
}

/// One signed request.
type Call = crate::call::Call<Pay>;

/// What is answered, before it is signed.
struct Reply {
    status: StatusCode,
    body: Option<Value>,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body) }
    }

    fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    /// facts: wechat-pay.md 9.
    fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, body: Some(json!({"code": code, "message": message})) }
    }
}

/// Checks the signature, plays the faults, signs the answer.
async fn play(
    call: Call,
    endpoint: Endpoint,
    key: &str,
    act: impl FnOnce(&World) -> Result<Reply, Unrecorded>,
) -> Response {
    let Pay { world, keys, .. } = &call.to;
    if let Err(why) = keys.check(&world.clock, &call.method, &call.uri, &call.headers, &call.body) {
        let refusal = Reply::error(StatusCode::UNAUTHORIZED, "SIGN_ERROR", why);
        return keys.signed(&world.clock, &call.headers, refusal, None);
    }
    let fault = world.dial.ask(endpoint, key);
    let refuse = |why| keys.signed(&world.clock, &call.headers, refusal(why), None);
    answer(world, &call.on, fault, refuse, || {
        Ok(keys.signed(&world.clock, &call.headers, act(world)?, fault))
    })
    .await
}

/// facts: wechat-pay.md 9.
fn refusal(why: Refused) -> Reply {
    match why {
        Refused::TooMany => {
            Reply::error(StatusCode::TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "频率限制，请稍后再试")
        }
        Refused::NotEnough => {
            Reply::error(StatusCode::FORBIDDEN, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        }
        Refused::Busy | Refused::TokenExpired => {
            Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用")
        }
    }
}

/// The query must name the merchant (facts: wechat-pay.md 6).
fn names_merchant(uri: &Uri) -> bool {
    let ours = credentials().wechat_pay.mchid;
    uri.query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .any(|part| part.strip_prefix("mchid=") == Some(ours))
}

fn unknown_merchant() -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, "MCH_NOT_EXISTS", "商户号不存在")
}

/// facts: wechat-pay.md 3, platform certificates.
async fn certificates(call: Call) -> Response {
    play(call, Endpoint::PayRead, "certificates", |world| {
        let ours = credentials().wechat_pay;
        let nonce = nonce(world, &["certificate"]);
        let sealed =
            seal(ours.api_v3_key.as_bytes(), &nonce, "certificate", ours.platform_certificate_pem.as_bytes())
                .expect("a 32 byte key and a 12 byte nonce seal");
        Ok(Reply::ok(json!({"data": [{
            "serial_no": ours.platform_serial,
            "effective_time": CERTIFICATE_FROM,
            "expire_time": CERTIFICATE_UNTIL,
            "encrypt_certificate": {"algorithm": "AEAD_AES_256_GCM", "nonce": nonce,
                "associated_data": "certificate", "ciphertext": sealed},
        }]})))
    })
    .await
}

/// Twelve characters. They repeat for the same thing, which then has the same plain text: nothing is given away.
fn nonce(world: &World, about: &[&str]) -> String {
    format!("{:016x}", world.draw(about, 0))[..12].to_owned()
}

/// The time of an answer or a callback, in the shop's time.
fn now_text(world: &World) -> String {
    times::rfc3339(world.clock.now())
}

/// Whether a fault asks for a wrong signature, and which.
fn spoiled(fault: Option<Fault>, signature: String) -> Option<String> {
    match fault {
        Some(Fault::Unsigned) => None,
        // Base64 that was made for another message: one character is another.
        Some(Fault::BadSignature) => {
            let (first, rest) = signature.split_at(1);
            Some(format!("{}{rest}", if first == "A" { "B" } else { "A" }))
        }
        Some(Fault::ProbeSignature) => Some(format!("WECHATPAY/SIGNTEST/{signature}")),
        _ => Some(signature),
    }
}
