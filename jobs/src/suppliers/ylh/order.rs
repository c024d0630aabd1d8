//! A supplier order, and the JSON that it makes (facts: ylh.md 4).
//!
//! Amounts are per unit and add up: `totalQty` and `totalAmt` are computed from the lines, never given.

use serde::Serialize;
use windlass_engine::Timestamp;

use super::YlhSettings;
use crate::money::{Fen, YuanNumber};

#[derive(Clone, Debug)]
pub struct SupplierOrder {
    /// Our sub-order number: what YLH recognises a repetition by.
    pub so_id: String,
    /// Our order number.
    pub online_no: String,
    pub consignee: Consignee,
    pub remark: String,
    pub created_at: Timestamp,
    pub distribution_at: Option<Timestamp>,
    pub install_at: Option<Timestamp>,
    /// A subsidy order.
    pub is_government_order: bool,
    pub lines: Vec<SupplierLine>,
}

/// Who gets the goods. Province, city and area are names, not codes.
#[derive(Clone)]
pub struct Consignee {
    pub name: String,
    pub mobile: String,
    pub province: String,
    pub city: String,
    pub area: String,
    pub town: String,
    pub detail_address: String,
}

/// Shows where the goods go and not to whom.
impl std::fmt::Debug for Consignee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consignee")
            .field("province", &self.province)
            .field("city", &self.city)
            .field("area", &self.area)
            .finish_non_exhaustive()
    }
}

/// A line; amounts are per unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierLine {
    pub product_code: String,
    pub quantity: u32,
    pub retail_price: Fen,
    pub discount: Fen,
    pub is_gift: bool,
}

/// Why an order cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderFlaw {
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("a line has no units")]
    NoUnits,
    #[error("a discount is negative or above the price")]
    DiscountOutOfRange,
    #[error("an amount is out of range")]
    AmountOutOfRange,
}

impl SupplierLine {
    /// What one unit costs after its discount.
    pub fn actual_price(&self) -> Option<Fen> {
        self.retail_price.checked_sub(self.discount)
    }

    /// Lines for `quantity` units that together cost exactly `paid`: one line when it divides evenly, else two
    /// whose unit prices differ by one fen.
    pub fn paying(product_code: &str, quantity: u32, retail_price: Fen, paid: Fen) -> Vec<SupplierLine> {
        let units = i64::from(quantity);
        if units == 0 {
            return Vec::new();
        }
        let (each, dearer) = (paid.get().div_euclid(units), paid.get().rem_euclid(units));
        let line = |count: i64, price: i64| SupplierLine {
            product_code: product_code.to_owned(),
            quantity: u32::try_from(count).expect("a part of a u32 is one"),
            retail_price,
            discount: Fen(retail_price.get().saturating_sub(price)),
            is_gift: false,
        };
        let lines = [line(units - dearer, each), line(dearer, each.saturating_add(1))];
        lines.into_iter().filter(|line| line.quantity > 0).collect()
    }
}

impl SupplierOrder {
    /// What the order costs: the sum of unit price times units.
    ///
    /// # Errors
    /// A flaw of the lines.
    pub fn total(&self) -> Result<Fen, OrderFlaw> {
        let of_line = |line: &SupplierLine| {
            if line.quantity == 0 {
                return Err(OrderFlaw::NoUnits);
            }
            if line.discount < Fen::ZERO || line.discount > line.retail_price {
                return Err(OrderFlaw::DiscountOutOfRange);
            }
            let price = line.actual_price().and_then(|price| price.checked_mul(i64::from(line.quantity)));
            price.ok_or(OrderFlaw::AmountOutOfRange)
        };
        self.lines.iter().try_fold(Fen::ZERO, |sum, line| {
            sum.checked_add(of_line(line)?).ok_or(OrderFlaw::AmountOutOfRange)
        })
    }

    /// What must not come into a log.
    pub(super) fn personal(&self) -> [&str; 3] {
        [&self.consignee.name, &self.consignee.mobile, &self.consignee.detail_address]
    }

    pub(super) fn to_json(&self, settings: &YlhSettings) -> Result<String, OrderFlaw> {
        self.check(settings)?;
        let to = &self.consignee;
        let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
        let both_at_once = self.distribution_at.is_some() && self.distribution_at == self.install_at;
        let wire = Wire {
            source_system: &settings.source_system,
            shop_name: &settings.shop_name,
            seller_code: &settings.seller_code,
            consignee_name: &to.name,
            consignee_mobile: &to.mobile,
            online_no: &self.online_no,
            so_id: &self.so_id,
            remark: &self.remark,
            total_qty: self.lines.iter().map(|line| u64::from(line.quantity)).sum(),
            total_amt: YuanNumber(self.total()?),
            create_time: self.created_at.millis(),
            province: &to.province,
            city: &to.city,
            area: &to.area,
            town: &to.town,
            detail_address: &to.detail_address,
            distribution_time: millis(self.distribution_at),
            install_time: millis(self.install_at),
            government_order: self.is_government_order,
            delivery_install: if both_at_once { "true" } else { "false" },
            item_list: self
                .lines
                .iter()
                .map(WireItem::of)
                .collect::<Option<_>>()
                .ok_or(OrderFlaw::AmountOutOfRange)?,
        };
        Ok(serde_json::to_string(&wire).expect("texts and numbers are JSON"))
    }

    fn check(&self, settings: &YlhSettings) -> Result<(), OrderFlaw> {
        let to = &self.consignee;
        let required = [
            ("soId", &self.so_id),
            ("onlineNo", &self.online_no),
            ("consigneeName", &to.name),
            ("consigneeMobile", &to.mobile),
            ("province", &to.province),
            ("city", &to.city),
            ("area", &to.area),
            ("detailAddress", &to.detail_address),
            ("sourceSystem", &settings.source_system),
            ("shopName", &settings.shop_name),
            ("sellerCode", &settings.seller_code),
        ];
        if let Some((name, _)) = required.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(OrderFlaw::Empty(name));
        }
        if self.lines.is_empty() {
            return Err(OrderFlaw::Empty("itemList"));
        }
        let nameless = self.lines.iter().any(|line| line.product_code.trim().is_empty());
        if nameless { Err(OrderFlaw::Empty("productCode")) } else { Ok(()) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    source_system: &'a str,
    shop_name: &'a str,
    seller_code: &'a str,
    consignee_name: &'a str,
    consignee_mobile: &'a str,
    online_no: &'a str,
    so_id: &'a str,
    remark: &'a str,
    total_qty: u64,
    total_amt: YuanNumber,
    create_time: i64,
    province: &'a str,
    city: &'a str,
    area: &'a str,
    town: &'a str,
    detail_address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    install_time: Option<i64>,
    government_order: bool,
    delivery_install: &'a str,
    item_list: Vec<WireItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireItem<'a> {
    product_code: &'a str,
    item_qty: u32,
    retail_price: YuanNumber,
    discount_amount: YuanNumber,
    actual_price: YuanNumber,
    is_gift: bool,
}

impl<'a> WireItem<'a> {
    fn of(line: &'a SupplierLine) -> Option<Self> {
        Some(Self {
            product_code: &line.product_code,
            item_qty: line.quantity,
            retail_price: YuanNumber(line.retail_price),
            discount_amount: YuanNumber(line.discount),
            actual_price: YuanNumber(line.actual_price()?),
            is_gift: line.is_gift,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(lines: Vec<SupplierLine>) -> SupplierOrder {
        let consignee = Consignee {
            name: "测试".into(),
            mobile: "13000000000".into(),
            province: "江苏省".into(),
            city: "南京市".into(),
            area: "鼓楼区".into(),
            town: String::new(),
            detail_address: "测试路1号".into(),
        };
        SupplierOrder {
            so_id: "P20260105001-1".into(),
            online_no: "P20260105001".into(),
            consignee,
            remark: String::new(),
            created_at: Timestamp::from_secs(1_767_578_400),
            distribution_at: None,
            install_at: None,
            is_government_order: false,
            lines,
        }
    }

    fn settings() -> YlhSettings {
        YlhSettings {
            source_system: "demo".into(),
            shop_name: "测试旗舰店".into(),
            seller_code: "8800000000".into(),
            ..Default::default()
        }
    }

    #[test]
    fn amounts_are_written_per_unit_and_exactly() {
        let lines = SupplierLine::paying("FAKE00001", 2, Fen(129_999), Fen(239_998));
        let text = order(lines).to_json(&settings()).unwrap();
        assert!(text.contains(r#""totalQty":2,"totalAmt":2399.98,"createTime":1767578400000"#), "{text}");
        assert!(
            text.contains(
                r#""itemQty":2,"retailPrice":1299.99,"discountAmount":100.00,"actualPrice":1199.99"#
            )
        );
        assert!(text.contains(r#""deliveryInstall":"false""#) && !text.contains("installTime"));
    }

    #[test]
    fn delivery_and_installation_are_one_visit_only_when_both_times_are_equal() {
        let noon = Some(Timestamp::from_secs(1_767_585_600));
        let written = |distribution_at, install_at| {
            let lines = SupplierLine::paying("F", 1, Fen(1), Fen(1));
            let order = SupplierOrder { distribution_at, install_at, ..order(lines) };
            order.to_json(&settings()).unwrap().contains(r#""deliveryInstall":"true""#)
        };
        assert!(written(noon, noon));
        assert!(!written(noon, None) && !written(None, None));
    }

    #[test]
    fn an_order_whose_parts_do_not_make_one_is_not_written() {
        let line = SupplierLine::paying("F", 1, Fen(100), Fen(200));
        assert_eq!(order(line).to_json(&settings()), Err(OrderFlaw::DiscountOutOfRange));
        assert_eq!(order(vec![]).to_json(&settings()), Err(OrderFlaw::Empty("itemList")));
        let fine = order(SupplierLine::paying("F", 1, Fen(100), Fen(100)));
        assert_eq!(fine.to_json(&YlhSettings::default()), Err(OrderFlaw::Empty("sourceSystem")));
        assert!(!format!("{fine:?}").contains("13000000000"));
    }

    proptest! {
        #[test]
        fn lines_add_up_to_what_was_paid(units in 1_u32..500, price in 1_i64..1_000_000, share in 0_i64..=1000) {
            let retail = Fen(price);
            let paid = Fen(price * i64::from(units) * share / 1000);
            let lines = SupplierLine::paying("F", units, retail, paid);
            prop_assert!(lines.len() <= 2);
            prop_assert_eq!(lines.iter().map(|line| line.quantity).sum::<u32>(), units);
            prop_assert_eq!(order(lines).total(), Ok(paid));
        }
    }
}
