//! Haier's goods: every product code exists, and all that is known of it follows from the code, the seed and, for what
//! moves, the shop's time; save for codes that begin with a word: `NONE` cannot be bought, `NOPRICE` has no price yet,
//! `OUT` is out of stock.
//!
//! The first 200 products never change. Those after them have prices that move, leave sale and come back, and run
//! through different quantities, each at a rhythm of its own; one price in a thousand does not add up.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::desk::{Goods, Odd};
use crate::draw::{Span, draw};
use crate::times;

/// How many products never change.
pub(super) const STILL: u32 = 200;
/// At least so many pieces of everything: a sandbox should not run dry because somebody replays a real year.
const STOCK_MIN: u64 = 100_000;
const REBATES_PERCENT: [u64; 3] = [0, 5, 10];
const GROUPS: [&str; 5] = ["冰箱", "洗衣机", "空调", "电热水器", "油烟机"];
/// How long one price, one spell on or off sale, one quantity lasts: each product has its own length.
const PRICE_LASTS: Span = Span::hours(4, 48);
const SPELL_LASTS: Span = Span::hours(12, 72);
const STOCK_LASTS: Span = Span::minutes(10, 90);
/// One product in so many is ever off sale, and then one spell in so many.
const FICKLE_ONE_IN: u64 = 10;
const OFF_ONE_IN: u64 = 3;
/// One price in so many has an invoice price that its parts do not make, by so much.
const MISMATCH_ONE_IN: u64 = 1_000;
const MISMATCH_FEN: u64 = 100;

/// Haier's world at an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) seed: u64,
    pub(crate) goods: Goods,
    pub(crate) at: Timestamp,
}

/// A product as it really is at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductTruth {
    pub product_code: String,
    pub for_sale: bool,
    /// None: there is no price.
    pub supply_fen: Option<i64>,
    /// As Haier says it, right or wrong.
    pub invoice_fen: Option<i64>,
    /// The invoice price is not what list price and rebates make.
    pub mismatched: bool,
}

struct Amounts {
    supply_fen: u64,
    percent: u64,
    money_fen: u64,
    invoice_fen: u64,
    mismatched: bool,
}

/// Why a product can never be bought, if so.
pub(crate) fn refusal(code: &str) -> Option<&'static str> {
    code.starts_with("NONE").then_some("产品未投放")
}

pub(crate) fn lacks_price(code: &str) -> bool {
    code.starts_with("NOPRICE")
}

pub(crate) fn is_out_of_stock(code: &str) -> bool {
    code.starts_with("OUT")
}

impl Day {
    fn draw(&self, about: &[&str], nth: u64) -> u64 {
        draw(self.seed, about, nth)
    }

    fn codes(&self) -> impl Iterator<Item = String> {
        (1..=self.goods.products).map(|n| format!("FAKE{n:05}"))
    }

    /// What is for sale now: what answers when nothing is asked for by code.
    pub(super) fn listed(&self) -> Vec<String> {
        self.codes().filter(|code| self.refusal(code).is_none()).collect()
    }

    /// Everything as it is now, in the order of the codes.
    pub(crate) fn truth(&self) -> Vec<ProductTruth> {
        self.codes()
            .map(|code| {
                let for_sale = self.refusal(&code).is_none();
                let amounts = (for_sale && !lacks_price(&code)).then(|| self.amounts(&code));
                let fen = |of: fn(&Amounts) -> u64| amounts.as_ref().map(|amounts| of(amounts) as i64);
                ProductTruth {
                    for_sale,
                    supply_fen: fen(|amounts| amounts.supply_fen),
                    invoice_fen: fen(|amounts| amounts.invoice_fen),
                    mismatched: amounts.as_ref().is_some_and(|amounts| amounts.mismatched),
                    product_code: code,
                }
            })
            .collect()
    }

    /// The pieces of a product for a county.
    pub(crate) fn pieces(&self, code: &str, county: &str) -> u64 {
        if is_out_of_stock(code) {
            return 0;
        }
        let nth = self.spell("stock", code, STOCK_LASTS);
        let drawn = match nth {
            0 => self.draw(&["stock", code], 0),
            nth => self.draw(&["stock", code, county], nth),
        };
        STOCK_MIN + drawn % (9 * STOCK_MIN)
    }

    fn moves(&self, code: &str) -> bool {
        let number = code.strip_prefix("FAKE").filter(|digits| digits.len() == 5);
        let number = number.and_then(|digits| digits.parse::<u32>().ok());
        number.is_some_and(|n| n > STILL && n <= self.goods.products)
    }

    /// The running number of the spell that a product is in; 0: it never changes.
    fn spell(&self, of: &str, code: &str, lasts: Span) -> u64 {
        if !self.moves(code) {
            return 0;
        }
        let length = lasts.pick(self.draw(&["lasts", of, code], 0)).as_secs().max(1);
        let phase = self.draw(&["phase", of, code], 0) % length;
        (self.at.secs().unsigned_abs() + phase) / length
    }

    fn refusal(&self, code: &str) -> Option<&'static str> {
        if let Some(never) = refusal(code) {
            return Some(never);
        }
        let nth = self.spell("sale", code, SPELL_LASTS);
        let is_off = nth > 0
            && self.draw(&["fickle", code], 0).is_multiple_of(FICKLE_ONE_IN)
            && self.draw(&["off", code], nth).is_multiple_of(OFF_ONE_IN);
        is_off.then_some("产品已下架")
    }

    fn amounts(&self, code: &str) -> Amounts {
        let drawn = self.draw(&["price", code], 0);
        let nth = self.spell("price", code, PRICE_LASTS);
        let moved = match nth {
            0 => 100,
            nth => 90 + self.draw(&["moved", code], nth) % 21,
        };
        // Whole yuan, so that a rebate of whole percents leaves whole fen.
        let supply_fen = (100 + drawn % 9_900) * moved / 100 * 100;
        let percent = REBATES_PERCENT[(drawn >> 20) as usize % REBATES_PERCENT.len()];
        let money_fen = if percent == 0 { 0 } else { (drawn >> 30) % 30 * 100 };
        let mismatched = nth > 0 && self.draw(&["mismatch", code], nth).is_multiple_of(MISMATCH_ONE_IN);
        let invoice_fen =
            supply_fen * (100 - percent) / 100 - money_fen + if mismatched { MISMATCH_FEN } else { 0 };
        Amounts { supply_fen, percent, money_fen, invoice_fen, mismatched }
    }

    pub(super) fn product(&self, code: &str) -> Value {
        if let Some(reason) = self.refusal(code) {
            return json!({"productCode": code, "isSales": "0", "noSalesReason": reason});
        }
        let drawn = self.draw(&["product", code], 0);
        let group = GROUPS[drawn as usize % GROUPS.len()];
        json!({
            "productCode": code,
            "productModel": format!("WL-{:06}", drawn % 1_000_000),
            "productGroupNamd": group,
            "productBrandName": "海尔",
            "productImageUrl": format!("https://img.example/{code}.jpg"),
            "productLageUrls": [format!("https://img.example/{code}-1.jpg")],
            "isSales": "1",
            "noSalesReason": "",
        })
    }

    pub(super) fn price(&self, code: &str) -> Value {
        let without = |reason: &str| {
            json!({"productCode": code, "supplyPrice": null, "invoicePrice": null, "rebateRate": 0, "rebateMoney": 0,
                "stockRebatePolicy": 0, "reason": reason, "isSales": "0"})
        };
        if self.refusal(code).is_some() {
            return without("商品暂不可采");
        }
        if lacks_price(code) {
            return without("价格未生效");
        }
        let amounts = self.amounts(code);
        json!({
            "productCode": code,
            "supplyPrice": yuan(amounts.supply_fen),
            "invoicePrice": yuan(amounts.invoice_fen),
            "rebateRate": amounts.percent as f64 / 100.0,
            "rebateMoney": yuan(amounts.money_fen),
            "stockRebatePolicy": 0,
            "reason": "",
            "isSales": "1",
        })
    }

    /// Two stores: Haier's own and the one above it.
    pub(super) fn stock(&self, code: &str, county: &str) -> Value {
        let pieces = self.pieces(code, county);
        let here = pieces * 2 / 3;
        let row = |store: &str, pieces: u64, grade: &str, hours: u64| {
            let arrives = times::beijing(self.at + Duration::from_secs(hours * 3600))
                .format("%Y-%m-%d 23:59:59")
                .to_string();
            json!({
                "secCode": store,
                "stock": pieces.to_string(),
                "warehouseGrade": grade,
                "timelinessData": {"cutTime": "16:00:00", "achieveUserOrderCut": arrives, "hour": hours.to_string(),
                    "isTranfer": grade},
            })
        };
        json!([row("WH01", here, "0", 48), row("WH02", pieces - here, "1", 72)])
    }

    /// What is left on the payer accounts: the first pays for what was ordered.
    pub(super) fn balance(&self, ordered_fen: i64) -> Value {
        let row = |nth: u64, spent_fen: i64| {
            let drawn = 200_000_000 + (self.draw(&["balance"], nth) % 800_000_000) as i64;
            let fen = self.goods.balance_fen.unwrap_or(drawn) - spent_fen;
            json!({
                "saleGroupCode": format!("SG{nth:02}"),
                "saleGroupName": format!("销售组织{nth}"),
                "payerAccountCode": format!("88000000{nth:02}"),
                "payerAccountName": format!("付款方{nth}"),
                "payerAccountBalance": fen as f64 / 100.0,
            })
        };
        json!([row(1, ordered_fen), row(2, 0)])
    }
}

/// The rows in an odd form; `Err`: the whole answer instead of an envelope.
pub(super) fn in_odd_form(odd: Odd, data: &Value) -> Result<Value, Value> {
    let Some(rows) = data.as_array() else { return Ok(data.clone()) };
    match odd {
        Odd::MissingRows => {
            let left = rows.iter().enumerate().filter(|(nth, _)| nth % 3 != 2);
            Ok(left.map(|(_, row)| row.clone()).collect())
        }
        Odd::WrongType => {
            let mut rows = rows.clone();
            if let Some(first) = rows.first_mut() {
                for field in ["productImageUrl", "supplyPrice", "stock"] {
                    if first.get(field).is_some() {
                        first[field] = json!({"value": [1]});
                    }
                }
            }
            Ok(json!(rows))
        }
        Odd::NoData => Ok(Value::Null),
        Odd::OtherTypes => {
            let mut rows = decimals_as_text(data);
            for row in rows.as_array_mut().into_iter().flatten() {
                if let Some(flag) = row.get_mut("isSales") {
                    *flag = json!(i32::from(*flag == json!("1")));
                }
            }
            Err(rows)
        }
    }
}

/// The same as one object instead of a list.
pub(super) fn stock_in_one(rows: &Value) -> Value {
    let pieces: u64 = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["stock"].as_str().and_then(|pieces| pieces.parse::<u64>().ok()))
        .sum();
    let mut one = rows[0].clone();
    one["stock"] = json!(pieces.to_string());
    one
}

/// Every number with decimals as text, as a BigDecimal may arrive (facts: haier.md 5).
pub(super) fn decimals_as_text(data: &Value) -> Value {
    match data {
        Value::Array(rows) => rows.iter().map(decimals_as_text).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), decimals_as_text(value))).collect()
        }
        Value::Number(number) if number.is_f64() => json!(number.to_string()),
        other => other.clone(),
    }
}

/// Yuan as the JSON number that Haier prints.
fn yuan(fen: u64) -> f64 {
    fen as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_767_585_600;

    fn day(products: u32, at_secs: i64) -> Day {
        let goods = Goods { products, ..Goods::default() };
        Day { seed: 7, goods, at: Timestamp::from_secs(at_secs) }
    }

    #[test]
    fn the_invoice_price_is_what_the_document_computes_unless_the_truth_says_otherwise() {
        let mut wrong = 0;
        for truth in day(10_000, START).truth().iter().filter(|truth| truth.for_sale) {
            let row = day(10_000, START).price(&truth.product_code);
            let of = |field: &str| row[field].as_f64().unwrap();
            let computed = of("supplyPrice") * (1.0 - of("rebateRate")) - of("rebateMoney");
            let adds_up = (computed - of("invoicePrice")).abs() < 0.001;
            assert_eq!(adds_up, !truth.mismatched, "{row}");
            wrong += u32::from(truth.mismatched);
        }
        assert!((1..50).contains(&wrong), "{wrong}");
    }

    #[test]
    fn the_first_products_stand_still_and_the_others_move_leave_and_return() {
        let days: Vec<_> = (0..10).map(|n| day(2_000, START + n * 86_400).truth()).collect();
        let still = STILL as usize;
        assert!(days.iter().all(|truth| truth[..still] == days[0][..still]));
        let moved = (still..2_000).filter(|n| days[0][*n].supply_fen != days[1][*n].supply_fen).count();
        assert!(moved > 500, "{moved} prices moved in a day");
        let came_back = (still..2_000)
            .filter(|n| {
                let spells: Vec<bool> = days.iter().map(|truth| truth[*n].for_sale).collect();
                spells.windows(2).any(|two| two == [true, false])
                    && spells.windows(2).any(|two| two == [false, true])
            })
            .count();
        assert!(came_back > 0, "nothing left sale and came back");
        assert_eq!(days[3], day(2_000, START + 3 * 86_400).truth(), "the same again");
        let pieces = |at| day(2_000, at).pieces("FAKE01999", "320106");
        assert_ne!(pieces(START), pieces(START + 7_200));
    }

    #[test]
    fn a_word_in_front_of_the_code_says_what_is_wrong_with_it() {
        let day = day(STILL, START);
        assert_eq!(day.product("NONE1")["isSales"], "0");
        assert_eq!(day.price("NOPRICE1")["reason"], "价格未生效");
        assert_eq!(stock_in_one(&day.stock("OUT1", "320106"))["stock"], "0");
        let plenty = stock_in_one(&day.stock("FAKE1", "320106"));
        assert!(plenty["stock"].as_str().unwrap().parse::<u64>().unwrap() >= STOCK_MIN);
    }
}
