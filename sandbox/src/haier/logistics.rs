//! Where the parcels of an order are (facts: haier.md 7). All of them are told in the list of the central warehouse.

use serde_json::{Value, json};

use crate::times;
use crate::world::World;
use crate::world::order::SupplierOrder;
use crate::world::parcel::{Parcel, parcels};

/// `delivery_record_code` narrows the answer to one parcel.
pub(super) fn of_order(world: &World, order_code: &str, delivery_record_code: Option<&str>) -> Value {
    let rows: Vec<Value> = world.look(|state| {
        let Some(order) = state.order_by_ext(order_code) else { return Vec::new() };
        parcels(order, world.seed)
            .iter()
            .filter(|parcel| {
                delivery_record_code.is_none_or(|code| code.is_empty() || code == parcel.delivery_record_code)
            })
            .zip(1..)
            .map(|(parcel, id)| delivery(order, parcel, id))
            .collect()
    });
    json!({
        "getAllLogisticsInfoByOrderCode": rows,
        "getStockDeliveryLogisticsRecord": [],
        "getStockDeliveryLogisticsRecordThirdparty": [],
    })
}

fn delivery(order: &SupplierOrder, parcel: &Parcel, id: u32) -> Value {
    let shipped = times::plain(order.shipped_at.unwrap_or_default());
    let mut states =
        vec![json!({"stateCode": "SHIPPED", "stateTime": shipped, "stateDescription": "已发货"})];
    if let Some(at) = order.delivered_at {
        states.push(
            json!({"stateCode": "DELIVERED", "stateTime": times::plain(at), "stateDescription": "已签收"}),
        );
    }
    let (status, status_name) =
        if order.delivered_at.is_some() { ("DELIVERED", "已签收") } else { ("SHIPPED", "已发货") };
    let contents: Vec<Value> = parcel
        .contents
        .iter()
        .map(|(code, pieces)| {
            json!({"itemName": code, "itemModel": code, "itemUnit": "个", "shippingQty": pieces,
                "itemPictureUrl": format!("https://img.example/{code}.jpg")})
        })
        .collect();
    json!({
        "deliveryRecordCode": parcel.delivery_record_code,
        "deliveryCreateTime": shipped,
        "deliveryModel": "C",
        "isTranfer": "0",
        "getStoreOutboundLogisticsInfoResultDto": [{
            "id": id,
            "logisticsCompanyName": parcel.carrier_name,
            "expNo": parcel.tracking_no,
            "expNoList": [parcel.tracking_no],
            "deliveryContact": "测试",
            "deliveryPhone": "13000000000",
            "vehicleInformation": "",
            "recordCode": parcel.delivery_record_code,
            "orderStatus": status,
            "orderStatusName": status_name,
            "orderCode": order.ext_order_no(),
            "deliveryLogisticsDtos": states,
            "logisticsUrl": "",
            "barcodes": parcel.bar_codes,
            "sendDate": shipped,
        }],
        "deliveryRecordDetailDtoList": contents,
    })
}
