//! Uploading shipping information (facts: wechat-mini-program.md 3 and 6): once, and once again as a correction.

use axum::response::Response;
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::{Call, Failure, failure, play};
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::world::event::{Fact, Upload, UploadedParcel};
use crate::world::money::Payment;
use crate::world::state::State as Books;

const PARCELS_MAX: usize = 15;
const NUMBER_CHARS_MAX: usize = 128;
const ITEM_DESC_CHARS_MAX: usize = 120;
const EXPRESS: u64 = 1;
const UNIFIED: u64 = 1;
const SPLIT: u64 = 2;
/// Shipped, and shipped again: there is no third time.
const FINISHED_MAX: u8 = 2;

pub(super) async fn upload(call: Call) -> Response {
    let key = |asked: &Value| asked["order_key"].to_string();
    play(call, Endpoint::MiniUpload, key, |world, asked| {
        let upload = match read(asked) {
            Ok(upload) => upload,
            Err(failure) => return Ok(Err(failure)),
        };
        world.act(|scene| {
            let checked = payment(scene.state(), asked).and_then(|payment| {
                check(payment, asked, &upload)?;
                Ok(payment.out_trade_no.to_string())
            });
            match checked {
                Ok(out_trade_no) => {
                    scene.record(Fact::ShippingUploaded { out_trade_no, upload })?;
                    Ok(Ok(json!({})))
                }
                Err(failure) => Ok(Err(failure)),
            }
        })
    })
    .await
}

fn read(asked: &Value) -> Result<Upload, Failure> {
    let logistics_type = asked["logistics_type"].as_u64().filter(|kind| (1..=4).contains(kind));
    let logistics_type = logistics_type.ok_or_else(|| failure(10_060_005, "物流类型有误"))?;
    let delivery_mode = asked["delivery_mode"].as_u64().filter(|mode| [UNIFIED, SPLIT].contains(mode));
    let delivery_mode = delivery_mode.ok_or_else(|| failure(268_485_224, "发货模式非法"))?;
    if delivery_mode == SPLIT && logistics_type != EXPRESS {
        return Err(failure(10_060_006, "非快递发货时不允许分拆发货"));
    }
    let finished = match (delivery_mode, asked["is_all_delivered"].as_bool()) {
        (SPLIT, None) => return Err(failure(10_060_007, "分拆发货模式下必须填写is_all_delivered")),
        (SPLIT, Some(all)) => all,
        _ => true,
    };
    let rows = asked["shipping_list"].as_array().filter(|rows| !rows.is_empty());
    let rows = rows.ok_or_else(|| failure(10_060_014, "shipping_list为空"))?;
    if rows.len() > PARCELS_MAX {
        return Err(failure(10_060_024, "shipping_list长度超过限制"));
    }
    if delivery_mode == UNIFIED && rows.len() != 1 {
        return Err(failure(268_485_228, "统一发货模式下物流信息列表长度必须为1"));
    }
    let upload_time = asked["upload_time"].as_str().unwrap_or_default();
    let upload_time = Timestamp::parse_rfc3339(upload_time)
        .map_err(|_| failure(268_485_216, "上传时间非法，请使用RFC 3339格式"))?;
    Ok(Upload {
        logistics_type: logistics_type as u8,
        delivery_mode: delivery_mode as u8,
        finished,
        upload_time,
        parcels: rows.iter().map(|row| read_parcel(row, logistics_type)).collect::<Result<_, _>>()?,
    })
}

fn read_parcel(row: &Value, logistics_type: u64) -> Result<UploadedParcel, Failure> {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    let (tracking_no, express_company, item_desc) =
        (text("tracking_no"), text("express_company"), text("item_desc"));
    if item_desc.is_empty() {
        return Err(failure(10_060_008, "商品信息不能为空"));
    }
    if item_desc.chars().count() > ITEM_DESC_CHARS_MAX {
        return Err(failure(10_060_009, "商品信息超过120个字"));
    }
    if logistics_type == EXPRESS && tracking_no.is_empty() {
        return Err(failure(268_485_226, "快递单号不能为空"));
    }
    if logistics_type == EXPRESS && express_company.is_empty() {
        return Err(failure(268_485_227, "物流公司编码不能为空"));
    }
    if tracking_no.chars().count() > NUMBER_CHARS_MAX {
        return Err(failure(10_060_026, "物流单号太长"));
    }
    if express_company.chars().count() > NUMBER_CHARS_MAX {
        return Err(failure(10_060_025, "物流公司编码太长"));
    }
    let contact =
        |field: &str| row["contact"][field].as_str().filter(|given| !given.is_empty()).map(str::to_owned);
    let (receiver_contact, consignor_contact) = (contact("receiver_contact"), contact("consignor_contact"));
    if express_company == "SF" && receiver_contact.is_none() && consignor_contact.is_none() {
        return Err(failure(10_060_014, "顺丰快递必须填写联系方式"));
    }
    Ok(UploadedParcel {
        tracking_no: tracking_no.to_owned(),
        express_company: express_company.to_owned(),
        item_desc: item_desc.to_owned(),
        receiver_contact,
        consignor_contact,
    })
}

fn payment<'a>(state: &'a Books, asked: &Value) -> Result<&'a Payment, Failure> {
    let key = &asked["order_key"];
    let text = |field: &str| key[field].as_str().unwrap_or_default();
    let payment = match key["order_number_type"].as_u64() {
        Some(1) => match (text("mchid"), text("out_trade_no")) {
            ("", _) => return Err(failure(268_485_196, "mchid为空")),
            (_, "") => return Err(failure(268_485_197, "out_trade_no为空")),
            (mchid, ours) => state.payments.get(ours).filter(|_| mchid == credentials().wechat_pay.mchid),
        },
        Some(2) => match text("transaction_id") {
            "" => return Err(failure(268_485_195, "transaction_id为空")),
            theirs => state.payment_by_transaction(theirs),
        },
        _ => return Err(failure(268_485_194, "订单单号类型非法")),
    };
    payment.filter(|payment| payment.paid_at.is_some()).ok_or_else(|| failure(10_060_001, "支付单不存在"))
}

fn check(payment: &Payment, asked: &Value, upload: &Upload) -> Result<(), Failure> {
    if asked["payer"]["openid"].as_str() != Some(&payment.openid) {
        return Err(failure(10_060_031, "该笔支付单不属于 openid 所指定的用户"));
    }
    if payment.refunded_fen >= payment.total_fen {
        return Err(failure(10_060_004, "支付单处于不可发货的状态"));
    }
    let Some(shipping) = payment.shipping.as_deref() else { return Ok(()) };
    let Some(before) = &shipping.current else { return Ok(()) };
    if is_unchanged(before, upload) {
        return Err(failure(10_060_023, "发货信息未更新"));
    }
    if upload.upload_time <= before.upload_time {
        return Err(failure(10_060_014, "upload_time 早于已上传的发货信息"));
    }
    if shipping.finished_count >= FINISHED_MAX {
        return Err(failure(10_060_003, "已完成发货且已重新发货，无法再次发货"));
    }
    Ok(())
}

/// The same again, or parcels that are all known while others are still to come.
fn is_unchanged(before: &Upload, upload: &Upload) -> bool {
    (before.logistics_type, before.delivery_mode, before.finished)
        == (upload.logistics_type, upload.delivery_mode, upload.finished)
        && upload.parcels.iter().all(|parcel| before.parcels.contains(parcel))
}
