//! How much of a product can be delivered to a county (facts: haier.md 6).

use serde::Deserialize;
use serde_json::json;

use super::{Haier, wire};
use crate::outside::OutsideError;
use crate::outside::lenient::{flag, maybe_text, text, whole};

const STOCK_PATH: &str = "/yilihuo/jsh-service-stock-mall/api/page/stock/get-available-stock-open";

/// The stock of one product for one county.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    pub rows: Vec<StockRow>,
    /// The answer had data at all: an empty list is none in stock, `null` is no word on it.
    pub is_said: bool,
}

impl Stock {
    /// The sum over all locations.
    pub fn quantity(&self) -> i64 {
        self.rows.iter().fold(0, |sum, row| i64::saturating_add(sum, row.quantity))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StockRow {
    #[serde(rename = "secCode", default, deserialize_with = "text")]
    pub location: String,
    #[serde(rename = "stock", deserialize_with = "whole")]
    pub quantity: i64,
    /// `0` own-level warehouse, `1` upper-level.
    #[serde(rename = "warehouseGrade", default, deserialize_with = "text")]
    pub warehouse_grade: String,
    #[serde(rename = "timelinessData", default)]
    pub timeliness: Option<Timeliness>,
}

/// When a delivery would arrive; texts as the supplier writes them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Timeliness {
    #[serde(rename = "cutTime", default, deserialize_with = "maybe_text")]
    pub order_before: Option<String>,
    #[serde(rename = "achieveUserOrderCut", default, deserialize_with = "maybe_text")]
    pub arrives: Option<String>,
    #[serde(rename = "hour", default, deserialize_with = "maybe_text")]
    pub hours: Option<String>,
    #[serde(rename = "isTranfer", default, deserialize_with = "flag")]
    pub is_transfer: bool,
}

impl Haier {
    /// The stock of one product code for a county (six-digit national code).
    ///
    /// # Errors
    /// As every read. A failed call is never "none in stock".
    pub async fn stock(&self, code: &str, county_code: &str) -> Result<Stock, OutsideError> {
        let settings = &self.settings;
        let call = self.call("stock");
        let body = json!({
            "salesCode": settings.customer_code,
            "senderCode": settings.send_to_code,
            "productCode": code,
            "countyCode": county_code,
            "source": "JSH-B",
            "sellerPassword": settings.seller_password.expose(),
        });
        let url = settings.url(settings.overrides.stock.as_ref(), STOCK_PATH);
        let data = self.ask(&call, &url, &body).await?;
        Ok(Stock { is_said: data.get() != "null", rows: wire::rows(&call, &data)? })
    }
}
