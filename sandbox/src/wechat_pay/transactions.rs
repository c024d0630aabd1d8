//! Querying and closing payments (facts: wechat-pay.md 6 and 7).

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, Reply, names_merchant, play, unknown_merchant};
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::plants::Mark;
use crate::times;
use crate::world::event::Fact;
use crate::world::money::Payment;

pub(super) async fn by_our_number(Path(out_trade_no): Path<String>, call: Call) -> Response {
    let named = names_merchant(&call.uri);
    play(call, Endpoint::PayRead, &out_trade_no, |world| {
        if !named {
            return Ok(unknown_merchant());
        }
        Ok(world.look(|state| {
            found(state.payments.get(&out_trade_no), || state.plants.other_payment(&out_trade_no))
        }))
    })
    .await
}

pub(super) async fn by_their_number(Path(transaction_id): Path<String>, call: Call) -> Response {
    let named = names_merchant(&call.uri);
    play(call, Endpoint::PayRead, &transaction_id, |world| {
        if !named {
            return Ok(unknown_merchant());
        }
        Ok(world.look(|state| {
            found(state.payment_by_transaction(&transaction_id), || state.plants.other(&transaction_id))
        }))
    })
    .await
}

/// A payment of the shop, or one that only WeChat knows of.
fn found<'a>(payment: Option<&Payment>, other: impl FnOnce() -> Option<&'a Mark>) -> Reply {
    if let Some(payment) = payment {
        return Reply::ok(transaction(payment));
    }
    match other() {
        Some(Mark::OtherPayment { out_trade_no, transaction_id, openid, paid_at, fen, .. }) => {
            let ours = credentials().wechat_pay;
            Reply::ok(json!({
                "appid": ours.appid, "mchid": ours.mchid, "out_trade_no": out_trade_no,
                "transaction_id": transaction_id, "trade_type": "JSAPI", "trade_state": "SUCCESS",
                "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "",
                "success_time": times::rfc3339(*paid_at), "payer": {"openid": openid},
                "amount": {"total": fen, "payer_total": fen, "currency": "CNY", "payer_currency": "CNY"},
            }))
        }
        _ => Reply::error(StatusCode::NOT_FOUND, "ORDER_NOT_EXIST", "订单不存在"),
    }
}

/// The transaction object of queries and callbacks.
pub(super) fn transaction(payment: &Payment) -> Value {
    let ours = credentials().wechat_pay;
    let (trade_state, desc) = if payment.paid_at.is_some() && payment.refunds > 0 {
        ("REFUND", "转入退款")
    } else if payment.paid_at.is_some() {
        ("SUCCESS", "支付成功")
    } else if payment.closed_at.is_some() {
        ("CLOSED", "订单已关闭")
    } else if payment.openid.contains("ODDSTATE") {
        ("HELD", "未知状态")
    } else {
        ("NOTPAY", "订单未支付")
    };
    let mut object = json!({
        "appid": ours.appid,
        "mchid": ours.mchid,
        "out_trade_no": payment.out_trade_no,
        "trade_state": trade_state,
        "trade_state_desc": desc,
        "attach": "",
        "payer": {"openid": payment.openid},
        "amount": {"total": payment.total_fen, "currency": "CNY"},
    });
    if let (Some(paid_at), Some(id)) = (payment.paid_at, payment.transaction_id()) {
        object["transaction_id"] = json!(id);
        object["trade_type"] = json!("JSAPI");
        object["bank_type"] = json!("OTHERS");
        object["success_time"] = json!(times::rfc3339(paid_at));
        object["amount"]["payer_total"] = json!(payment.total_fen);
        object["amount"]["payer_currency"] = json!("CNY");
    }
    object
}

/// 204 also for a number that nobody knows: it proves nothing (facts: wechat-pay.md 7).
pub(super) async fn close(Path(out_trade_no): Path<String>, call: Call) -> Response {
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    play(call, Endpoint::PayClose, &out_trade_no, |world| {
        if asked["mchid"] != json!(credentials().wechat_pay.mchid) {
            return Ok(unknown_merchant());
        }
        world.act(|scene| {
            let Some(payment) = scene.state().payments.get(&out_trade_no) else { return Ok(Reply::empty()) };
            if payment.paid_at.is_some() {
                return Ok(Reply::error(StatusCode::BAD_REQUEST, "ORDER_PAID", "订单已支付"));
            }
            if payment.closed_at.is_some() {
                return Ok(Reply::error(StatusCode::BAD_REQUEST, "ORDER_CLOSED", "订单已关闭"));
            }
            scene.record(Fact::PaymentClosed { out_trade_no: out_trade_no.clone() })?;
            Ok(Reply::empty())
        })
    })
    .await
}
