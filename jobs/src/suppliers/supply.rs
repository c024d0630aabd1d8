//! What Haier sells, at what price, and how much of it: asked for what is not known freshly, and kept.
//!
//! What was learned is kept even when the rest of the question failed, so that the next attempt asks for less. A
//! failed call is never "not for sale" and never "none in stock" (facts: haier.md 10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sqlx::AnyConnection;
use windlass_engine::{JobError, Timestamp};

use super::haier::{Price, Product};
use crate::ledger::LedgerError;
use crate::orders::LineRow;
use crate::outside::OutsideError;
use crate::shop::Shop;
use crate::verdict;

/// Units by product code.
pub type Wanted = BTreeMap<String, i64>;

/// Rows of one statement, as everywhere (design: sql.md, bulk load).
const ROWS_AT_ONCE: usize = 50;

/// The last good word on the products of one order.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    goods: BTreeMap<String, Good>,
    stock: BTreeMap<String, i64>,
}

#[derive(Clone, Debug)]
struct Good {
    /// Empty: can be bought.
    refusal: String,
    invoice_price_fen: i64,
}

impl Supply {
    /// Everything that there is to know of the products for that county.
    ///
    /// # Errors
    /// When something could not be learned; what could is kept for the next attempt.
    pub async fn of(shop: &Shop, wanted: &Wanted, county_code: &str) -> Result<Self, JobError> {
        let mut supply = Self::kept(shop, wanted, county_code).await?;

        let unknown = missing(wanted, &supply.goods);
        let learned = if unknown.is_empty() { Ok(()) } else { supply.ask_goods(shop, &unknown).await };
        let sold: Wanted = wanted
            .iter()
            .filter(|(code, _)| supply.goods.get(*code).is_some_and(|good| good.refusal.is_empty()))
            .map(|(code, units)| (code.clone(), *units))
            .collect();
        let uncounted = missing(&sold, &supply.stock);
        let counted = supply.ask_stock(shop, &uncounted, county_code).await;
        learned.and(counted)?;
        Ok(supply)
    }

    /// Why the order cannot be delivered, a line for each product at fault; empty when it can.
    pub fn refusals(&self, wanted: &Wanted) -> Vec<String> {
        let refusal = |(code, units): (&String, &i64)| {
            let good = self.goods.get(code)?;
            if !good.refusal.is_empty() {
                return Some(format!("{}: {code}", good.refusal));
            }
            let stock = self.stock.get(code).copied().unwrap_or(0);
            (stock < *units).then(|| format!("库存不足 (out of stock): {code}, {stock} of {units}"))
        };
        wanted.iter().filter_map(refusal).collect()
    }

    /// Products that were sold for less than Haier asks.
    pub fn below_cost(&self, lines: &[LineRow]) -> BTreeSet<String> {
        lines
            .iter()
            .filter(|line| {
                let good = self.goods.get(&line.product_code);
                good.is_some_and(|good| good.invoice_price_fen > line.actual_fen())
            })
            .map(|line| line.product_code.clone())
            .collect()
    }

    async fn kept(shop: &Shop, wanted: &Wanted, county_code: &str) -> Result<Self, LedgerError> {
        let since = (shop.clock.now() - Duration::from_secs(shop.settings.supply_fresh_s)).micros();
        let codes: Vec<&String> = wanted.keys().collect();
        let mut conn = shop.ledger.reads().acquire().await?;
        let mut supply = Self::default();
        for chunk in codes.chunks(ROWS_AT_ONCE) {
            supply.read_goods(&mut conn, chunk, since).await?;
            supply.read_stock(&mut conn, chunk, county_code, since).await?;
        }
        Ok(supply)
    }

    async fn read_goods(
        &mut self,
        conn: &mut AnyConnection,
        codes: &[&String],
        since: i64,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "SELECT product_code, refusal, invoice_price_fen FROM supply WHERE asked_at >= $1 \
             AND product_code IN ({})",
            numbered(2, codes.len())
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).persistent(false).bind(since);
        for code in codes {
            query = query.bind(code.as_str());
        }
        let rows: Vec<(String, String, i64)> = query.fetch_all(conn).await?;
        self.goods.extend(
            rows.into_iter()
                .map(|(code, refusal, invoice_price_fen)| (code, Good { refusal, invoice_price_fen })),
        );
        Ok(())
    }

    async fn read_stock(
        &mut self,
        conn: &mut AnyConnection,
        codes: &[&String],
        county_code: &str,
        since: i64,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "SELECT product_code, quantity FROM stock WHERE asked_at >= $1 AND county_code = $2 \
             AND product_code IN ({})",
            numbered(3, codes.len())
        );
        let mut query =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).persistent(false).bind(since).bind(county_code);
        for code in codes {
            query = query.bind(code.as_str());
        }
        let rows: Vec<(String, i64)> = query.fetch_all(conn).await?;
        self.stock.extend(rows);
        Ok(())
    }

    /// Asks what is sold and at what price.
    async fn ask_goods(&mut self, shop: &Shop, codes: &[String]) -> Result<(), JobError> {
        let products = shop.haier.products(codes).await.map_err(verdict::of_outside)?;
        let sold: Vec<String> =
            products.found.values().filter(|p| p.is_for_sale).map(|p| p.code.clone()).collect();
        let mut learned: Vec<(String, Good)> =
            products.found.into_values().filter(|p| !p.is_for_sale).map(not_sold).collect();
        let mut gap = products.unasked.map(|unasked| unasked.error);
        let mut silent = products.unknown;
        if !sold.is_empty() {
            match shop.haier.prices(&sold).await {
                Ok(prices) => {
                    learned.extend(prices.found.into_values().map(priced));
                    silent.extend(prices.unknown);
                    gap = gap.or(prices.unasked.map(|unasked| unasked.error));
                }
                Err(error) => gap = gap.or(Some(error)),
            }
        }
        keep_goods(shop, &learned).await?;
        self.goods.extend(learned);
        answered(gap, &silent)
    }

    /// Asks how many there are: a product a call (facts: haier.md 6).
    async fn ask_stock(&mut self, shop: &Shop, codes: &[String], county_code: &str) -> Result<(), JobError> {
        let ask = |code: String| async move {
            let stock = shop.haier.stock(&code, county_code).await;
            (code, stock.map(|stock| stock.quantity()))
        };
        let answers: Vec<(String, Result<i64, OutsideError>)> = stream::iter(codes.to_vec())
            .map(ask)
            .buffer_unordered(shop.settings.supply_questions_at_once.max(1))
            .collect()
            .await;
        let (mut learned, mut gap) = (Vec::new(), None);
        for (code, answer) in answers {
            match answer {
                Ok(quantity) => learned.push((code, quantity)),
                Err(error) => gap = Some(error),
            }
        }
        keep_stock(shop, county_code, &learned).await?;
        self.stock.extend(learned);
        answered(gap, &[])
    }
}

fn missing<T>(wanted: &Wanted, known: &BTreeMap<String, T>) -> Vec<String> {
    wanted.keys().filter(|code| !known.contains_key(*code)).cloned().collect()
}

fn not_sold(product: Product) -> (String, Good) {
    let refusal =
        product.refusal.filter(|text| !text.is_empty()).unwrap_or_else(|| "商品暂不可采".to_owned());
    (product.code, Good { refusal: format!("{refusal} (not procurable)"), invoice_price_fen: 0 })
}

fn priced(price: Price) -> (String, Good) {
    let refusal = match (&price.refusal, price.supply) {
        (Some(text), _) if !text.is_empty() => format!("{text} (no price)"),
        (_, None) => "价格未生效 (no price)".to_owned(),
        _ if !price.is_for_sale => "商品暂不可采 (not procurable)".to_owned(),
        _ => String::new(),
    };
    let invoice_price_fen = price.invoice.or(price.supply).map_or(0, |fen| fen.get());
    (price.code, Good { refusal, invoice_price_fen })
}

/// Whether everything that was asked was answered.
fn answered(gap: Option<OutsideError>, silent: &[String]) -> Result<(), JobError> {
    match (gap, silent.first()) {
        (Some(error), _) => Err(verdict::of_outside(error)),
        // Missing in the answer is "unknown", not "not for sale" (facts: haier.md 10).
        (None, Some(code)) => Err(JobError::retry(anyhow::anyhow!("Haier said nothing of {code}"))),
        (None, None) => Ok(()),
    }
}

/// In the order of the codes, so that two transactions which learned the same wait for each other in line.
async fn keep_goods(shop: &Shop, learned: &[(String, Good)]) -> Result<(), LedgerError> {
    if learned.is_empty() {
        return Ok(());
    }
    let now = shop.clock.now();
    let learned: BTreeMap<&str, &Good> = learned.iter().map(|(code, good)| (code.as_str(), good)).collect();
    let learned: Vec<_> = learned.into_iter().collect();
    let mut tx = shop.ledger.begin().await?;
    for chunk in learned.chunks(ROWS_AT_ONCE) {
        let sql = format!(
            "INSERT INTO supply (product_code, refusal, invoice_price_fen, asked_at) VALUES {} \
             ON CONFLICT (product_code) DO UPDATE SET refusal = excluded.refusal, \
             invoice_price_fen = excluded.invoice_price_fen, asked_at = excluded.asked_at",
            rows(chunk.len(), 3)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false).bind(now.micros());
        for (code, good) in chunk {
            query = query.bind(*code).bind(&good.refusal).bind(good.invoice_price_fen);
        }
        query.execute(tx.conn()).await?;
    }
    tx.commit().await
}

/// In the order of the codes, as [`keep_goods`].
async fn keep_stock(shop: &Shop, county_code: &str, learned: &[(String, i64)]) -> Result<(), LedgerError> {
    if learned.is_empty() {
        return Ok(());
    }
    let now: Timestamp = shop.clock.now();
    let learned: BTreeMap<&str, i64> = learned.iter().map(|(code, stock)| (code.as_str(), *stock)).collect();
    let learned: Vec<_> = learned.into_iter().collect();
    let mut tx = shop.ledger.begin().await?;
    for chunk in learned.chunks(ROWS_AT_ONCE) {
        let sql = format!(
            "INSERT INTO stock (product_code, county_code, quantity, asked_at) VALUES {} \
             ON CONFLICT (product_code, county_code) DO UPDATE SET quantity = excluded.quantity, \
             asked_at = excluded.asked_at",
            rows(chunk.len(), 3)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false).bind(now.micros());
        for (code, quantity) in chunk {
            query = query.bind(*code).bind(county_code).bind(*quantity);
        }
        query.execute(tx.conn()).await?;
    }
    tx.commit().await
}

/// `$2, $3, ..`: so many from `first`.
fn numbered(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// `($2, $3, $4, $1), ..`: rows of `columns` parameters each, and the instant, which is the first.
fn rows(count: usize, columns: usize) -> String {
    let row = |n: usize| format!("({}, $1)", numbered(2 + n * columns, columns));
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}
