//! Synchronisations as people see them: a page of runs, one run, the chunks that were given up. Reads only.

use serde::Serialize;

use super::{SyncKind, SyncState};
use crate::ledger::{Ledger, LedgerError};
use crate::stored::stored_row;

/// Runs on a page.
pub const SYNC_RUN_ROWS_MAX: u32 = 200;

/// A run, as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct SyncRun {
    pub run_id: String,
    pub kind: SyncKind,
    pub state: SyncState,
    pub started_at: i64,
    pub finished_at: Option<i64>,
    pub rounds: i64,
    /// Calls that it takes; `done` were answered, `failed` were given up.
    pub chunks: i64,
    pub done: i64,
    pub failed: i64,
    /// Codes asked for; answers left out `unknown`, and `changed` are not as they were.
    pub codes: i64,
    pub unknown: i64,
    pub changed: i64,
    pub note: String,
}
stored_row!(SyncRun {
    run_id, started_at, finished_at, rounds, chunks, done, failed, codes, unknown, changed, note,
} parsed { kind, state });

#[derive(Clone, Debug, Serialize)]
pub struct SyncRunPage {
    pub runs: Vec<SyncRun>,
    pub cursor: Option<String>,
}

/// What a [`SyncRun`] is read from.
macro_rules! run_columns {
    () => {
        "run_id, kind, state, started_at, finished_at, rounds, chunks, done, failed, codes, unknown, changed, note"
    };
}
pub(super) use run_columns;

/// A page of runs, the newest first. `limit` is at most [`SYNC_RUN_ROWS_MAX`].
///
/// # Errors
/// [`LedgerError::Invalid`] when the cursor is none of ours.
pub async fn sync_runs(
    ledger: &Ledger,
    kind: Option<SyncKind>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<SyncRunPage, LedgerError> {
    let limit = limit.clamp(1, SYNC_RUN_ROWS_MAX) as usize;
    let (before_at, before_id) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of synchronisations".to_owned()))?,
        None => (i64::MAX, ""),
    };
    let mut runs: Vec<SyncRun> = sqlx::query_as(concat!(
        "SELECT ",
        run_columns!(),
        " FROM sync_runs WHERE (started_at, run_id) < ($1, $2) AND ($3 IS NULL OR kind = $3) \
         ORDER BY started_at DESC, run_id DESC LIMIT $4"
    ))
    .bind(before_at)
    .bind(before_id.to_owned())
    .bind(kind.map(|kind| kind.as_str().to_owned()))
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let cursor = runs.last().filter(|_| more).map(|run| format!("{}_{}", run.started_at, run.run_id));
    Ok(SyncRunPage { runs, cursor })
}

/// One run, or None when it never was or is forgotten.
pub async fn sync_run(ledger: &Ledger, run_id: &str) -> Result<Option<SyncRun>, LedgerError> {
    Ok(sqlx::query_as(concat!("SELECT ", run_columns!(), " FROM sync_runs WHERE run_id = $1"))
        .bind(run_id.to_owned())
        .fetch_optional(ledger.reads())
        .await?)
}

/// Up to so many chunks of a run that were given up: codes and why.
pub async fn failed_chunks(
    ledger: &Ledger,
    run_id: &str,
    limit: u32,
) -> Result<Vec<(String, String)>, LedgerError> {
    Ok(sqlx::query_as(
        "SELECT codes, error FROM sync_chunks WHERE run_id = $1 AND state = 'failed' ORDER BY chunk_no LIMIT $2",
    )
    .bind(run_id.to_owned())
    .bind(i64::from(limit))
    .fetch_all(ledger.reads())
    .await?)
}
