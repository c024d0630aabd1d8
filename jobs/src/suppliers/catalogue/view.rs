//! The catalogue as people and programs read it.

use serde::Serialize;

use crate::ledger::{Ledger, LedgerError};
use crate::stored::stored_row;

/// Products on a page.
pub const PRODUCT_ROWS_MAX: u32 = 500;
/// Rows of each history that a product's story tells, the newest.
const STORY_ROWS_MAX: i64 = 100;
/// Balances that are told.
const BALANCE_ROWS_MAX: i64 = 200;

/// Which products to list; None: any.
#[derive(Clone, Debug, Default)]
pub struct ProductFilter {
    pub for_sale: Option<bool>,
    pub active: Option<bool>,
    pub group: Option<String>,
    pub brand: Option<String>,
    /// At most [`PRODUCT_ROWS_MAX`].
    pub limit: u32,
    /// The code after which the page begins.
    pub cursor: Option<String>,
}

/// A product with its price. Instants are microseconds, money is fen.
#[derive(Clone, Debug, Serialize)]
pub struct ProductRow {
    pub product_code: String,
    pub model: String,
    pub group: String,
    pub brand: String,
    pub for_sale: bool,
    /// Why it cannot be bought; empty when it can.
    pub refusal: String,
    pub active: bool,
    pub last_seen_at: i64,
    /// Since when answers leave it out.
    pub unknown_since_at: Option<i64>,
    pub supply_fen: Option<i64>,
    pub invoice_fen: Option<i64>,
    pub price_refusal: String,
    pub price_asked_at: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ProductPage {
    pub products: Vec<ProductRow>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PriceView {
    pub supply_fen: Option<i64>,
    pub invoice_fen: Option<i64>,
    /// The invoice price by our own count.
    pub computed_fen: Option<i64>,
    pub rebate_rate: String,
    pub rebate_fen: i64,
    pub rebate_policy: String,
    pub refusal: String,
    pub mismatch: String,
    pub asked_at: i64,
    pub priced_at: i64,
    pub changed_at: i64,
}
stored_row!(PriceView {
    supply_fen,
    invoice_fen,
    computed_fen,
    rebate_rate,
    rebate_fen,
    rebate_policy,
    refusal,
    mismatch,
    asked_at,
    priced_at,
    changed_at,
});

#[derive(Clone, Debug, Serialize)]
pub struct PriceChange {
    pub at: i64,
    pub supply_fen_before: Option<i64>,
    pub supply_fen: Option<i64>,
    pub invoice_fen_before: Option<i64>,
    pub invoice_fen: Option<i64>,
    pub refusal: String,
}
stored_row!(PriceChange { at, supply_fen_before, supply_fen, invoice_fen_before, invoice_fen, refusal });

#[derive(Clone, Debug, Serialize)]
pub struct StockView {
    pub county_code: String,
    pub quantity: i64,
    pub asked_at: i64,
    pub changed_at: i64,
}
stored_row!(StockView { county_code, quantity, asked_at, changed_at });

#[derive(Clone, Debug, Serialize)]
pub struct StockChange {
    pub at: i64,
    pub county_code: String,
    /// None: nothing was known before.
    pub quantity_before: Option<i64>,
    pub quantity: i64,
}
stored_row!(StockChange { at, county_code, quantity_before, quantity });

#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    pub at: i64,
    pub kind: String,
    pub text: String,
}
stored_row!(EventView { at, kind, text });

/// Everything that is known of one product; each list has the newest first.
#[derive(Clone, Debug, Serialize)]
pub struct ProductStory {
    pub product: ProductRow,
    pub image_url: String,
    pub long_image_urls: Vec<String>,
    pub first_seen_at: i64,
    pub sale_changed_at: i64,
    pub price: Option<PriceView>,
    pub price_changes: Vec<PriceChange>,
    pub stock: Vec<StockView>,
    pub stock_changes: Vec<StockChange>,
    pub events: Vec<EventView>,
}

/// What is left on a payer account.
#[derive(Clone, Debug, Serialize)]
pub struct BalanceView {
    pub sale_group_code: String,
    pub payer_account_code: String,
    pub sale_group_name: String,
    pub balance_fen: i64,
    pub asked_at: i64,
    /// The key of the finding that says that it is low; empty while it is not.
    pub low: String,
}
stored_row!(BalanceView { sale_group_code, payer_account_code, sale_group_name, balance_fen, asked_at, low });

impl sqlx::FromRow<'_, sqlx::any::AnyRow> for ProductRow {
    fn from_row(row: &sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row;
        let flag = |column: &str| row.try_get::<i64, _>(column).map(|flag| flag == 1);
        Ok(Self {
            product_code: row.try_get("product_code")?,
            model: row.try_get("model")?,
            group: row.try_get("product_group")?,
            brand: row.try_get("brand")?,
            for_sale: flag("for_sale")?,
            refusal: row.try_get("refusal")?,
            active: flag("active")?,
            last_seen_at: row.try_get("last_seen_at")?,
            unknown_since_at: row.try_get("unknown_since_at")?,
            supply_fen: row.try_get("supply_fen")?,
            invoice_fen: row.try_get("invoice_fen")?,
            price_refusal: row.try_get("price_refusal")?,
            price_asked_at: row.try_get("price_asked_at")?,
        })
    }
}

/// A page of products in the order of their codes.
pub async fn products(ledger: &Ledger, filter: &ProductFilter) -> Result<ProductPage, LedgerError> {
    let limit = filter.limit.clamp(1, PRODUCT_ROWS_MAX) as usize;
    let mut products: Vec<ProductRow> = sqlx::query_as(
        "SELECT p.product_code, p.model, p.product_group, p.brand, p.for_sale, p.refusal, p.active, p.last_seen_at, \
         p.unknown_since_at, q.supply_fen, q.invoice_fen, COALESCE(q.refusal, '') AS price_refusal, \
         q.asked_at AS price_asked_at \
         FROM products AS p LEFT JOIN prices AS q ON q.product_code = p.product_code \
         WHERE p.product_code > $1 AND ($2 IS NULL OR p.for_sale = $2) AND ($3 IS NULL OR p.active = $3) \
         AND ($4 IS NULL OR p.product_group = $4) AND ($5 IS NULL OR p.brand = $5) \
         ORDER BY p.product_code LIMIT $6",
    )
    .bind(filter.cursor.clone().unwrap_or_default())
    .bind(filter.for_sale.map(i64::from))
    .bind(filter.active.map(i64::from))
    .bind(filter.group.clone())
    .bind(filter.brand.clone())
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let more = products.len() > limit;
    products.truncate(limit);
    let cursor = products.last().filter(|_| more).map(|product| product.product_code.clone());
    Ok(ProductPage { products, cursor })
}

/// Everything of one product; None when no answer ever held it.
pub async fn product_story(ledger: &Ledger, code: &str) -> Result<Option<ProductStory>, LedgerError> {
    let mut at_once = ledger.snapshot().await?;
    let row: Option<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT image_url, long_image_urls, first_seen_at, sale_changed_at FROM products WHERE product_code = $1",
    )
    .bind(code.to_owned())
    .fetch_optional(&mut *at_once)
    .await?;
    let Some((image_url, long_image_urls, first_seen_at, sale_changed_at)) = row else { return Ok(None) };
    let product: ProductRow = sqlx::query_as(
        "SELECT p.product_code, p.model, p.product_group, p.brand, p.for_sale, p.refusal, p.active, p.last_seen_at, \
         p.unknown_since_at, q.supply_fen, q.invoice_fen, COALESCE(q.refusal, '') AS price_refusal, \
         q.asked_at AS price_asked_at \
         FROM products AS p LEFT JOIN prices AS q ON q.product_code = p.product_code WHERE p.product_code = $1",
    )
    .bind(code.to_owned())
    .fetch_one(&mut *at_once)
    .await?;
    let price = sqlx::query_as(
        "SELECT supply_fen, invoice_fen, computed_fen, rebate_rate, rebate_fen, rebate_policy, refusal, mismatch, \
         asked_at, priced_at, changed_at FROM prices WHERE product_code = $1",
    )
    .bind(code.to_owned())
    .fetch_optional(&mut *at_once)
    .await?;
    let price_changes = sqlx::query_as(
        "SELECT at, supply_fen_before, supply_fen, invoice_fen_before, invoice_fen, refusal FROM price_changes \
         WHERE product_code = $1 ORDER BY at DESC, id DESC LIMIT $2",
    )
    .bind(code.to_owned())
    .bind(STORY_ROWS_MAX)
    .fetch_all(&mut *at_once)
    .await?;
    let stock = sqlx::query_as(
        "SELECT county_code, quantity, asked_at, changed_at FROM stock WHERE product_code = $1 \
         ORDER BY asked_at DESC, county_code LIMIT $2",
    )
    .bind(code.to_owned())
    .bind(STORY_ROWS_MAX)
    .fetch_all(&mut *at_once)
    .await?;
    let stock_changes = sqlx::query_as(
        "SELECT at, county_code, quantity_before, quantity FROM stock_changes WHERE product_code = $1 \
         ORDER BY at DESC, id DESC LIMIT $2",
    )
    .bind(code.to_owned())
    .bind(STORY_ROWS_MAX)
    .fetch_all(&mut *at_once)
    .await?;
    let events = sqlx::query_as(
        "SELECT at, kind, text FROM catalogue_events WHERE product_code = $1 ORDER BY at DESC, id DESC LIMIT $2",
    )
    .bind(code.to_owned())
    .bind(STORY_ROWS_MAX)
    .fetch_all(&mut *at_once)
    .await?;
    at_once.rollback().await?;
    Ok(Some(ProductStory {
        product,
        image_url,
        long_image_urls: serde_json::from_str(&long_image_urls).unwrap_or_default(),
        first_seen_at,
        sale_changed_at,
        price,
        price_changes,
        stock,
        stock_changes,
        events,
    }))
}

/// What is left on each payer account, as last read.
pub async fn balances(ledger: &Ledger) -> Result<Vec<BalanceView>, LedgerError> {
    Ok(sqlx::query_as(
        "SELECT sale_group_code, payer_account_code, sale_group_name, balance_fen, asked_at, low \
         FROM supplier_balances ORDER BY sale_group_code, payer_account_code LIMIT $1",
    )
    .bind(BALANCE_ROWS_MAX)
    .fetch_all(ledger.reads())
    .await?)
}
