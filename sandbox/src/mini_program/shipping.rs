//! Asking for an order's shipping state (facts: wechat-mini-program.md 4). The orders known here are the payments of
//! WeChat Pay.

use axum::response::Response;
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::{Call, Failure, failure, play};
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::world::event::Fact;
use crate::world::money::Payment;
use crate::world::state::State as Books;

/// The one sort of logistics whose customers are asked to confirm.
const EXPRESS: u8 = 1;

pub(super) async fn get_order(call: Call) -> Response {
    play(call, Endpoint::MiniRead, Value::to_string, |world, asked| {
        Ok(world.look(|state| Ok(json!({"order": order(named(state, asked)?)}))))
    })
    .await
}

/// The paid payment that a call names.
fn named<'a>(state: &'a Books, asked: &Value) -> Result<&'a Payment, Failure> {
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let payment = match (text("transaction_id"), text("merchant_trade_no")) {
        ("", "") => return Err(failure(268_485_197, "merchant_trade_no is empty")),
        ("", _) if text("merchant_id") != credentials().wechat_pay.mchid => None,
        ("", ours) => state.payments.get(ours),
        (theirs, _) => state.payment_by_transaction(theirs),
    };
    payment.filter(|payment| payment.paid_at.is_some()).ok_or_else(|| failure(10_060_001, "支付单不存在"))
}

/// Asks the customer to confirm receipt: once for each order, by express only, and after it was shipped
/// (facts: wechat-mini-program.md 5; what a second time is answered with is assumed).
pub(super) async fn notify_confirm_receive(call: Call) -> Response {
    play(call, Endpoint::MiniConfirm, Value::to_string, |world, asked| {
        let received_at = asked["received_time"].as_i64().map(Timestamp::from_secs);
        world.act(|scene| {
            let checked = named(scene.state(), asked).and_then(|payment| {
                check_receipt(payment, received_at)?;
                Ok(payment.out_trade_no.to_string())
            });
            match checked {
                Ok(out_trade_no) => {
                    scene.record(Fact::ReceiptAsked { out_trade_no })?;
                    Ok(Ok(json!({})))
                }
                Err(failure) => Ok(Err(failure)),
            }
        })
    })
    .await
}

fn check_receipt(payment: &Payment, received_at: Option<Timestamp>) -> Result<(), Failure> {
    let received_at = received_at.ok_or_else(|| failure(10_060_014, "received_time 不能为空"))?;
    let upload = payment.shipping.as_deref().and_then(|shipping| shipping.current.as_ref());
    let shipped = upload.filter(|upload| upload.finished && upload.logistics_type == EXPRESS);
    let Some(shipped) = shipped else {
        return Err(failure(10_060_004, "支付单未发货或非快递发货"));
    };
    // Whole seconds: told in the second of the upload is told after it.
    if received_at.secs() < shipped.upload_time.secs() {
        return Err(failure(10_060_014, "received_time 早于发货时间"));
    }
    if payment.receipts_asked > 0 {
        return Err(failure(10_060_011, "已提醒过用户确认收货"));
    }
    Ok(())
}

/// Refunded as a whole, shipped, or still to be shipped.
pub(super) fn order_state(payment: &Payment) -> u8 {
    match payment {
        payment if payment.refunded_fen >= payment.total_fen => 5,
        payment if finished_count(payment) > 0 => 2,
        _ => 1,
    }
}

fn finished_count(payment: &Payment) -> u8 {
    payment.shipping.as_deref().map_or(0, |shipping| shipping.finished_count)
}

pub(super) fn order(payment: &Payment) -> Value {
    let paid_at = payment.paid_at.unwrap_or(payment.offered_at);
    let shipping = payment.shipping.as_deref();
    let (state, finished_count) = (order_state(payment), finished_count(payment));
    let upload = shipping.and_then(|shipping| shipping.current.as_ref());
    let parcels: Vec<Value> = upload
        .into_iter()
        .flat_map(|upload| upload.parcels.iter().map(move |parcel| (upload, parcel)))
        .map(|(upload, parcel)| {
            json!({
                "tracking_no": parcel.tracking_no,
                "express_company": parcel.express_company,
                "goods_desc": parcel.item_desc,
                "upload_time": upload.upload_time.secs(),
                "contact": {"consignor_contact": parcel.consignor_contact, "receiver_contact": parcel.receiver_contact},
            })
        })
        .collect();
    json!({
        "transaction_id": payment.transaction_id(),
        "merchant_id": credentials().wechat_pay.mchid,
        "sub_merchant_id": "",
        "merchant_trade_no": payment.out_trade_no,
        "description": payment.description,
        "paid_amount": payment.total_fen,
        "openid": payment.openid,
        "trade_create_time": payment.offered_at.secs(),
        "pay_time": paid_at.secs(),
        "order_state": state,
        "in_complaint": false,
        "shipping": {
            "delivery_mode": upload.map_or(0, |upload| upload.delivery_mode),
            "logistics_type": upload.map_or(0, |upload| upload.logistics_type),
            "finish_shipping": finished_count > 0,
            "goods_desc": upload.and_then(|upload| upload.parcels.first()).map_or("", |parcel| &parcel.item_desc),
            "finish_shipping_count": finished_count,
            "shipping_list": parcels,
        },
    })
}
