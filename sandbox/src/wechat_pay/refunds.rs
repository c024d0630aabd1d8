//! Refunds (facts: wechat-pay.md 8). One number is one refund; asking again with the same number and the same
//! parameters answers how that refund stands.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::{Call, Reply, limits, play};
use crate::answer::Refused;
use crate::config::Pace;
use crate::draw::draw;
use crate::fault::Endpoint;
use crate::plants::{Mark, Plants, leave_in_the_dark};
use crate::times;
use crate::world::event::{Fact, RefundStatus};
use crate::world::money::{Payment, Refund};
use crate::world::{Scene, Unrecorded, World};

const REFUNDS_OF_ONE_MAX: u16 = 50;
const REFUNDS_APART: Duration = Duration::from_secs(60);
const REFUND_WITHIN: Duration = Duration::from_secs(365 * 24 * 3600);
const OUT_REFUND_NO_CHARS_MAX: usize = 64;
const REASON_CHARS_MAX: usize = 80;

pub(super) async fn create(call: Call) -> Response {
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let key = asked["out_refund_no"].as_str().unwrap_or_default().to_owned();
    let limits = Arc::clone(&call.to.limits);
    play(call, Endpoint::PayRefund, &key, |world| {
        let now = world.clock.wall();
        if !limits.has_room(now) {
            return Ok(limits::too_often());
        }
        let reply = world.act(|scene| match read(scene, &asked) {
            Ok(wanted) => refund(world, scene, &wanted),
            Err(refused) => Ok(refused),
        })?;
        Ok(limits.count(now, reply))
    })
    .await
}

pub(super) async fn query(Path(out_refund_no): Path<String>, call: Call) -> Response {
    play(call, Endpoint::PayRead, &out_refund_no, |world| {
        Ok(world.look(|state| {
            let refund = state.refunds.get(&out_refund_no);
            // Who asks for it hears of it once the bills tell of it.
            let is_told = |refund: &&Refund| {
                state.plants.untold_until(refund.no).is_none_or(|day| state.plants.is_closed(day))
            };
            let refund = refund.filter(is_told);
            match refund.and_then(|refund| Some((refund, state.payments.get(&refund.out_trade_no)?))) {
                Some((refund, payment)) => Reply::ok(object(refund, payment)),
                None => match state.plants.other(&out_refund_no) {
                    Some(Mark::OtherRefund { no, out_refund_no, refund_id, made_at, fen }) => {
                        let paid = state.payments.at(*no);
                        paid.map_or_else(unknown, |paid| {
                            Reply::ok(other(paid, out_refund_no, refund_id, *made_at, *fen))
                        })
                    }
                    _ => unknown(),
                },
            }
        }))
    })
    .await
}

fn unknown() -> Reply {
    Reply::error(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", "退款单不存在")
}

struct Wanted {
    out_refund_no: String,
    out_trade_no: String,
    refund_fen: i64,
    total_fen: i64,
    reason: String,
}

fn read(scene: &Scene<'_>, asked: &Value) -> Result<Wanted, Reply> {
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let out_refund_no = text("out_refund_no");
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-|*@".contains(c);
    if out_refund_no.is_empty()
        || out_refund_no.len() > OUT_REFUND_NO_CHARS_MAX
        || !out_refund_no.chars().all(is_allowed)
    {
        return Err(parameter("out_refund_no"));
    }
    let amount = |field: &str| asked["amount"][field].as_i64().filter(|fen| *fen > 0);
    let (Some(refund_fen), Some(total_fen)) = (amount("refund"), amount("total")) else {
        return Err(parameter("amount"));
    };
    if asked["amount"]["currency"] != json!("CNY") {
        return Err(parameter("currency"));
    }
    if text("reason").chars().count() > REASON_CHARS_MAX {
        return Err(parameter("reason"));
    }
    let state = scene.state();
    let payment = match (text("transaction_id"), text("out_trade_no")) {
        ("", "") => return Err(parameter("transaction_id")),
        ("", ours) => state.payments.get(ours),
        (theirs, _) => state.payment_by_transaction(theirs),
    };
    match payment {
        Some(payment) => Ok(Wanted {
            out_refund_no: out_refund_no.to_owned(),
            out_trade_no: payment.out_trade_no.to_string(),
            refund_fen,
            total_fen,
            reason: text("reason").to_owned(),
        }),
        None => Err(Reply::error(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", "订单不存在")),
    }
}

fn parameter(name: &str) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, "PARAM_ERROR", &format!("参数错误：{name}"))
}

fn refund(world: &World, scene: &mut Scene<'_>, wanted: &Wanted) -> Result<Reply, Unrecorded> {
    let invalid = |message: &str| Reply::error(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message);
    let payment = scene.state().payments.get(&wanted.out_trade_no).expect("reading found this payment");
    if let Some(before) = scene.state().refunds.get(&wanted.out_refund_no) {
        let is_same = before.out_trade_no.as_ref() == wanted.out_trade_no
            && (before.refund_fen, before.total_fen) == (wanted.refund_fen, wanted.total_fen);
        return Ok(if is_same && is_untold(&scene.state().plants, before, scene.now()) {
            super::refusal(Refused::NotEnough)
        } else if is_same {
            Reply::ok(object(before, payment))
        } else {
            invalid("商户退款单号重复，且退款参数与原请求不一致")
        });
    }
    let Some(paid_at) = payment.paid_at else { return Ok(invalid("订单未支付，不能退款")) };
    if wanted.total_fen != payment.total_fen {
        return Ok(invalid("订单金额与原订单不一致"));
    }
    if wanted.refund_fen > payment.total_fen - payment.refunded_fen {
        scene.record(Fact::RefundRefused { out_refund_no: wanted.out_refund_no.clone() })?;
        return Ok(invalid("申请退款金额大于可退金额"));
    }
    if let Some(limit) = limit(payment, paid_at, scene.now()) {
        return Ok(limit);
    }
    if is_short(world, scene, &wanted.out_refund_no)? {
        return Ok(super::refusal(Refused::NotEnough));
    }
    scene.record(Fact::RefundAccepted {
        out_refund_no: wanted.out_refund_no.clone(),
        out_trade_no: wanted.out_trade_no.clone(),
        refund_fen: wanted.refund_fen,
        total_fen: wanted.total_fen,
        reason: wanted.reason.clone(),
    })?;
    if leave_in_the_dark(scene, &wanted.out_refund_no)? {
        return Ok(super::refusal(Refused::NotEnough));
    }
    let state = scene.state();
    let made = state.refunds.get(&wanted.out_refund_no).zip(state.payments.get(&wanted.out_trade_no));
    let (refund, payment) = made.expect("the refund was just recorded");
    Ok(Reply::ok(object(refund, payment)))
}

fn limit(payment: &Payment, paid_at: Timestamp, now: Timestamp) -> Option<Reply> {
    let forbidden = |message: &str| Some(Reply::error(StatusCode::FORBIDDEN, "RULE_LIMIT", message));
    if now.since(paid_at) > REFUND_WITHIN {
        return forbidden("订单已超过可退款的最大期限");
    }
    if payment.refunds >= REFUNDS_OF_ONE_MAX {
        return forbidden("订单部分退款次数超过限制");
    }
    if payment.last_refund_at.is_some_and(|last| now.since(last) < REFUNDS_APART) {
        return Some(Reply::error(
            StatusCode::TOO_MANY_REQUESTS,
            "FREQUENCY_LIMITED",
            "同一订单的退款间隔须在1分钟以上，请稍后再试",
        ));
    }
    None
}

/// Whether the shop is left in the dark about a refund that was made: until a day after the bill that has it.
fn is_untold(plants: &Plants, refund: &Refund, now: Timestamp) -> bool {
    plants.untold_until(refund.no).is_some_and(|day| now < day.plus(1).bills_given_at())
}

/// Whether the balance is short for this refund; it is not for ever.
fn is_short(world: &World, scene: &mut Scene<'_>, out_refund_no: &str) -> Result<bool, Unrecorded> {
    let fates = &world.pace.refunds;
    let drawn = world.draw(&["short refund", out_refund_no], 0);
    if drawn % 1_000 >= u64::from(fates.short_per_mille) {
        return Ok(false);
    }
    match scene.state().refunds_short.get(out_refund_no) {
        Some(since) => Ok(scene.now().since(*since) < fates.short.pick(drawn >> 16)),
        None => {
            scene.record(Fact::RefundShort { out_refund_no: out_refund_no.to_owned() })?;
            Ok(true)
        }
    }
}

/// How a refund ends: well, unless the payer's openid or the seed says otherwise. `ABNORMAL` and `REFUNDCLOSED` in the
/// openid are for trying out the other ends. What was sent to another account ends well.
pub(crate) fn fate(refund: &Refund, payment: &Payment, seed: u64, pace: &Pace) -> RefundStatus {
    let drawn = draw(seed, &["refund fate", &refund.out_refund_no], 0) % 1_000;
    let abnormal = u64::from(pace.refunds.abnormal_per_mille);
    if refund.redirected_at.is_some() {
        return RefundStatus::Success;
    }
    if drawn < abnormal || payment.openid.contains("ABNORMAL") {
        RefundStatus::Abnormal
    } else if drawn < abnormal + u64::from(pace.refunds.closed_per_mille)
        || payment.openid.contains("REFUNDCLOSED")
    {
        RefundStatus::Closed
    } else {
        RefundStatus::Success
    }
}

/// A refund that was made in the merchant platform.
fn other(paid: &Payment, out_refund_no: &str, refund_id: &str, made_at: Timestamp, fen: i64) -> Value {
    json!({
        "refund_id": refund_id,
        "out_refund_no": out_refund_no,
        "transaction_id": paid.transaction_id(),
        "out_trade_no": paid.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": times::rfc3339(made_at),
        "success_time": times::rfc3339(made_at),
        "status": "SUCCESS",
        "funds_account": "AVAILABLE",
        "amount": {
            "total": paid.total_fen, "refund": fen, "payer_total": paid.total_fen, "payer_refund": fen,
            "settlement_refund": fen, "settlement_total": paid.total_fen, "discount_refund": 0, "currency": "CNY",
        },
    })
}

pub(super) fn object(refund: &Refund, payment: &Payment) -> Value {
    let mut object = json!({
        "refund_id": refund.refund_id(),
        "out_refund_no": refund.out_refund_no,
        "transaction_id": payment.transaction_id(),
        "out_trade_no": refund.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": times::rfc3339(refund.accepted_at),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": refund.total_fen, "refund": refund.refund_fen,
            "payer_total": refund.total_fen, "payer_refund": refund.refund_fen,
            "settlement_refund": refund.refund_fen, "settlement_total": refund.total_fen,
            "discount_refund": 0, "currency": "CNY",
        },
    });
    if let (RefundStatus::Success, Some(at)) = (refund.status, refund.settled_at) {
        object["success_time"] = json!(times::rfc3339(at));
    }
    object
}

/// What the callback of a refund holds.
pub(super) fn notice(refund: &Refund, payment: &Payment) -> Value {
    let mut notice = json!({
        "mchid": crate::credentials::credentials().wechat_pay.mchid,
        "out_trade_no": refund.out_trade_no,
        "transaction_id": payment.transaction_id(),
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_id(),
        "refund_status": refund.status,
        "user_received_account": "支付用户零钱",
        "amount": {"total": refund.total_fen, "refund": refund.refund_fen,
            "payer_total": refund.total_fen, "payer_refund": refund.refund_fen},
    });
    if let (RefundStatus::Success, Some(at)) = (refund.status, refund.settled_at) {
        notice["success_time"] = json!(times::rfc3339(at));
    }
    notice
}
