//! Products and prices, asked for by code (facts: haier.md 4, 5).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Haier, wire};
use crate::money::{Decimal, Fen};
use crate::outside::lenient::{flag, maybe_text, rows as rows_field, text};
use crate::outside::{Call, OutsideError};

/// Most codes in one call (facts: haier.md 4).
pub const PRODUCT_CODES_MAX: usize = 20;
/// Longest answer that lists everything: 10,000 products take some 4 MiB.
const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

const PRODUCTS_PATH: &str = "/yilihuo/jsh-service-goods-mall-search/api/product-info/procurable-products-out/check-procurable-products";
const PRICES_PATH: &str =
    "/yilihuo/jsh-service-goods-price/api/goods-price/price-daily-sales/price-query/pt-out-list-price";

/// What was learned of a list of codes. No code that was asked for is missing: it is in one of the three.
#[derive(Clone, Debug)]
pub struct ByCode<T> {
    pub found: BTreeMap<String, T>,
    /// Asked for and not in the answer: nothing is known of these.
    pub unknown: Vec<String>,
    /// What is wrong with rows that could not be read; the codes of such rows are unknown.
    pub flaws: Vec<String>,
    /// What could not be asked any more because a later chunk failed.
    pub unasked: Option<Unasked>,
}

#[derive(Clone, Debug)]
pub struct Unasked {
    pub codes: Vec<String>,
    pub error: OutsideError,
}

/// A product as the supplier lists it. The wire's misspellings end here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Product {
    #[serde(rename = "productCode", deserialize_with = "text")]
    pub code: String,
    #[serde(rename = "productModel", default, deserialize_with = "text")]
    pub model: String,
    #[serde(rename = "productGroupNamd", default, deserialize_with = "text")]
    pub group: String,
    #[serde(rename = "productBrandName", default, deserialize_with = "text")]
    pub brand: String,
    #[serde(rename = "productImageUrl", default, deserialize_with = "maybe_text")]
    pub image_url: Option<String>,
    #[serde(rename = "productLageUrls", default, deserialize_with = "rows_field")]
    pub long_image_urls: Vec<String>,
    #[serde(rename = "isSales", default, deserialize_with = "flag")]
    pub is_for_sale: bool,
    #[serde(rename = "noSalesReason", default, deserialize_with = "maybe_text")]
    pub refusal: Option<String>,
}

/// The price of a product. Amounts are none when the supplier gives no price; then `refusal` says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    pub code: String,
    pub supply: Option<Fen>,
    pub invoice: Option<Fen>,
    /// supply x (1 - rate) - rebate, by our own count.
    pub invoice_computed: Option<Fen>,
    pub rebate_rate: Decimal,
    pub rebate: Fen,
    /// `0` normal, `1` no rebate, `2` firewall, `5` platform price; older answers write letters. Kept as text.
    pub rebate_policy: String,
    pub is_for_sale: bool,
    pub refusal: Option<String>,
}

impl Price {
    /// Whether the invoice price is the one that its parts make, to 0.01 yuan (facts: haier.md 5).
    /// None when there is nothing to compare.
    pub fn adds_up(&self) -> Option<bool> {
        let difference = self.invoice?.checked_sub(self.invoice_computed?)?;
        Some(difference.get().unsigned_abs() <= 1)
    }
}

impl Haier {
    /// What is procurable of `codes`: asked in chunks of 20, each code once.
    ///
    /// # Errors
    /// When not even the first chunk was answered; a later failure is in [`ByCode::unasked`].
    pub async fn products(&self, codes: &[String]) -> Result<ByCode<Product>, OutsideError> {
        self.by_code(codes, |chunk| self.product_rows(chunk), |product: &Product| product.code.clone()).await
    }

    /// The codes of all procurable products, each once, in order: asked without codes (facts: haier.md 4).
    ///
    /// # Errors
    /// As every read.
    pub async fn listed_codes(&self) -> Result<Vec<String>, OutsideError> {
        let call = self.call("products_list").up_to(LIST_BYTES_MAX);
        let data = self.products_data(&call, None).await?;
        let (rows, _) = wire::each_row::<ListedRow>(&call, &data)?;
        let codes: BTreeSet<String> = rows.into_iter().map(|row| row.product_code).collect();
        Ok(codes.into_iter().filter(|code| !code.is_empty()).collect())
    }

    /// Prices of `codes`: asked in chunks of 20, each code once.
    ///
    /// # Errors
    /// As [`Haier::products`].
    pub async fn prices(&self, codes: &[String]) -> Result<ByCode<Price>, OutsideError> {
        self.by_code(codes, |chunk| self.price_rows(chunk), |price: &Price| price.code.clone()).await
    }

    async fn product_rows(&self, codes: Vec<String>) -> Result<Rows<Product>, OutsideError> {
        let call = self.call("products");
        let data = self.products_data(&call, Some(codes)).await?;
        wire::each_row(&call, &data)
    }

    async fn products_data(
        &self,
        call: &Call,
        codes: Option<Vec<String>>,
    ) -> Result<Box<RawValue>, OutsideError> {
        let settings = &self.settings;
        let mut body = json!({
            "customerCode": settings.customer_code,
            "sendToCode": settings.send_to_code,
            "supplierCode": settings.supplier_code,
            "searchType": "PTJSH",
            "passWord": settings.password.expose(),
        });
        if let Some(codes) = codes {
            body["productCodes"] = json!(codes);
        }
        self.ask(call, &settings.url(settings.overrides.products.as_ref(), PRODUCTS_PATH), &body).await
    }

    async fn price_rows(&self, codes: Vec<String>) -> Result<Rows<Price>, OutsideError> {
        let settings = &self.settings;
        let call = self.call("prices");
        let body: Value = json!({
            "customerCode": settings.customer_code,
            "sendToCode": settings.send_to_code,
            "productCodes": codes,
            "priceType": "PT",
            "passWord": settings.password.expose(),
        });
        let url = settings.url(settings.overrides.prices.as_ref(), PRICES_PATH);
        let data = self.ask(&call, &url, &body).await?;
        let (rows, mut flaws) = wire::each_row::<PriceRow>(&call, &data)?;
        let mut prices = Vec::with_capacity(rows.len());
        for row in rows {
            let code = row.product_code.clone();
            match row.read() {
                Some(price) => prices.push(price),
                None => flaws.push(format!("an amount of {code} is no number, or out of range")),
            }
        }
        if prices.is_empty()
            && let Some(first) = flaws.first()
        {
            return Err(call.lost(&format!("no price can be read: {first}")));
        }
        Ok((prices, flaws))
    }

    async fn by_code<T, F>(
        &self,
        codes: &[String],
        ask: impl Fn(Vec<String>) -> F,
        code_of: impl Fn(&T) -> String,
    ) -> Result<ByCode<T>, OutsideError>
    where
        F: Future<Output = Result<Rows<T>, OutsideError>>,
    {
        let mut seen = HashSet::new();
        let wanted: Vec<String> = codes.iter().filter(|code| seen.insert(code.as_str())).cloned().collect();
        let mut result =
            ByCode { found: BTreeMap::new(), unknown: Vec::new(), flaws: Vec::new(), unasked: None };
        for (nth, chunk) in wanted.chunks(PRODUCT_CODES_MAX).enumerate() {
            match ask(chunk.to_vec()).await {
                Ok((rows, flaws)) => {
                    result.flaws.extend(flaws);
                    let asked: HashSet<&str> = chunk.iter().map(String::as_str).collect();
                    let rows = rows.into_iter().map(|row| (code_of(&row), row));
                    result.found.extend(rows.filter(|(code, _)| asked.contains(code.as_str())));
                    let missing = chunk.iter().filter(|code| !result.found.contains_key(*code));
                    result.unknown.extend(missing.cloned());
                }
                Err(error) if nth == 0 => return Err(error),
                Err(error) => {
                    let codes = wanted[nth * PRODUCT_CODES_MAX..].to_vec();
                    result.unasked = Some(Unasked { codes, error });
                    break;
                }
            }
        }
        Ok(result)
    }
}

/// Rows that were read, and what is wrong with the others.
type Rows<T> = (Vec<T>, Vec<String>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedRow {
    #[serde(deserialize_with = "text")]
    product_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceRow {
    #[serde(deserialize_with = "text")]
    product_code: String,
    #[serde(default, deserialize_with = "maybe_text")]
    supply_price: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    invoice_price: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    rebate_rate: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    rebate_money: Option<String>,
    #[serde(default, deserialize_with = "text")]
    stock_rebate_policy: String,
    #[serde(default, deserialize_with = "maybe_text")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    is_sales: bool,
}

impl PriceRow {
    /// None when a number cannot be read or held.
    fn read(self) -> Option<Price> {
        let decimal = |text: &Option<String>| text.as_deref().map(str::parse::<Decimal>).transpose().ok();
        let supply = decimal(&self.supply_price)?;
        let invoice = decimal(&self.invoice_price)?;
        let rate = decimal(&self.rebate_rate)?.unwrap_or_default();
        let rebate = decimal(&self.rebate_money)?.unwrap_or_default();
        let fen = |amount: Option<Decimal>| amount.map(Decimal::to_fen_half_up).transpose().ok();
        let computed = supply.and_then(|supply| {
            supply.checked_mul(Decimal::new(1, 0).checked_sub(rate)?)?.checked_sub(rebate)
        });
        Some(Price {
            code: self.product_code,
            supply: fen(supply)?,
            invoice: fen(invoice)?,
            invoice_computed: fen(computed)?,
            rebate_rate: rate,
            rebate: rebate.to_fen_half_up().ok()?,
            rebate_policy: self.stock_rebate_policy,
            is_for_sale: self.is_sales,
            refusal: self.reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        serde_json::from_str::<PriceRow>(text).unwrap().read().unwrap()
    }

    #[test]
    fn an_invoice_price_that_its_parts_do_not_make_is_seen() {
        let row = r#"{"productCode":"F1","supplyPrice":1999.00,"invoicePrice":1879.05,"rebateRate":0.05,
            "rebateMoney":20.00,"stockRebatePolicy":0,"reason":"","isSales":"1"}"#;
        let good = price(row);
        assert_eq!(good.invoice_computed, Some(Fen(187_905)));
        assert_eq!((good.adds_up(), good.refusal, good.is_for_sale), (Some(true), None, true));
        let text = row.replace("1879.05", "\"1879.07\"").replace(":0,", ":\"COM\",");
        assert_eq!((price(&text).adds_up(), price(&text).rebate_policy.as_str()), (Some(false), "COM"));
    }

    #[test]
    fn no_price_is_not_a_price_of_nothing() {
        let row = price(r#"{"productCode":"F2","supplyPrice":null,"reason":"价格未生效","isSales":"0"}"#);
        assert_eq!((row.supply, row.invoice, row.adds_up()), (None, None, None));
        assert_eq!(row.refusal.as_deref(), Some("价格未生效"));
    }
}
