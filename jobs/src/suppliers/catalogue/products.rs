//! What the supplier lists, and whether it may be bought.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use windlass_engine::Timestamp;

use super::events::{self, CatalogueEvent, Happened};
use super::{ROWS_AT_ONCE, by_code, numbered, rows};
use crate::ledger::{LedgerError, Tx};
use crate::stored::stored_row;
use crate::suppliers::haier::Product;

/// What may not be bought and says no reason.
const NO_REASON: &str = "商品暂不可采";

/// A row as it was before an answer.
struct Known {
    product_code: String,
    model: String,
    product_group: String,
    brand: String,
    image_url: String,
    long_image_urls: String,
    for_sale: i64,
    refusal: String,
    first_seen_at: i64,
    last_seen_at: i64,
    sale_changed_at: i64,
    unknown_since_at: Option<i64>,
}
stored_row!(Known {
    product_code,
    model,
    product_group,
    brand,
    image_url,
    long_image_urls,
    for_sale,
    refusal,
    first_seen_at,
    last_seen_at,
    sale_changed_at,
    unknown_since_at,
});

/// Writes down an answer that was asked for at `asked_at`; answers how many products changed.
pub(crate) async fn keep_products<'a>(
    tx: &mut Tx,
    asked_at: Timestamp,
    learned: impl IntoIterator<Item = &'a Product>,
) -> Result<u64, LedgerError> {
    let learned = by_code(learned.into_iter().map(|product| (product.code.as_str(), product)));
    let mut changed = 0;
    for chunk in learned.chunks(ROWS_AT_ONCE) {
        let known = take(tx, asked_at, chunk).await?;
        let newer = chunk.iter().filter_map(|product| {
            let known = known.get(product.code.as_str())?;
            (known.last_seen_at <= asked_at.micros()).then_some((known, *product))
        });
        let (mut next, mut happened) = (Vec::new(), Vec::new());
        for (known, product) in newer {
            let before = happened.len();
            next.push(known.after(product, asked_at, &mut happened));
            changed += u64::from(happened.len() > before);
        }
        write(tx, asked_at, &next).await?;
        events::write(tx, &happened).await?;
    }
    Ok(changed)
}

/// Notes that an answer left out these codes; those that were never listed stay out. Answers how many are news.
pub(crate) async fn keep_unknown(
    tx: &mut Tx,
    asked_at: Timestamp,
    codes: &[String],
) -> Result<u64, LedgerError> {
    let mut sorted: Vec<&String> = codes.iter().collect();
    sorted.sort_unstable();
    let mut news = 0;
    for chunk in sorted.chunks(ROWS_AT_ONCE) {
        let sql = format!(
            "UPDATE products SET unknown_since_at = $1 WHERE unknown_since_at IS NULL AND last_seen_at <= $1 \
             AND product_code IN ({}) RETURNING product_code",
            numbered(2, chunk.len())
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
        for code in chunk {
            query = query.bind(code.as_str());
        }
        let marked: Vec<(String,)> = query.fetch_all(tx.conn()).await?;
        news += marked.len() as u64;
        let text = "the supplier's answer leaves it out; its last word stays";
        let happened: Vec<Happened> =
            marked.iter().map(|(code,)| Happened::new(code, CatalogueEvent::Unknown, text)).collect();
        events::write(tx, &happened).await?;
    }
    Ok(news)
}

/// Products that have not been for sale for `age` are no longer asked for prices and stock; back on sale, they are.
pub(crate) async fn retire_products(tx: &mut Tx, age: Duration) -> Result<u64, LedgerError> {
    let before = (tx.ledger().clock().now() - age).micros();
    let retired = sqlx::query(
        "UPDATE products SET active = 0 WHERE active = 1 AND for_sale = 0 AND last_seen_at > 0 \
         AND sale_changed_at < $1",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(retired.rows_affected())
}

/// Takes the rows, new ones blank, and reads what they say. Others who want them wait until this transaction ends.
async fn take(
    tx: &mut Tx,
    asked_at: Timestamp,
    chunk: &[&Product],
) -> Result<HashMap<String, Known>, LedgerError> {
    let sql = format!(
        "INSERT INTO products (product_code, first_seen_at) VALUES {} \
         ON CONFLICT (product_code) DO UPDATE SET product_code = excluded.product_code \
         RETURNING product_code, model, product_group, brand, image_url, long_image_urls, for_sale, refusal, \
         first_seen_at, last_seen_at, sale_changed_at, unknown_since_at",
        rows(chunk.len(), 1)
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
    for product in chunk {
        query = query.bind(&product.code);
    }
    let known: Vec<Known> = query.fetch_all(tx.conn()).await?;
    Ok(known.into_iter().map(|known| (known.product_code.clone(), known)).collect())
}

async fn write(tx: &mut Tx, asked_at: Timestamp, next: &[Known]) -> Result<(), LedgerError> {
    if next.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO products (product_code, model, product_group, brand, image_url, long_image_urls, for_sale, \
         refusal, first_seen_at, sale_changed_at, last_seen_at) VALUES {} \
         ON CONFLICT (product_code) DO UPDATE SET model = excluded.model, \
         product_group = excluded.product_group, brand = excluded.brand, image_url = excluded.image_url, \
         long_image_urls = excluded.long_image_urls, for_sale = excluded.for_sale, refusal = excluded.refusal, \
         sale_changed_at = excluded.sale_changed_at, last_seen_at = excluded.last_seen_at, \
         active = CASE WHEN excluded.for_sale = 1 THEN 1 ELSE products.active END, unknown_since_at = NULL",
        rows(next.len(), 10)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
    for row in next {
        query = query
            .bind(&row.product_code)
            .bind(&row.model)
            .bind(&row.product_group)
            .bind(&row.brand)
            .bind(&row.image_url)
            .bind(&row.long_image_urls)
            .bind(row.for_sale)
            .bind(&row.refusal)
            .bind(row.first_seen_at)
            .bind(row.sale_changed_at);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

impl Known {
    /// The row after the answer. What the answer leaves blank, as it does for what is not for sale, stays.
    fn after(&self, said: &Product, asked_at: Timestamp, happened: &mut Vec<Happened>) -> Known {
        let is_new = self.last_seen_at == 0;
        let kept = |new: &str, old: &str| if new.is_empty() { old.to_owned() } else { new.to_owned() };
        let refusal = match &said.refusal {
            _ if said.is_for_sale => String::new(),
            Some(reason) => reason.clone(),
            None => NO_REASON.to_owned(),
        };
        let long_image_urls = if said.long_image_urls.is_empty() {
            self.long_image_urls.clone()
        } else {
            serde_json::json!(said.long_image_urls).to_string()
        };
        let for_sale = i64::from(said.is_for_sale);
        let turned = is_new || for_sale != self.for_sale;
        let next = Known {
            product_code: self.product_code.clone(),
            model: kept(&said.model, &self.model),
            product_group: kept(&said.group, &self.product_group),
            brand: kept(&said.brand, &self.brand),
            image_url: kept(said.image_url.as_deref().unwrap_or_default(), &self.image_url),
            long_image_urls,
            for_sale,
            refusal,
            first_seen_at: self.first_seen_at,
            last_seen_at: asked_at.micros(),
            sale_changed_at: if turned { asked_at.micros() } else { self.sale_changed_at },
            unknown_since_at: None,
        };
        let mut tell = |kind, text: String| happened.push(Happened::new(&self.product_code, kind, text));
        if is_new {
            tell(CatalogueEvent::Appeared, next.standing());
            return next;
        }
        if self.unknown_since_at.is_some() {
            tell(CatalogueEvent::KnownAgain, next.standing());
        }
        match (self.for_sale, next.for_sale) {
            (1, 0) => tell(CatalogueEvent::LeftSale, next.standing()),
            (0, 1) => tell(CatalogueEvent::BackOnSale, next.standing()),
            (0, 0) if self.refusal != next.refusal => tell(CatalogueEvent::Described, next.standing()),
            _ => {}
        }
        if self.description() != next.description() {
            tell(CatalogueEvent::Described, format!("{} {} {}", next.brand, next.product_group, next.model));
        }
        next
    }

    fn standing(&self) -> String {
        if self.for_sale == 1 { "for sale".to_owned() } else { format!("not for sale: {}", self.refusal) }
    }

    fn description(&self) -> [&str; 5] {
        [&self.model, &self.product_group, &self.brand, &self.image_url, &self.long_image_urls]
    }
}
