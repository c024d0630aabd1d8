//! Plans the synchronisation of stock, by need: what sold lately where it went, the most sold first; then, for the
//! counties that the shop names, everything active, the longest unasked first.
//!
//! Haier takes one code a call (facts: haier.md 6), so 10,000 products in three counties are 30,000 calls: a plan asks a
//! bounded number of questions, and what it leaves out is the oldest of the next. What an order's own check has just
//! asked is not asked again.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Job, JobContext, JobError, Outcome};

use super::catalogue::forget_stock_changes;
use super::sync_run::{self, Question, SyncKind};
use crate::shop::Shop;

/// Asks Haier how many there are.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncStock {}

/// Product and county.
type Place = (String, String);

impl Job for SyncStock {
    const KIND: &'static str = "sync_stock";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = 3;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        if let Some(end) = sync_run::go_on(shop, SyncKind::Stock).await? {
            return Ok(end);
        }
        forget_history(shop).await?;
        let places_max = shop.settings.stock_questions_max;
        let mut places = sold_lately(shop, places_max).await?;
        if places.len() < places_max {
            let known: BTreeSet<Place> = places.iter().cloned().collect();
            let others = active(shop, places_max - places.len()).await?;
            places.extend(others.into_iter().filter(|place| !known.contains(place)));
        }
        let question = |(code, county_code)| Question { codes: vec![code], county_code };
        let questions: Vec<Question> = places.into_iter().map(question).collect();
        sync_run::begin(shop, job, SyncKind::Stock, &questions, "").await
    }
}

/// What the shop sold lately and has not asked for of late, the most sold first.
async fn sold_lately(shop: &Shop, places_max: usize) -> Result<Vec<Place>, JobError> {
    let now = shop.clock.now();
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT l.product_code, o.county_code, CAST(SUM(l.quantity) AS BIGINT) AS units \
         FROM orders AS o JOIN order_lines AS l ON l.order_no = o.order_no \
         LEFT JOIN stock AS s ON s.product_code = l.product_code AND s.county_code = o.county_code \
         WHERE o.placed_at >= $1 AND COALESCE(s.asked_at, 0) < $2 \
         GROUP BY l.product_code, o.county_code ORDER BY 3 DESC, 1, 2 LIMIT $3",
    )
    .bind((now - Duration::from_secs(shop.settings.stock_sold_within_s)).micros())
    .bind((now - Duration::from_secs(shop.settings.supply_fresh_s)).micros())
    .bind(i64::try_from(places_max).unwrap_or(i64::MAX))
    .fetch_all(shop.ledger.reads())
    .await?;
    Ok(rows.into_iter().map(|(code, county, _)| (code, county)).collect())
}

/// What is for sale, for each county that the shop ships to, the longest unasked first.
async fn active(shop: &Shop, places_max: usize) -> Result<Vec<Place>, JobError> {
    let fresh = (shop.clock.now() - Duration::from_secs(shop.settings.supply_fresh_s)).micros();
    let mut found: Vec<(i64, Place)> = Vec::new();
    for county in &shop.settings.ship_counties {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT p.product_code, COALESCE(s.asked_at, 0) AS asked_at FROM products AS p \
             LEFT JOIN stock AS s ON s.product_code = p.product_code AND s.county_code = $1 \
             WHERE p.active = 1 AND p.for_sale = 1 AND COALESCE(s.asked_at, 0) < $2 \
             ORDER BY 2, 1 LIMIT $3",
        )
        .bind(county)
        .bind(fresh)
        .bind(i64::try_from(places_max).unwrap_or(i64::MAX))
        .fetch_all(shop.ledger.reads())
        .await?;
        found.extend(rows.into_iter().map(|(code, at)| (at, (code, county.clone()))));
    }
    found.sort_unstable();
    found.truncate(places_max);
    Ok(found.into_iter().map(|(_, place)| place).collect())
}

async fn forget_history(shop: &Shop) -> Result<(), JobError> {
    let mut tx = shop.ledger.begin().await?;
    forget_stock_changes(&mut tx, Duration::from_secs(shop.settings.stock_changes_kept_s)).await?;
    tx.commit().await?;
    Ok(())
}
