//! Plans the synchronisation of prices: of everything that is active, the longest unasked first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Job, JobContext, JobError, Outcome};

use super::sync_products::questions;
use super::sync_run::{self, SyncKind};
use crate::shop::Shop;

/// Asks Haier for the prices of what it sells.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncPrices {}

impl Job for SyncPrices {
    const KIND: &'static str = "sync_prices";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = 5;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        if let Some(end) = sync_run::go_on(shop, SyncKind::Prices).await? {
            return Ok(end);
        }
        let codes_max = shop.settings.sync_codes_max;
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT p.product_code FROM products AS p LEFT JOIN prices AS q ON q.product_code = p.product_code \
             WHERE p.active = 1 ORDER BY COALESCE(q.asked_at, 0), p.product_code LIMIT $1",
        )
        .bind(i64::try_from(codes_max).unwrap_or(i64::MAX).saturating_add(1))
        .fetch_all(shop.ledger.reads())
        .await?;
        let (questions, cut) = questions(rows.into_iter().map(|(code,)| code).collect(), codes_max);
        sync_run::begin(shop, job, SyncKind::Prices, &questions, cut.unwrap_or_default()).await
    }
}
