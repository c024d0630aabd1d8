//! One call of a synchronisation, and what its answer changes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Priority};

use super::catalogue::{Prices, keep_prices, keep_products, keep_stock, keep_unknown};
use super::sync_run::{Gain, Question, SyncKind, chunk_done, chunk_failed, open_chunk};
use crate::outside::{Fault, OutsideError};
use crate::shop::Shop;
use crate::verdict;

/// Asks Haier for one chunk of a synchronisation.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncChunk {
    #[schemars(length(min = 1, max = 128))]
    pub run_id: String,
    #[schemars(range(min = 0))]
    pub chunk_no: i64,
}

impl Job for SyncChunk {
    const KIND: &'static str = "sync_chunk";
    const QUEUE: &'static str = "haier";
    const PRIORITY: Priority = Priority::Low;
    const ATTEMPTS_MAX: u32 = 8;
    const BACKOFF: Backoff = Backoff { base_ms: 2_000, cap_ms: 300_000 };
    const TIMEOUT: Duration = Duration::from_secs(90);
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(format!("{}/{}", self.run_id, self.chunk_no))
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some((kind, question)) = open_chunk(shop, &self.run_id, self.chunk_no).await? else {
            return Ok(Outcome::result(json!({ "skipped": "the chunk is settled, or its run is over" })));
        };
        let answered = match kind {
            SyncKind::Products => self.products(shop, &question).await,
            SyncKind::Prices => self.prices(shop, &question).await,
            SyncKind::Stock => self.stock(shop, &question).await,
        };
        let gain = match answered {
            Ok(gain) => gain,
            Err(Failed::Outside(error)) => return Err(self.give_up_or_wait(shop, job, kind, error).await?),
            Err(Failed::Inside(error)) => return Err(error),
        };
        let count = |result: &'static str, codes: u64| {
            metrics::counter!("windlass_sync_codes_total", "kind" => kind.as_str(), "result" => result)
                .increment(codes);
        };
        count("known", question.codes.len() as u64 - gain.unknown);
        count("unknown", gain.unknown);
        count("changed", gain.changed);
        Ok(Outcome::result(json!({ "changed": gain.changed, "unknown": gain.unknown })))
    }
}

/// Whose fault it is that there is no answer.
enum Failed {
    Outside(OutsideError),
    Inside(JobError),
}

impl From<OutsideError> for Failed {
    fn from(error: OutsideError) -> Self {
        Self::Outside(error)
    }
}

impl From<crate::ledger::LedgerError> for Failed {
    fn from(error: crate::ledger::LedgerError) -> Self {
        Self::Inside(error.into())
    }
}

impl SyncChunk {
    async fn products(&self, shop: &Shop, asked: &Question) -> Result<Gain, Failed> {
        let asked_at = shop.clock.now();
        let said = shop.haier.products(&asked.codes).await?;
        tell_flaws(SyncKind::Products, &said.flaws);
        let mut tx = shop.ledger.begin().await?;
        let changed = keep_products(&mut tx, asked_at, said.found.values()).await?;
        keep_unknown(&mut tx, asked_at, &said.unknown).await?;
        let gain = Gain { unknown: said.unknown.len() as u64, changed };
        chunk_done(&mut tx, &self.run_id, self.chunk_no, gain).await?;
        tx.commit().await?;
        Ok(gain)
    }

    async fn prices(&self, shop: &Shop, asked: &Question) -> Result<Gain, Failed> {
        let asked_at = shop.clock.now();
        let said = shop.haier.prices(&asked.codes).await?;
        tell_flaws(SyncKind::Prices, &said.flaws);
        let mut tx = shop.ledger.begin().await?;
        let Prices { changed, mismatched } = keep_prices(&mut tx, asked_at, said.found.values()).await?;
        let gain = Gain { unknown: said.unknown.len() as u64, changed };
        chunk_done(&mut tx, &self.run_id, self.chunk_no, gain).await?;
        tx.commit().await?;
        metrics::counter!("windlass_price_mismatches_total").increment(mismatched);
        Ok(gain)
    }

    async fn stock(&self, shop: &Shop, asked: &Question) -> Result<Gain, Failed> {
        let mut gain = Gain::default();
        let mut learned = Vec::with_capacity(asked.codes.len());
        let asked_at = shop.clock.now();
        for code in &asked.codes {
            let stock = shop.haier.stock(code, &asked.county_code).await?;
            match stock.is_said {
                true => learned.push((code.clone(), stock.quantity())),
                false => gain.unknown += 1,
            }
        }
        let mut tx = shop.ledger.begin().await?;
        gain.changed = keep_stock(&mut tx, asked_at, &asked.county_code, &learned).await?;
        chunk_done(&mut tx, &self.run_id, self.chunk_no, gain).await?;
        tx.commit().await?;
        Ok(gain)
    }

    /// What is refused is given up at once, everything else when the last attempt has failed: a chunk is never left
    /// open by a job that is dead.
    async fn give_up_or_wait(
        &self,
        shop: &Shop,
        job: &JobContext,
        kind: SyncKind,
        error: OutsideError,
    ) -> Result<JobError, JobError> {
        if matches!(error.fault, Fault::Refused { .. }) || job.is_last_attempt() {
            chunk_failed(shop, &self.run_id, self.chunk_no, &error.to_string()).await?;
            metrics::counter!("windlass_sync_chunks_failed_total", "kind" => kind.as_str(), "fault" => error.fault.name())
                .increment(1);
        }
        Ok(verdict::of_outside(error))
    }
}

/// Rows that cannot be read leave their codes unknown; what was wrong with them is told once a call.
fn tell_flaws(kind: SyncKind, flaws: &[String]) {
    let Some(first) = flaws.first() else { return };
    metrics::counter!("windlass_sync_rows_unreadable_total", "kind" => kind.as_str())
        .increment(flaws.len() as u64);
    tracing::warn!(kind = kind.as_str(), rows = flaws.len(), first, "rows of Haier's answer cannot be read");
}
