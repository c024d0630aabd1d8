//! Where the deliveries of an order are: three lists in three forms, made into parcels (facts: haier.md 7).
//!
//! Names and phones of couriers are in the answer and are not read.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use windlass_engine::Timestamp;

use super::{Haier, wire};
use crate::outside::OutsideError;
use crate::outside::lenient::{maybe_text, rows};
use crate::shop_time::parse_beijing;

const LOGISTICS_PATH: &str = "/yilihuo/ylh-cloud-service-stock/api/page/stock/logistics/sass/get-thirdparty-logistics-info-by-order-code-auth";
/// How a state says that the parcel was handed over.
const DELIVERED_CODE: &str = "DELIVERED";
const DELIVERED_TEXT: &str = "已签收";

/// One parcel on its way, whichever list it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    pub tracking_no: String,
    /// The carrier's name as the supplier writes it; none for the supplier's own lorries.
    pub carrier: Option<String>,
    pub delivery_record_code: Option<String>,
    pub last_state: Option<ParcelState>,
    pub delivered_at: Option<Timestamp>,
    /// Serial numbers of the goods.
    pub serial_nos: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParcelState {
    pub code: Option<String>,
    pub text: String,
    /// None when the time cannot be read.
    pub at: Option<Timestamp>,
}

impl Haier {
    /// The parcels of an order, by Haier's number (`SO...`).
    ///
    /// # Errors
    /// As every read.
    pub async fn logistics(&self, order_code: &str) -> Result<Vec<Parcel>, OutsideError> {
        let settings = &self.settings;
        let call = self.call("logistics");
        let body = json!({
            "orderCode": order_code,
            "sellerCode": settings.customer_code,
            "sellerPassword": settings.seller_password.expose(),
        });
        let url = settings.url(settings.overrides.logistics.as_ref(), LOGISTICS_PATH);
        let data = self.ask(&call, &url, &body).await?;
        Ok(parcels(wire::rows(&call, &data)?))
    }
}

fn parcels(answers: Vec<Lists>) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::new();
    for lists in answers {
        let central = lists.central.into_iter().flat_map(Central::parcels);
        let own = lists.own.into_iter().filter_map(Own::parcel);
        let express = lists.express.into_iter().flat_map(Express::parcels);
        for parcel in central.chain(own).chain(express) {
            match parcels.iter_mut().find(|known| known.tracking_no == parcel.tracking_no) {
                Some(known) => known.merge(parcel),
                None => parcels.push(parcel),
            }
        }
    }
    parcels
}

impl Parcel {
    fn new(
        tracking_no: String,
        carrier: Option<String>,
        record: Option<String>,
        states: Vec<ParcelState>,
    ) -> Self {
        // Sorted by time where it is known; the sort keeps the sender's order else.
        let mut states = states;
        states.sort_by_key(|state| state.at);
        let delivered = states.iter().find(|state| state.says_delivered());
        let delivered_at = delivered.and_then(|state| state.at);
        let last_state = delivered.or(states.last()).cloned();
        Self {
            tracking_no,
            carrier,
            delivery_record_code: record,
            last_state,
            delivered_at,
            serial_nos: vec![],
        }
    }

    /// The same number in a second list: keeps what is known and adds what is new.
    fn merge(&mut self, other: Parcel) {
        self.carrier = self.carrier.take().or(other.carrier);
        self.delivery_record_code = self.delivery_record_code.take().or(other.delivery_record_code);
        self.delivered_at = self.delivered_at.or(other.delivered_at);
        let at = |state: &Option<ParcelState>| state.as_ref().and_then(|state| state.at);
        if at(&other.last_state) > at(&self.last_state) {
            self.last_state = other.last_state;
        }
        for serial_no in other.serial_nos {
            if !self.serial_nos.contains(&serial_no) {
                self.serial_nos.push(serial_no);
            }
        }
    }

    /// Handed over to the customer, also when the answer names no time.
    pub fn is_delivered(&self) -> bool {
        self.delivered_at.is_some() || self.last_state.as_ref().is_some_and(ParcelState::says_delivered)
    }
}

impl ParcelState {
    fn says_delivered(&self) -> bool {
        self.code.as_deref() == Some(DELIVERED_CODE) || self.text.trim().starts_with(DELIVERED_TEXT)
    }
}

#[derive(Deserialize)]
struct Lists {
    #[serde(rename = "getAllLogisticsInfoByOrderCode", default, deserialize_with = "rows")]
    central: Vec<Central>,
    #[serde(rename = "getStockDeliveryLogisticsRecord", default, deserialize_with = "rows")]
    own: Vec<Own>,
    #[serde(rename = "getStockDeliveryLogisticsRecordThirdparty", default, deserialize_with = "rows")]
    express: Vec<Express>,
}

#[derive(Deserialize)]
struct Central {
    #[serde(rename = "deliveryRecordCode", default, deserialize_with = "maybe_text")]
    record: Option<String>,
    #[serde(rename = "getStoreOutboundLogisticsInfoResultDto", default, deserialize_with = "rows")]
    outbound: Vec<Outbound>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outbound {
    #[serde(default, deserialize_with = "maybe_text")]
    logistics_company_name: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    exp_no: Option<String>,
    #[serde(default, deserialize_with = "rows")]
    exp_no_list: Vec<String>,
    #[serde(default, deserialize_with = "rows")]
    delivery_logistics_dtos: Vec<StateRow>,
    #[serde(default, deserialize_with = "rows")]
    barcodes: Vec<String>,
}

impl Central {
    fn parcels(self) -> Vec<Parcel> {
        let record = self.record;
        let of_one = |outbound: Outbound| {
            let mut numbers: Vec<String> = outbound.exp_no.into_iter().chain(outbound.exp_no_list).collect();
            numbers.retain(|number| !number.trim().is_empty());
            let states: Vec<ParcelState> =
                outbound.delivery_logistics_dtos.into_iter().map(StateRow::read).collect();
            let (carrier, barcodes, record) =
                (outbound.logistics_company_name, outbound.barcodes, record.clone());
            numbers.into_iter().map(move |number| {
                let parcel = Parcel::new(number, carrier.clone(), record.clone(), states.clone());
                Parcel { serial_nos: barcodes.clone(), ..parcel }
            })
        };
        self.outbound.into_iter().flat_map(of_one).collect()
    }
}

#[derive(Deserialize)]
struct Own {
    #[serde(rename = "logisticsCode", default, deserialize_with = "maybe_text")]
    number: Option<String>,
    #[serde(rename = "deliveryRecordCode", default, deserialize_with = "maybe_text")]
    record: Option<String>,
    #[serde(rename = "logisticsInfo", default, deserialize_with = "rows")]
    states: Vec<StateRow>,
}

impl Own {
    /// Own lorries may have no number of their own: then the delivery note stands for it.
    fn parcel(self) -> Option<Parcel> {
        let number = self.number.or_else(|| self.record.clone())?;
        let states = self.states.into_iter().map(StateRow::read).collect();
        Some(Parcel::new(number, None, self.record, states))
    }
}

#[derive(Deserialize)]
struct Express {
    #[serde(rename = "deliveryRecordCode", default, deserialize_with = "maybe_text")]
    record: Option<String>,
    #[serde(rename = "logisticsNoList", default, deserialize_with = "rows")]
    numbers: Vec<ExpressNumber>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpressNumber {
    #[serde(default, deserialize_with = "maybe_text")]
    logistics_no: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    logistics_name: Option<String>,
    #[serde(default, deserialize_with = "rows")]
    logistics_info: Vec<StateRow>,
}

impl Express {
    fn parcels(self) -> Vec<Parcel> {
        let record = self.record;
        let of_one = |row: ExpressNumber| {
            let states = row.logistics_info.into_iter().map(StateRow::read).collect();
            Some(Parcel::new(row.logistics_no?, row.logistics_name, record.clone(), states))
        };
        self.numbers.into_iter().filter_map(of_one).collect()
    }
}

/// A state in any of the three lists' forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateRow {
    #[serde(default, deserialize_with = "maybe_text")]
    state_code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    status_code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    state_description: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    node_name: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    context: Option<String>,
    #[serde(default)]
    state_time: Option<Box<RawValue>>,
    #[serde(default)]
    create_time: Option<Box<RawValue>>,
}

impl StateRow {
    fn read(self) -> ParcelState {
        let at = |raw: &Option<Box<RawValue>>| {
            raw.as_deref().and_then(crate::outside::lenient::text_of).as_deref().and_then(parse_beijing)
        };
        ParcelState {
            code: self.state_code.or(self.status_code),
            text: self.state_description.or(self.node_name).or(self.context).unwrap_or_default(),
            at: at(&self.state_time).or_else(|| at(&self.create_time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lists_become_parcels_and_a_number_named_twice_is_one() {
        let text = r#"{"getAllLogisticsInfoByOrderCode":[{"deliveryRecordCode":"SO.3.F1",
            "getStoreOutboundLogisticsInfoResultDto":[{"id":1,"logisticsCompanyName":"顺丰","expNo":"SF1",
              "expNoList":["SF1","SF2"],"deliveryContact":"测试","deliveryPhone":"13000000000","barcodes":["SN1"],
              "deliveryLogisticsDtos":[
                {"stateCode":"DELIVERED","stateTime":"2026-01-07 12:00:00","stateDescription":"已签收"},
                {"stateCode":"SENT","stateTime":"2026-01-06 12:00:00","stateDescription":"已发货"}]}]}],
          "getStockDeliveryLogisticsRecord":[{"logisticsCode":"LES9","deliveryRecordCode":"SO.3.F2",
              "logisticsInfo":[{"statusCode":"LF","stateTime":1767758400000,"stateDescription":"拒绝签收"}]}],
          "getStockDeliveryLogisticsRecordThirdparty":[{"deliveryRecordCode":"SO.3.F3",
              "logisticsNoList":[{"logisticsNo":"YT5","logisticsName":"圆通","logisticsInfo":null}]}]}"#;
        let parcels = parcels(vec![serde_json::from_str(text).unwrap()]);
        let numbers: Vec<&str> = parcels.iter().map(|parcel| parcel.tracking_no.as_str()).collect();
        assert_eq!(numbers, ["SF1", "SF2", "LES9", "YT5"]);
        let noon = Timestamp::parse_rfc3339("2026-01-07T12:00:00+08:00").unwrap();
        assert_eq!(parcels[0].delivered_at, Some(noon));
        assert_eq!(parcels[0].last_state.as_ref().unwrap().text, "已签收");
        assert_eq!(parcels[0].serial_nos, ["SN1"]);
        assert_eq!(parcels[2].last_state.as_ref().unwrap().at, Some(noon));
        assert!(!parcels[2].is_delivered() && parcels[2].carrier.is_none());
        assert_eq!(parcels[3].carrier.as_deref(), Some("圆通"));
    }
}
