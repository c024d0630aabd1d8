//! Haier's goods: every product code exists, and all that is known of it follows from the code and the seed, save for
//! codes that begin with a word: `NONE` cannot be bought, `NOPRICE` has no price yet, `OUT` is out of stock.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::Timestamp;

use crate::draw::draw;
use crate::times;

/// How many products answer when none is asked for by code.
const LISTED: u32 = 200;
/// At least so many pieces of everything: a sandbox should not run dry because somebody replays a real year.
const STOCK_MIN: u64 = 100_000;
const REBATES_PERCENT: [u64; 3] = [0, 5, 10];
const GROUPS: [&str; 5] = ["冰箱", "洗衣机", "空调", "电热水器", "油烟机"];

/// Why a product cannot be bought, if so.
pub(crate) fn refusal(code: &str) -> Option<&'static str> {
    code.starts_with("NONE").then_some("产品未投放")
}

pub(crate) fn lacks_price(code: &str) -> bool {
    code.starts_with("NOPRICE")
}

pub(crate) fn is_out_of_stock(code: &str) -> bool {
    code.starts_with("OUT")
}

pub(super) fn listed() -> Vec<String> {
    (1..=LISTED).map(|n| format!("FAKE{n:05}")).collect()
}

pub(super) fn product(seed: u64, code: &str) -> Value {
    if let Some(reason) = refusal(code) {
        return json!({"productCode": code, "isSales": "0", "noSalesReason": reason});
    }
    let drawn = draw(seed, &["product", code], 0);
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

pub(super) fn price(seed: u64, code: &str) -> Value {
    let without = |reason: &str| {
        json!({"productCode": code, "supplyPrice": null, "invoicePrice": null, "rebateRate": 0, "rebateMoney": 0,
            "stockRebatePolicy": 0, "reason": reason, "isSales": "0"})
    };
    if refusal(code).is_some() {
        return without("商品暂不可采");
    }
    if lacks_price(code) {
        return without("价格未生效");
    }
    let drawn = draw(seed, &["price", code], 0);
    // Whole yuan, so that a rebate of whole percents leaves whole fen.
    let supply_fen = (100 + drawn % 9_900) * 100;
    let percent = REBATES_PERCENT[(drawn >> 20) as usize % REBATES_PERCENT.len()];
    let money_fen = if percent == 0 { 0 } else { (drawn >> 30) % 30 * 100 };
    let invoice_fen = supply_fen * (100 - percent) / 100 - money_fen;
    json!({
        "productCode": code,
        "supplyPrice": yuan(supply_fen),
        "invoicePrice": yuan(invoice_fen),
        "rebateRate": percent as f64 / 100.0,
        "rebateMoney": yuan(money_fen),
        "stockRebatePolicy": 0,
        "reason": "",
        "isSales": "1",
    })
}

/// Two stores: Haier's own and the one above it.
pub(super) fn stock(seed: u64, code: &str, now: Timestamp) -> Value {
    let pieces = match is_out_of_stock(code) {
        true => 0,
        false => STOCK_MIN + draw(seed, &["stock", code], 0) % (9 * STOCK_MIN),
    };
    let here = pieces * 2 / 3;
    let row = |store: &str, pieces: u64, grade: &str, hours: u64| {
        let arrives =
            times::beijing(now + Duration::from_secs(hours * 3600)).format("%Y-%m-%d 23:59:59").to_string();
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

pub(super) fn balance(seed: u64) -> Value {
    let row = |nth: u64| {
        let fen = 200_000_000 + draw(seed, &["balance"], nth) % 800_000_000;
        json!({
            "saleGroupCode": format!("SG{nth:02}"),
            "saleGroupName": format!("销售组织{nth}"),
            "payerAccountCode": format!("88000000{nth:02}"),
            "payerAccountName": format!("付款方{nth}"),
            "payerAccountBalance": yuan(fen),
        })
    };
    json!([row(1), row(2)])
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

    #[test]
    fn the_invoice_price_is_what_the_document_computes() {
        for n in 0..500 {
            let row = price(7, &format!("FAKE{n:05}"));
            let of = |field: &str| row[field].as_f64().unwrap();
            let computed = of("supplyPrice") * (1.0 - of("rebateRate")) - of("rebateMoney");
            assert!((computed - of("invoicePrice")).abs() < 0.001, "{row}");
        }
    }

    #[test]
    fn a_word_in_front_of_the_code_says_what_is_wrong_with_it() {
        assert_eq!(product(7, "NONE1")["isSales"], "0");
        assert_eq!(price(7, "NOPRICE1")["reason"], "价格未生效");
        assert_eq!(stock_in_one(&stock(7, "OUT1", Timestamp::default()))["stock"], "0");
        let plenty = stock_in_one(&stock(7, "FAKE1", Timestamp::default()));
        assert!(plenty["stock"].as_str().unwrap().parse::<u64>().unwrap() >= STOCK_MIN);
    }
}
