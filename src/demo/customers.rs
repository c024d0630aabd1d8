//! Who a basket belongs to: an order needs a name, a phone and an address, which no file of ours holds.

use serde_json::{Value, json};
use windlass_jobs::orders::{Address, BadOrder, Customer, Order, OrderLine};

use super::input::Basket;

/// The basket as an order of the API.
///
/// # Errors
/// When it breaks a bound of orders.
pub fn order(basket: &Basket) -> Result<Order, BadOrder> {
    let customer = Customer {
        openid: openid(basket),
        name: format!("顾客 {}", cut(&basket.customer, 40)),
        mobile: format!("130{:08}", hash(&basket.customer) % 100_000_000),
        email: Some(format!("{:016x}@customers.example", hash(&basket.customer))),
    };
    let address = Address {
        province: "江苏省".into(),
        city: "南京市".into(),
        area: "鼓楼区".into(),
        town: None,
        detail: format!("测试路 {} 号", hash(&basket.customer) % 999 + 1),
        county_code: "320106".into(),
    };
    let lines = basket.lines.iter().map(|line| OrderLine {
        product_code: line.product_code.to_string(),
        name: cut(if line.name.is_empty() { &line.product_code } else { &line.name }, 120),
        quantity: i64::from(line.quantity),
        unit_price_fen: line.unit_price_fen,
        discount_fen: 0,
    });
    Order::new(basket.no.clone(), customer, address, lines.collect())
}

/// What the customer does at the till: the sandbox's side of the payment.
pub fn checkout(basket: &Basket, total_fen: i64) -> Value {
    let pays_after_s = match basket.pays {
        super::input::Pays::AfterSecs(secs) => Some(secs),
        super::input::Pays::Never => None,
    };
    json!({
        "out_trade_no": basket.no,
        "total_fen": total_fen,
        "openid": openid(basket),
        "pays_after_s": pays_after_s,
    })
}

fn openid(basket: &Basket) -> String {
    format!("oDEMO{:016x}", hash(&basket.customer))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// FNV-1a: the same for the same customer in every run.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
