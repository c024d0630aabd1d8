//! The shop places a payment itself (facts: wechat-pay.md 5). The customer comes to the till through the control port.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use axum::response::Response;
use chrono::DateTime;
use serde_json::{Value, json};

use super::{Call, Reply, play};
use crate::credentials::credentials;
use crate::draw::draw;
use crate::fault::Endpoint;
use crate::times;
use crate::world::event::Fact;
use crate::world::money::Payment;
use crate::world::{Scene, Unrecorded, World};

const OUT_TRADE_NO_CHARS: RangeInclusive<usize> = 6..=32;
const DESCRIPTION_CHARS: RangeInclusive<usize> = 1..=127;
const OPENID_CHARS: RangeInclusive<usize> = 1..=128;
const NOTIFY_URL_CHARS: RangeInclusive<usize> = 1..=255;
const ATTACH_CHARS_MAX: usize = 128;

pub(super) async fn create(call: Call) -> Response {
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let key = asked["out_trade_no"].as_str().unwrap_or_default().to_owned();
    play(call, Endpoint::PayCreate, &key, |world| {
        world.act(|scene| match read(&asked) {
            Ok(wanted) => place(world, scene, wanted),
            Err(refused) => Ok(refused),
        })
    })
    .await
}

struct Wanted {
    out_trade_no: String,
    description: String,
    openid: String,
    total_fen: i64,
}

fn read(asked: &Value) -> Result<Wanted, Reply> {
    let ours = credentials().wechat_pay;
    if asked["appid"] != json!(ours.appid) || asked["mchid"] != json!(ours.mchid) {
        let message = "appid和mch_id不匹配";
        return Err(Reply::error(StatusCode::BAD_REQUEST, "APPID_MCHID_NOT_MATCH", message));
    }
    let wrong =
        |name: &str| Reply::error(StatusCode::BAD_REQUEST, "PARAM_ERROR", &format!("参数错误：{name}"));
    let text = |value: &Value, chars: &RangeInclusive<usize>, name: &str| {
        let text = value.as_str().filter(|text| chars.contains(&text.chars().count()));
        text.map(str::to_owned).ok_or_else(|| wrong(name))
    };
    let out_trade_no = text(&asked["out_trade_no"], &OUT_TRADE_NO_CHARS, "out_trade_no")?;
    if !out_trade_no.chars().all(|c| c.is_ascii_alphanumeric() || "_-*".contains(c)) {
        return Err(wrong("out_trade_no"));
    }
    // HTTPS is asked for out there; a sandbox is called back over what its neighbours speak.
    let notify_url = text(&asked["notify_url"], &NOTIFY_URL_CHARS, "notify_url")?;
    if !notify_url.starts_with("http") || notify_url.contains('?') {
        return Err(wrong("notify_url"));
    }
    if asked["attach"].as_str().is_some_and(|attach| attach.chars().count() > ATTACH_CHARS_MAX) {
        return Err(wrong("attach"));
    }
    if asked["time_expire"].as_str().is_some_and(|at| DateTime::parse_from_rfc3339(at).is_err()) {
        return Err(wrong("time_expire"));
    }
    let currency = &asked["amount"]["currency"];
    if !currency.is_null() && *currency != json!("CNY") {
        return Err(wrong("currency"));
    }
    Ok(Wanted {
        description: text(&asked["description"], &DESCRIPTION_CHARS, "description")?,
        openid: text(&asked["payer"]["openid"], &OPENID_CHARS, "openid")?,
        total_fen: asked["amount"]["total"].as_i64().filter(|fen| *fen > 0).ok_or_else(|| wrong("total"))?,
        out_trade_no,
    })
}

/// The same number with the same parameters is the same payment (facts: wechat-pay.md 5, assumed).
fn place(world: &World, scene: &mut Scene<'_>, wanted: Wanted) -> Result<Reply, Unrecorded> {
    let used = |code: &str, message: &str| Reply::error(StatusCode::FORBIDDEN, code, message);
    if let Some(before) = scene.state().payments.get(&wanted.out_trade_no) {
        return Ok(if before.paid_at.is_some() {
            Reply::error(StatusCode::BAD_REQUEST, "ORDER_PAID", "订单已支付")
        } else if before.closed_at.is_some() {
            Reply::error(StatusCode::BAD_REQUEST, "ORDER_CLOSED", "订单已关闭")
        } else if before.total_fen != wanted.total_fen || *before.openid != *wanted.openid {
            used("OUT_TRADE_NO_USED", "商户订单号重复")
        } else {
            prepaid(world, before)
        });
    }
    let Wanted { out_trade_no, description, openid, total_fen } = wanted;
    let number = out_trade_no.clone();
    scene.record(Fact::PaymentOffered {
        out_trade_no,
        total_fen,
        openid,
        description,
        pays_at: None,
        prepaid: true,
    })?;
    let placed = scene.state().payments.get(&number).expect("the payment was just recorded");
    Ok(prepaid(world, placed))
}

/// The same id for the same payment.
fn prepaid(world: &World, payment: &Payment) -> Reply {
    let stamp = times::packed(payment.offered_at);
    let drawn = draw(world.seed, &["prepay", &payment.out_trade_no], 0);
    Reply::ok(json!({"prepay_id": format!("wx{stamp}{drawn:016x}0000")}))
}
