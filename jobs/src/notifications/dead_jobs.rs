//! Jobs that ended without success, of the carrier and of the ledger's outbox.
//!
//! The business cannot see the carrier, and a job that the carrier alone accepted is nowhere else. So whoever has both
//! hands in a question that the carrier answers ([`ask_dead_jobs`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use windlass_engine::store::{Filter, LIST_ROWS_MAX};
use windlass_engine::{State, Store};

use super::message::{DeadJobsByKind, DeadKind};
use crate::ledger::{Ledger, LedgerError};

/// Dead jobs that are read of either side; kinds beyond them are missing, their number is not.
const DEAD_JOBS_MAX: u32 = LIST_ROWS_MAX;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 200;

/// One dead job.
#[derive(Clone, Debug)]
pub struct DeadJob {
    pub id: String,
    pub kind: String,
    pub reason: String,
}

/// The dead jobs of the carrier: how many, and the newest of them.
pub type AskDeadJobs =
    Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<(u64, Vec<DeadJob>)>> + Send + Sync + 'static>;

/// Asks this carrier, and can do nothing else with it.
pub fn ask_dead_jobs(store: Arc<dyn Store>) -> AskDeadJobs {
    Arc::new(move || of_carrier(store.clone()).boxed())
}

async fn of_carrier(store: Arc<dyn Store>) -> anyhow::Result<(u64, Vec<DeadJob>)> {
    let total = store.stats().await?.iter().map(|queue| queue.counts.of(State::Dead)).sum();
    let filter = Filter { state: Some(State::Dead), limit: DEAD_JOBS_MAX, ..Filter::default() };
    let jobs = store.list(filter).await?.jobs;
    let dead = jobs.into_iter().map(|job| DeadJob {
        id: job.id.to_string(),
        reason: job.faults.last().map(|fault| fault.message.clone()).unwrap_or_default(),
        kind: job.envelope.kind,
    });
    Ok((total, dead.collect()))
}

/// Both sides together, a job that both know once.
pub(super) async fn dead_jobs(
    ledger: &Ledger,
    ask: Option<&AskDeadJobs>,
) -> Result<DeadJobsByKind, LedgerError> {
    let (in_ledger, ours) = of_ledger(ledger).await?;
    let answer = match ask {
        Some(ask) => match ask().await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!("the carrier cannot be asked for dead jobs: {error:#}");
                None
            }
        },
        None => None,
    };
    let whole = answer.is_some();
    let (in_carrier, theirs) = answer.unwrap_or_default();
    let known: HashSet<&str> = theirs.iter().map(|job| job.id.as_str()).collect();
    let ours: Vec<&DeadJob> = ours.iter().filter(|job| !known.contains(job.id.as_str())).collect();
    let mut kinds: BTreeMap<&str, DeadKind> = BTreeMap::new();
    for job in theirs.iter().chain(ours.iter().copied()) {
        let kind = kinds.entry(&job.kind).or_insert_with(|| DeadKind {
            kind: job.kind.clone(),
            count: 0,
            reason: job.reason.chars().take(REASON_CHARS_MAX).collect(),
        });
        kind.count += 1;
    }
    // More than are read on both sides cannot be told apart: then the larger number holds.
    let apart = i64::try_from(in_carrier).unwrap_or(i64::MAX).saturating_add(ours.len() as i64);
    Ok(DeadJobsByKind { total: apart.max(in_ledger), kinds: kinds.into_values().collect(), whole })
}

/// Dead jobs that the ledger accepted, and jobs that no carrier took; the newest first.
async fn of_ledger(ledger: &Ledger) -> Result<(i64, Vec<DeadJob>), LedgerError> {
    let (total,): (i64,) = sqlx::query_as("SELECT COUNT(*) AS n FROM outbox WHERE ended_at IS NOT NULL")
        .fetch_one(ledger.reads())
        .await?;
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT id, kind, COALESCE(reason, state) AS why FROM outbox WHERE ended_at IS NOT NULL \
         ORDER BY ended_at DESC, id LIMIT $1",
    )
    .bind(i64::from(DEAD_JOBS_MAX))
    .fetch_all(ledger.reads())
    .await?;
    Ok((total, rows.into_iter().map(|(id, kind, reason)| DeadJob { id, kind, reason }).collect()))
}
