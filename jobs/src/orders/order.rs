//! An order as the shop hands it in: the payload of `fulfil_order`, its bounds and its sums.
//!
//! Plain data; where it stands is the ledger's business.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

/// Lines of one order.
pub const LINES_MAX: usize = 1_000;
/// Units of one line.
pub const QUANTITY_MAX: i64 = 100_000;
/// Fen of one unit and of one order: a billion yuan.
pub const FEN_MAX: i64 = 100_000_000_000;

/// An order of the shop. Money is integer fen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The order's number, also its `out_trade_no` at WeChat (facts: wechat-pay.md 5).
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{6,32}$"))]
    pub no: String,
    /// RFC 3339. Absent: when it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), extend("format" = "date-time"))]
    pub placed_at: Option<String>,
    pub customer: Customer,
    pub address: Address,
    #[schemars(length(min = 1, max = 1000))]
    pub lines: Vec<OrderLine>,
    /// What the customer pays: the lines' quantity x (unit price - discount), added up.
    #[schemars(range(min = 1, max = 100_000_000_000_i64))]
    pub total_fen: i64,
    /// RFC 3339: unpaid then, the order is cancelled. Absent: after the shop's time to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 500))]
    pub remark: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// The payer's id in the mini program.
    #[schemars(length(min = 1, max = 128))]
    pub openid: String,
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    #[schemars(regex(pattern = r"^[0-9+() -]{5,20}$"))]
    pub mobile: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[^@\s]{1,64}@[^@\s]{1,190}$"))]
    pub email: Option<String>,
}

/// Names, not codes (facts: ylh.md 4), except the county, which Haier's stock call wants by its six digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    #[schemars(length(min = 1, max = 64))]
    pub province: String,
    #[schemars(length(min = 1, max = 64))]
    pub city: String,
    #[schemars(length(min = 1, max = 64))]
    pub area: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub town: Option<String>,
    #[schemars(length(min = 1, max = 200))]
    pub detail: String,
    #[schemars(regex(pattern = r"^[0-9]{6}$"))]
    pub county_code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    #[schemars(length(min = 1, max = 64))]
    pub product_code: String,
    #[schemars(length(min = 1, max = 120))]
    pub name: String,
    #[schemars(range(min = 1, max = 100_000))]
    pub quantity: i64,
    #[schemars(range(min = 0, max = 100_000_000_000_i64))]
    pub unit_price_fen: i64,
    /// Off each unit.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000_000_000_i64))]
    pub discount_fen: i64,
}

/// Why an order cannot be taken as it is. No repetition helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrder {
    #[error("{0}: {1}")]
    Field(String, &'static str),
    #[error("/total_fen: the lines add up to {lines_fen} fen, the total says {total_fen}")]
    Sum { lines_fen: i64, total_fen: i64 },
}

impl Order {
    /// An order whose total is the sum of its lines, checked.
    pub fn new(
        no: impl Into<String>,
        customer: Customer,
        address: Address,
        lines: Vec<OrderLine>,
    ) -> Result<Self, BadOrder> {
        let total_fen = sum_fen(&lines)?;
        let order = Self {
            no: no.into(),
            placed_at: None,
            customer,
            address,
            lines,
            total_fen,
            expires_at: None,
            remark: String::new(),
        };
        order.check()?;
        Ok(order)
    }

    /// What the schema cannot say, and the bounds again for orders that did not come through the front door.
    pub fn check(&self) -> Result<(), BadOrder> {
        let must = |fits: bool, pointer: &str, why| {
            if fits { Ok(()) } else { Err(BadOrder::Field(pointer.to_owned(), why)) }
        };
        let number = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        must(
            (6..=32).contains(&self.no.len()) && self.no.chars().all(number),
            "/no",
            "6 to 32 letters, digits, - or _",
        )?;
        must(!self.customer.openid.is_empty(), "/customer/openid", "is empty")?;
        must(!self.lines.is_empty(), "/lines", "is empty")?;
        must(self.lines.len() <= LINES_MAX, "/lines", "too many lines")?;
        must(!self.has_nul(), "", "a text holds a NUL character")?;
        for (field, at) in [("/placed_at", &self.placed_at), ("/expires_at", &self.expires_at)] {
            let reads = at.as_deref().is_none_or(|at| Timestamp::parse_rfc3339(at).is_ok());
            must(reads, field, "is no RFC 3339 instant")?;
        }
        let lines_fen = sum_fen(&self.lines)?;
        must(lines_fen > 0, "/total_fen", "an order of nothing needs no payment")?;
        if lines_fen == self.total_fen {
            Ok(())
        } else {
            Err(BadOrder::Sum { lines_fen, total_fen: self.total_fen })
        }
    }

    /// PostgreSQL stores no NUL in a text (design: sql.md).
    fn has_nul(&self) -> bool {
        serde_json::to_string(self).is_ok_and(|json| json.contains("\\u0000"))
    }

    /// When it was placed; `now` when the shop does not say.
    pub fn placed_at(&self, now: Timestamp) -> Timestamp {
        self.placed_at.as_deref().and_then(|at| Timestamp::parse_rfc3339(at).ok()).unwrap_or(now)
    }

    /// When it is given up for unpaid: as the shop says, else `time_to_pay` after `now`.
    pub fn expires_at(&self, now: Timestamp, time_to_pay: Duration) -> Timestamp {
        let said = self.expires_at.as_deref().and_then(|at| Timestamp::parse_rfc3339(at).ok());
        said.unwrap_or(now + time_to_pay)
    }

    /// SHA-256 of the order as handed in: the same for a repeat, another for another order.
    pub fn fingerprint(&self) -> String {
        let json = serde_json::to_vec(self).expect("an order is plain data");
        let hash = ring::digest::digest(&ring::digest::SHA256, &json);
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl OrderLine {
    /// What the customer pays for one unit.
    pub fn actual_fen(&self) -> i64 {
        self.unit_price_fen.saturating_sub(self.discount_fen)
    }
}

/// Per-unit prices that add up (facts: ylh.md 4).
fn sum_fen(lines: &[OrderLine]) -> Result<i64, BadOrder> {
    let mut sum: i64 = 0;
    for (n, line) in lines.iter().enumerate() {
        let bad = |field: &str, why| BadOrder::Field(format!("/lines/{n}/{field}"), why);
        if !(1..=QUANTITY_MAX).contains(&line.quantity) {
            return Err(bad("quantity", "is out of bounds"));
        }
        if !(0..=FEN_MAX).contains(&line.unit_price_fen) {
            return Err(bad("unit_price_fen", "is out of bounds"));
        }
        if !(0..=line.unit_price_fen).contains(&line.discount_fen) {
            return Err(bad("discount_fen", "is more than the price"));
        }
        let line_fen = line.actual_fen().checked_mul(line.quantity);
        sum = line_fen
            .and_then(|line_fen| sum.checked_add(line_fen))
            .filter(|sum| *sum <= FEN_MAX)
            .ok_or_else(|| bad("quantity", "takes the order over the greatest total"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn order(lines: Vec<OrderLine>) -> Result<Order, BadOrder> {
        let customer =
            Customer {
                openid: "o1".into(), name: "测试".into(), mobile: "13000000000".into(), email: None
            };
        let address = Address {
            province: "江苏省".into(),
            city: "南京市".into(),
            area: "鼓楼区".into(),
            town: None,
            detail: "测试路1号".into(),
            county_code: "320106".into(),
        };
        Order::new("SO-1001", customer, address, lines)
    }

    fn line(quantity: i64, unit_price_fen: i64, discount_fen: i64) -> OrderLine {
        OrderLine { product_code: "P1".into(), name: "冰箱".into(), quantity, unit_price_fen, discount_fen }
    }

    proptest! {
        #[test]
        fn a_total_that_is_off_by_anything_is_refused(
            quantity in 1i64..1_000, price in 1i64..1_000_000, off in prop_oneof![-1_000i64..0, 1i64..1_000],
        ) {
            let mut order = order(vec![line(quantity, price, 0), line(1, 7, 2)]).unwrap();
            prop_assert_eq!(order.total_fen, quantity * price + 5);
            order.total_fen += off;
            prop_assert!(matches!(order.check(), Err(BadOrder::Sum { .. })), "accepted");
        }

        #[test]
        fn sums_never_overflow(quantity in any::<i64>(), price in any::<i64>(), discount in any::<i64>()) {
            let _ = order(vec![line(quantity, price, discount); 3]);
        }
    }

    #[test]
    fn a_discount_above_the_price_is_refused() {
        assert!(
            matches!(order(vec![line(1, 100, 101)]), Err(BadOrder::Field(field, _)) if field == "/lines/0/discount_fen")
        );
    }

    #[test]
    fn another_order_has_another_fingerprint() {
        let one = order(vec![line(1, 100, 0)]).unwrap();
        let other = order(vec![line(2, 50, 0)]).unwrap();
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut json = serde_json::to_value(order(vec![line(1, 100, 0)]).unwrap()).unwrap();
        json["surprise"] = true.into();
        assert!(serde_json::from_value::<Order>(json).is_err());
    }

    #[test]
    fn the_schema_names_the_bounds() {
        let schema = schemars::schema_for!(Order).to_value();
        assert_eq!(schema["properties"]["lines"]["maxItems"], LINES_MAX);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["$defs"]["OrderLine"]["properties"]["quantity"]["maximum"], QUANTITY_MAX);
        assert_eq!(schema["properties"]["no"]["pattern"], "^[A-Za-z0-9_-]{6,32}$");
    }
}
