//! Forgets what is older than it must be kept, a bounded slice at a time: nobody waits long for the ledger meanwhile,
//! and a run that is cut short has done what it has done.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::AssertSqlSafe;
use windlass_engine::{Job, JobContext, JobError, Outcome, Timestamp};

use super::keep::{KEEP, Keep};
use crate::ledger::{Ledger, LedgerError};
use crate::settings::Settings;
use crate::shop::Shop;

const DAY: Duration = Duration::from_secs(86_400);

/// Forgets what is older than the shop keeps it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Counts what would go, and removes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Job for Prune {
    const KIND: &'static str = "prune";
    const QUEUE: &'static str = "housekeeping";
    const ATTEMPTS_MAX: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        (!self.dry_run).then(|| "ledger".to_owned())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let pruned = prune(&shop.ledger, &shop.settings, self.dry_run, &|| job.is_cancelled()).await?;
        if job.is_cancelled() {
            return Err(JobError::cancel("asked to stop; the next run goes on"));
        }
        Ok(Outcome::result(json!({ "dry_run": self.dry_run, "tables": pruned })))
    }
}

/// What became of one table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pruned {
    pub table: &'static str,
    /// Days that its rows stay; None: for ever.
    pub days: Option<u32>,
    /// Rows that went; in a dry run, that would go.
    pub rows: u64,
    /// There are more than one run removes: the next one goes on.
    pub more: bool,
}

/// Goes through every table of [`KEEP`]: a transaction for each slice of `prune_rows_max` rows, at most
/// `prune_slices_max` of them a table. Stops between two slices when `stopped` says so.
///
/// # Errors
/// When the ledger does not answer; what went before is gone.
pub async fn prune(
    ledger: &Ledger,
    settings: &Settings,
    dry_run: bool,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Pruned>, LedgerError> {
    let now = ledger.clock().now();
    let mut tables = Vec::with_capacity(KEEP.len());
    for keep in KEEP {
        let days = settings.keep_days.of(keep);
        let (rows, more) = match days {
            None => (0, false),
            Some(days) if dry_run => (count(ledger, keep, now - DAY * days).await?, false),
            Some(days) => remove(ledger, settings, keep, now - DAY * days, stopped).await?,
        };
        tables.push(Pruned { table: keep.table, days, rows, more });
    }
    Ok(tables)
}

async fn count(ledger: &Ledger, keep: &Keep, before: Timestamp) -> Result<u64, LedgerError> {
    let Keep { table, since, over, .. } = keep;
    // Put together of the constants of `KEEP` alone, as the text below.
    let text = format!("SELECT COUNT(*) AS rows_n FROM {table} AS t WHERE {since} < $1 AND ({over})");
    let (rows,): (i64,) =
        sqlx::query_as(AssertSqlSafe(text)).bind(before.micros()).fetch_one(ledger.reads()).await?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

async fn remove(
    ledger: &Ledger,
    settings: &Settings,
    keep: &Keep,
    before: Timestamp,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<(u64, bool), LedgerError> {
    let Keep { table, key, since, over, .. } = keep;
    let text = format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} AS t \
         WHERE {since} < $1 AND ({over}) ORDER BY {since} LIMIT $2)"
    );
    let slice_rows = settings.prune_rows_max.max(1);
    let mut rows = 0;
    for _ in 0..settings.prune_slices_max {
        if stopped() {
            break;
        }
        let mut tx = ledger.begin().await?;
        let gone = sqlx::query(AssertSqlSafe(text.clone()))
            .bind(before.micros())
            .bind(i64::from(slice_rows))
            .execute(tx.conn())
            .await?
            .rows_affected();
        tx.commit().await?;
        metrics::counter!("windlass_rows_pruned_total", "table" => *table).increment(gone);
        rows += gone;
        if gone < u64::from(slice_rows) {
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}
