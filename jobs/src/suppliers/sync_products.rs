//! Plans the synchronisation of the product list: every code that is known, sold, listed by Haier or named by hand.
//!
//! What Haier lists when it is asked without codes is only procurable products, and its own document contradicts itself
//! on whether it may be asked so (facts: haier.md 4). So the list only adds codes; each is then asked for by its code,
//! which alone says why something is not for sale, and a product that is no longer listed does not disappear.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome};

use super::catalogue::retire_products;
use super::haier::PRODUCT_CODES_MAX;
use super::sync_run::{self, Before, Question, SyncKind};
use crate::outside::Fault;
use crate::shop::Shop;
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

/// The shop's time until a plan that has codes of its own looks again whether it may begin, but not less of real time
/// than the second.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(60);
const WAIT_REAL_MIN: Duration = Duration::from_secs(1);

/// Asks Haier what it sells.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyncProducts {
    /// Asks for the list of everything first, which finds what is new.
    pub discover: bool,
    /// Codes to add to those that are known.
    #[schemars(length(max = 10_000), inner(length(min = 1, max = 64)))]
    pub codes: Vec<String>,
}

impl Job for SyncProducts {
    const KIND: &'static str = "sync_products";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    const TIMEOUT: Duration = Duration::from_secs(120);
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        // What only this plan would ask for must not be lost to a run that knows nothing of it.
        let has_own = self.discover || !self.codes.is_empty();
        if has_own && sync_run::before(shop, SyncKind::Products).await? != Before::Nothing {
            let wait = WAIT_FOR_OTHER.max(WAIT_REAL_MIN.mul_f64(shop.clock.speed()));
            return Err(JobError::snooze(wait, "another run of the products is not through"));
        }
        if let Some(end) = sync_run::go_on(shop, SyncKind::Products).await? {
            return Ok(end);
        }
        let (listed, note) = if self.discover { listed(shop).await? } else { Default::default() };
        let mut codes: BTreeSet<String> = known(shop).await?;
        codes.extend(sold(shop).await?);
        codes.extend(self.codes);
        codes.extend(listed);
        retire(shop).await?;
        let (questions, cut) = questions(codes.into_iter().collect(), shop.settings.sync_codes_max);
        sync_run::begin(shop, job, SyncKind::Products, &questions, cut.unwrap_or(&note)).await
    }
}

/// The codes in calls of 20, up to the bound; and a word where the bound cut some off.
pub(super) fn questions(codes: Vec<String>, codes_max: usize) -> (Vec<Question>, Option<&'static str>) {
    let cut = (codes.len() > codes_max)
        .then_some("there are more codes than sync_codes_max: the rest was left out");
    let codes = &codes[..codes.len().min(codes_max)];
    let question = |codes: &[String]| Question { codes: codes.to_vec(), county_code: String::new() };
    (codes.chunks(PRODUCT_CODES_MAX).map(question).collect(), cut)
}

/// What Haier lists, or a word on why it does not: then the codes that are known must do.
async fn listed(shop: &Shop) -> Result<(Vec<String>, String), JobError> {
    match shop.haier.listed_codes().await {
        Ok(codes) => Ok((codes, String::new())),
        Err(error) if matches!(error.fault, Fault::Refused { .. }) => {
            tracing::warn!(%error, "Haier does not list its products; those that are known are asked for");
            Ok((Vec::new(), format!("Haier does not list its products: {}", error.detail)))
        }
        Err(error) => Err(verdict::of_outside(error)),
    }
}

async fn known(shop: &Shop) -> Result<BTreeSet<String>, JobError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT product_code FROM products ORDER BY product_code LIMIT $1")
            .bind(i64::try_from(shop.settings.sync_codes_max).unwrap_or(i64::MAX))
            .fetch_all(shop.ledger.reads())
            .await?;
    Ok(rows.into_iter().map(|(code,)| code).collect())
}

/// What orders named lately and no answer has held yet.
async fn sold(shop: &Shop) -> Result<Vec<String>, JobError> {
    let since = shop.clock.now() - Duration::from_secs(shop.settings.stock_sold_within_s);
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT l.product_code FROM orders AS o JOIN order_lines AS l ON l.order_no = o.order_no \
         LEFT JOIN products AS p ON p.product_code = l.product_code \
         WHERE o.placed_at >= $1 AND p.product_code IS NULL ORDER BY l.product_code LIMIT $2",
    )
    .bind(since.micros())
    .bind(i64::try_from(shop.settings.sync_codes_max).unwrap_or(i64::MAX))
    .fetch_all(shop.ledger.reads())
    .await?;
    Ok(rows.into_iter().map(|(code,)| code).collect())
}

async fn retire(shop: &Shop) -> Result<(), JobError> {
    let mut tx = shop.ledger.begin().await?;
    retire_products(&mut tx, Duration::from_secs(shop.settings.retire_products_after_s)).await?;
    tx.commit().await?;
    Ok(())
}
