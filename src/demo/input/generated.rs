//! Orders made up from a seed: mostly plain, some that a shop would rather not have.

use fastrand::Rng;

use super::{Basket, Input, Line, Pays};

const PRODUCTS: [(&str, &str, i64); 8] = [
    ("BCD-510WGH", "对开门冰箱 510L", 459_900),
    ("EC6001-HT3", "电热水器 60L", 129_999),
    ("XQG100-B14", "滚筒洗衣机 10kg", 289_900),
    ("KFR-35GW", "壁挂空调 1.5 匹", 269_900),
    ("HT-BD1700", "吸油烟机", 199_999),
    ("JZT-QE5B1", "燃气灶", 89_900),
    ("HW8-X20", "洗碗机 8 套", 329_900),
    ("PF-3058", "净水滤芯", 12_990),
];

/// `count` orders, the same for the same seed. `run` sets the numbers of one demo apart from another's.
pub fn generate(count: usize, seed: u64, run: &str) -> Input {
    let mut dice = Rng::with_seed(seed);
    let baskets: Vec<_> = (1..=count).map(|nth| basket(&mut dice, nth, run)).collect();
    Input { baskets, ..Input::default() }
}

/// The shop has to give the money of this order back.
pub fn put_out_of_stock(basket: &mut Basket) {
    basket.pays = Pays::AfterSecs(60);
    basket.cancelled = false;
    for line in &mut basket.lines {
        line.product_code = format!("OUT-{}", line.product_code).into();
    }
}

fn basket(dice: &mut Rng, nth: usize, run: &str) -> Basket {
    let mut lines: Vec<_> = (0..dice.usize(1..=3)).map(|_| line(dice)).collect();
    // Out of a hundred: two not sold any more, two out of stock, two that the supplier turns down, two that
    // nobody pays, three that the customer cancels.
    let fate = dice.u8(0..100);
    let spoil =
        |line: &mut Line, prefix: &str| line.product_code = format!("{prefix}-{}", line.product_code).into();
    match fate {
        0 | 1 => spoil(&mut lines[0], "NONE"),
        2 | 3 => spoil(&mut lines[0], "OUT"),
        4 | 5 => spoil(&mut lines[0], "FAIL"),
        _ => {}
    }
    Basket {
        no: format!("SO{run}-{nth:06}"),
        customer: format!("customer-{}", dice.u32(1..=count_of_customers(nth))),
        lines,
        pays: if matches!(fate, 6 | 7) { Pays::Never } else { Pays::AfterSecs(dice.u32(5..300)) },
        cancelled: matches!(fate, 8..=10),
    }
}

/// Some customers come back.
fn count_of_customers(nth: usize) -> u32 {
    u32::try_from(nth).unwrap_or(u32::MAX).saturating_mul(2).max(10)
}

fn line(dice: &mut Rng) -> Line {
    let (code, name, price) = PRODUCTS[dice.usize(..PRODUCTS.len())];
    Line { product_code: code.into(), name: name.into(), quantity: dice.u32(1..=3), unit_price_fen: price }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_orders() {
        assert_eq!(generate(50, 7, "A").baskets, generate(50, 7, "A").baskets);
        assert_ne!(generate(50, 7, "A").baskets, generate(50, 8, "A").baskets);
    }

    #[test]
    fn a_few_hundred_orders_have_every_fate() {
        let input = generate(400, 1, "A");
        let has = |what: fn(&Basket) -> bool| input.baskets.iter().any(what);
        assert!(has(|b| b.cancelled) && has(|b| b.pays == Pays::Never));
        for prefix in ["NONE", "OUT", "FAIL"] {
            assert!(input.baskets.iter().any(|b| b.lines[0].product_code.starts_with(prefix)), "{prefix}");
        }
    }
}
