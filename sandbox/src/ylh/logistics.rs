//! Store logistics: which parcels the orders of a list travel in (facts: ylh.md 8).

use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, play};
use crate::answer::Refusal;
use crate::fault::Endpoint;
use crate::world::order::SupplierOrder;
use crate::world::parcel::parcels;

const ORDERS_MAX: usize = 100;

/// The body is a bare array of Haier's numbers. Orders that are not known or not shipped have no rows.
pub(super) async fn read(call: Call) -> Response {
    play(
        call,
        Endpoint::YlhLogistics,
        |asked| asked.to_string(),
        |world, asked| {
            let Some(codes) = asked.as_array() else {
                return Ok(Err(Refusal { code: "PARAM", text: "参数应为订单号数组".to_owned() }));
            };
            if codes.len() > ORDERS_MAX {
                return Ok(Err(Refusal { code: "PARAM", text: format!("订单号最多{ORDERS_MAX}个") }));
            }
            Ok(Ok(world.look(|state| {
                codes
                    .iter()
                    .filter_map(|code| state.order_by_ext(code.as_str()?))
                    .flat_map(|order| deliveries(order, world.seed))
                    .collect()
            })))
        },
    )
    .await
}

fn deliveries(order: &SupplierOrder, seed: u64) -> Vec<Value> {
    parcels(order, seed)
        .iter()
        .map(|parcel| {
            json!({
                "orderCode": order.ext_order_no(),
                "deliveryRecordCode": parcel.delivery_record_code,
                "logisticsList": [{
                    "logisticsCode": parcel.carrier_code,
                    "logisticsName": parcel.carrier_name,
                    "expNo": parcel.tracking_no,
                    "barCodes": parcel.bar_codes,
                }],
            })
        })
        .collect()
}
