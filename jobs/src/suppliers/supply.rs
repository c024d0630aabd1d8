//! What Haier sells, at what price, and how much of it, for one order: asked for what is not known freshly, and kept in
//! the catalogue beside what the synchronisation learns.
//!
//! What was learned is kept even when the rest of the question failed, so that the next attempt asks for less. A
//! failed call is never "not for sale" and never "none in stock" (facts: haier.md 10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sqlx::AnyConnection;
use windlass_engine::{JobError, Timestamp};

use super::catalogue::{
    ROWS_AT_ONCE, keep_prices, keep_products, keep_stock, keep_unknown, numbered, why_unpriced,
};
use super::haier::{Price, Product, Stock};
use crate::ledger::LedgerError;
use crate::orders::LineRow;
use crate::outside::OutsideError;
use crate::shop::Shop;
use crate::verdict;

/// Units by product code.
pub type Wanted = BTreeMap<String, i64>;

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

    /// A price says whether the product may be bought, too; the list alone is asked where it says that it may not.
    async fn read_goods(
        &mut self,
        conn: &mut AnyConnection,
        codes: &[&String],
        since: i64,
    ) -> Result<(), sqlx::Error> {
        let codes_listed = numbered(2, codes.len());
        let priced = format!(
            "SELECT product_code, refusal, COALESCE(invoice_fen, supply_fen, 0) AS cost_fen, asked_at FROM prices \
             WHERE asked_at >= $1 AND product_code IN ({codes_listed})"
        );
        let refused = format!(
            "SELECT product_code, refusal, CAST(0 AS BIGINT) AS cost_fen, last_seen_at FROM products \
             WHERE last_seen_at >= $1 AND for_sale = 0 AND product_code IN ({codes_listed})"
        );
        let mut newest = BTreeMap::<String, i64>::new();
        for (sql, is_list) in [(priced, false), (refused, true)] {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).persistent(false).bind(since);
            for code in codes {
                query = query.bind(code.as_str());
            }
            let rows: Vec<(String, String, i64, i64)> = query.fetch_all(&mut *conn).await?;
            for (code, refusal, invoice_price_fen, at) in rows {
                if newest.get(&code).is_some_and(|known| *known > at) {
                    continue;
                }
                newest.insert(code.clone(), at);
                let refusal = if is_list { not_procurable(&refusal) } else { refusal };
                self.goods.insert(code, Good { refusal, invoice_price_fen });
            }
        }
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
        let asked_at = shop.clock.now();
        let products = shop.haier.products(codes).await.map_err(verdict::of_outside)?;
        let sold: Vec<String> =
            products.found.values().filter(|p| p.is_for_sale).map(|p| p.code.clone()).collect();
        let mut gap = products.unasked.map(|unasked| unasked.error);
        let mut silent = products.unknown.clone();
        let mut prices = BTreeMap::new();
        if !sold.is_empty() {
            match shop.haier.prices(&sold).await {
                Ok(said) => {
                    prices = said.found;
                    silent.extend(said.unknown);
                    gap = gap.or(said.unasked.map(|unasked| unasked.error));
                }
                Err(error) => gap = gap.or(Some(error)),
            }
        }
        keep_goods(shop, asked_at, &products.found, &products.unknown, &prices).await?;
        self.goods.extend(products.found.into_values().filter(|p| !p.is_for_sale).map(not_sold));
        self.goods.extend(prices.into_values().map(priced));
        answered(gap, &silent)
    }

    /// Asks how many there are: a product a call (facts: haier.md 6).
    async fn ask_stock(&mut self, shop: &Shop, codes: &[String], county_code: &str) -> Result<(), JobError> {
        let asked_at = shop.clock.now();
        let ask = |code: String| async move {
            let stock = shop.haier.stock(&code, county_code).await;
            (code, stock)
        };
        let answers: Vec<(String, Result<Stock, OutsideError>)> = stream::iter(codes.to_vec())
            .map(ask)
            .buffer_unordered(shop.settings.supply_questions_at_once.max(1))
            .collect()
            .await;
        let (mut learned, mut gap) = (Vec::new(), None);
        for (code, answer) in answers {
            match answer {
                Ok(stock) if stock.is_said => learned.push((code, stock.quantity())),
                // For this order it counts as none; nothing is written down for no word.
                Ok(stock) => _ = self.stock.insert(code, stock.quantity()),
                Err(error) => gap = Some(error),
            }
        }
        if !learned.is_empty() {
            let mut tx = shop.ledger.begin().await?;
            keep_stock(&mut tx, asked_at, county_code, &learned).await?;
            tx.commit().await?;
        }
        self.stock.extend(learned);
        answered(gap, &[])
    }
}

fn missing<T>(wanted: &Wanted, known: &BTreeMap<String, T>) -> Vec<String> {
    wanted.keys().filter(|code| !known.contains_key(*code)).cloned().collect()
}

fn not_sold(product: Product) -> (String, Good) {
    let refusal = not_procurable(product.refusal.as_deref().unwrap_or_default());
    (product.code, Good { refusal, invoice_price_fen: 0 })
}

fn not_procurable(reason: &str) -> String {
    let reason = if reason.is_empty() { "商品暂不可采" } else { reason };
    format!("{reason} (not procurable)")
}

fn priced(price: Price) -> (String, Good) {
    let invoice_price_fen = price.invoice.or(price.supply).map_or(0, |fen| fen.get());
    (price.code.clone(), Good { refusal: why_unpriced(&price), invoice_price_fen })
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

async fn keep_goods(
    shop: &Shop,
    asked_at: Timestamp,
    products: &BTreeMap<String, Product>,
    unknown: &[String],
    prices: &BTreeMap<String, Price>,
) -> Result<(), LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    keep_products(&mut tx, asked_at, products.values()).await?;
    keep_unknown(&mut tx, asked_at, unknown).await?;
    keep_prices(&mut tx, asked_at, prices.values()).await?;
    tx.commit().await
}
