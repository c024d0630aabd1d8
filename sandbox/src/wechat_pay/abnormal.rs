//! An abnormal refund goes to another account (the call is named in facts: wechat-pay.md 8; its form is recalled, not
//! re-read: assumed).

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::{Call, Reply, play, refunds};
use crate::fault::Endpoint;
use crate::world::event::{Fact, RefundStatus};

pub(super) async fn redirect(Path(refund_id): Path<String>, call: Call) -> Response {
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    play(call, Endpoint::PayRefund, &format!("abnormal {refund_id}"), |world| {
        world.act(|scene| {
            let number = asked["out_refund_no"].as_str().unwrap_or_default();
            let known = scene.state().refunds.get(number);
            let Some(refund) = known.filter(|refund| refund.refund_id() == refund_id) else {
                return Ok(Reply::error(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", "退款单不存在"));
            };
            if !matches!(asked["type"].as_str(), Some("USER_BANK_CARD" | "MERCHANT_BANK_CARD")) {
                return Ok(Reply::error(StatusCode::BAD_REQUEST, "PARAM_ERROR", "参数错误：type"));
            }
            if refund.status != RefundStatus::Abnormal && refund.redirected_at.is_none() {
                return Ok(Reply::error(
                    StatusCode::BAD_REQUEST,
                    "INVALID_REQUEST",
                    "退款单状态不是退款异常",
                ));
            }
            if refund.redirected_at.is_none() {
                scene.record(Fact::RefundRedirected { out_refund_no: number.to_owned() })?;
            }
            let state = scene.state();
            let found = state
                .refunds
                .get(number)
                .and_then(|refund| Some(refunds::object(refund, state.payments.get(&refund.out_trade_no)?)));
            Ok(Reply::ok(found.unwrap_or_default()))
        })
    })
    .await
}
