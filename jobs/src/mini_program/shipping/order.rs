//! What WeChat knows of a payment's shipping, and what follows for an upload in doubt.

use serde::Deserialize;
use serde_json::value::RawValue;
use windlass_engine::Timestamp;

use crate::outside::lenient::{flag, maybe_text, rows, text, whole};
use crate::outside::{Call, OutsideError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    ToShip,
    Shipped,
    Received,
    Complete,
    Refunded,
    Settled,
    Other(i64),
}

impl OrderState {
    fn read(number: i64) -> Self {
        match number {
            1 => OrderState::ToShip,
            2 => OrderState::Shipped,
            3 => OrderState::Received,
            4 => OrderState::Complete,
            5 => OrderState::Refunded,
            6 => OrderState::Settled,
            other => OrderState::Other(other),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedOrder {
    pub transaction_id: String,
    pub out_trade_no: String,
    /// The merchant who was paid; empty when WeChat does not say.
    pub mchid: String,
    /// In whole seconds.
    pub paid_at: Option<Timestamp>,
    pub paid_fen: Option<i64>,
    pub state: OrderState,
    pub is_in_complaint: bool,
    /// Everything was shipped.
    pub is_finished: bool,
    /// 0 none, 1 once, 2 shipped anew.
    pub finish_count: i64,
    pub parcels: Vec<UploadedParcel>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UploadedParcel {
    #[serde(default, deserialize_with = "text")]
    pub tracking_no: String,
    #[serde(default, deserialize_with = "text")]
    pub express_company: String,
}

/// What to do about an upload in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// WeChat has our parcels.
    Done,
    /// It has nothing: send again, with a new time.
    SendAgain,
    /// It has other parcels, and one chance to change them: a person decides.
    Person,
    /// The payment was refunded before it had anything of ours: stop.
    Refunded,
}

/// The sheet's procedure for an ambiguous upload (facts: wechat-mini-program.md 6).
pub fn settle(order: &ShippedOrder, tracking_nos: &[String]) -> Settled {
    let has_ours = !tracking_nos.is_empty()
        && tracking_nos.iter().all(|ours| order.parcels.iter().any(|parcel| parcel.tracking_no == *ours));
    match order.state {
        _ if has_ours => Settled::Done,
        OrderState::Refunded => Settled::Refunded,
        OrderState::ToShip => Settled::SendAgain,
        _ => Settled::Person,
    }
}

#[derive(Deserialize)]
struct Wire {
    order: OrderWire,
}

#[derive(Deserialize)]
pub(super) struct OrderWire {
    #[serde(default, deserialize_with = "text")]
    transaction_id: String,
    #[serde(default, deserialize_with = "text")]
    merchant_trade_no: String,
    #[serde(default, deserialize_with = "text")]
    merchant_id: String,
    #[serde(default, deserialize_with = "maybe_text")]
    pay_time: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    paid_amount: Option<String>,
    #[serde(deserialize_with = "whole")]
    order_state: i64,
    #[serde(default, deserialize_with = "flag")]
    in_complaint: bool,
    #[serde(default)]
    shipping: Option<Shipping>,
}

#[derive(Default, Deserialize)]
struct Shipping {
    #[serde(default, deserialize_with = "flag")]
    finish_shipping: bool,
    #[serde(default, deserialize_with = "maybe_text")]
    finish_shipping_count: Option<String>,
    #[serde(default, deserialize_with = "rows")]
    shipping_list: Vec<UploadedParcel>,
}

pub(super) fn read(call: &Call, raw: &RawValue) -> Result<ShippedOrder, OutsideError> {
    let wire: Wire =
        serde_json::from_str(raw.get()).map_err(|error| call.lost(&format!("unreadable order: {error}")))?;
    Ok(wire.order.into())
}

impl From<OrderWire> for ShippedOrder {
    fn from(wire: OrderWire) -> Self {
        let shipping = wire.shipping.unwrap_or_default();
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<i64>().ok());
        Self {
            transaction_id: wire.transaction_id,
            out_trade_no: wire.merchant_trade_no,
            mchid: wire.merchant_id,
            paid_at: number(wire.pay_time).map(Timestamp::from_secs),
            paid_fen: number(wire.paid_amount),
            state: OrderState::read(wire.order_state),
            is_in_complaint: wire.in_complaint,
            is_finished: shipping.finish_shipping,
            finish_count: number(shipping.finish_shipping_count).unwrap_or(0),
            parcels: shipping.shipping_list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(state: OrderState, numbers: &[&str]) -> ShippedOrder {
        let parcel =
            |number: &&str| UploadedParcel { tracking_no: (*number).into(), express_company: "SF".into() };
        ShippedOrder {
            transaction_id: "42".into(),
            out_trade_no: "T1".into(),
            mchid: String::new(),
            paid_at: None,
            paid_fen: None,
            state,
            is_in_complaint: false,
            is_finished: false,
            finish_count: 0,
            parcels: numbers.iter().map(parcel).collect(),
        }
    }

    #[test]
    fn an_upload_in_doubt_is_sent_again_only_when_nothing_is_there() {
        let ours = ["SF1".to_owned()];
        assert_eq!(settle(&order(OrderState::Shipped, &["SF1"]), &ours), Settled::Done);
        assert_eq!(settle(&order(OrderState::ToShip, &[]), &ours), Settled::SendAgain);
        assert_eq!(settle(&order(OrderState::Shipped, &["SF2"]), &ours), Settled::Person);
        assert_eq!(settle(&order(OrderState::Refunded, &[]), &ours), Settled::Refunded);
        assert_eq!(settle(&order(OrderState::Complete, &[]), &[]), Settled::Person);
    }
}
