//! A synchronisation: what it still has to ask, how far it is, and how it goes on where it was.
//!
//! A run is cut into chunks when it is planned, and each chunk is a job (`sync_chunk`) that makes one call to Haier. So
//! the gate of the queue `haier`, which counts jobs, holds back exactly the calls: rate, concurrency and breaker are the
//! queue's, the same for all replicas, and nothing here paces anything. Chunks are of low priority: an order's question
//! in the same queue waits for those that run, never for those that wait. A run that walked a cursor in one long job
//! would have had to pace itself, would hold a slot for minutes, and would lose its place with its worker.
//!
//! The chunks that are left stand in the ledger; the jobs are only the carrier's. A plan that finds an open run hands its
//! open chunks over again, under ids of the next round and with a unique key, so that one that still waits is not doubled
//! and one that was lost, killed or deleted is asked again. There is one open run of a kind: the next begins when it is
//! through, or when it took longer than `sync_run_max_s`. What people see of runs is in `view`.

mod view;

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob, Outcome, Priority, Timestamp};

use super::catalogue::{ROWS_AT_ONCE, numbered};
use super::sync_chunk::SyncChunk;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::shop::Shop;
use crate::stored::stored_states;
use view::run_columns;

pub use view::{SYNC_RUN_ROWS_MAX, SyncRun, SyncRunPage, failed_chunks, sync_run, sync_runs};

/// Bytes of an error that is kept of a chunk.
const ERROR_BYTES_MAX: usize = 500;
/// Old runs that one plan forgets.
const FORGET_RUNS_MAX: i64 = 1_000;
/// Open chunks that one round hands over: the most that fits into the end of one job.
const HAND_OVER_MAX: i64 = 2_500;

stored_states! {
    /// What is synchronised.
    SyncKind {
        Products = "products",
        Prices = "prices",
        Stock = "stock",
    }
}

stored_states! {
    /// How a run stands.
    SyncState {
        Running = "running",
        Finished = "finished",
        /// It took too long; what was left was given up, and counts as failed.
        Abandoned = "abandoned",
    }
}

/// Real time between two runs of a kind, and between two hand-overs of one, where the shop's time runs faster: a plan
/// every five minutes of the shop would else be many a second. At the wall's own pace the schedule alone decides.
const REAL_GAP_MIN: Duration = Duration::from_secs(5);

/// What a plan finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: it may begin.
    Nothing,
    /// The run of this id is open.
    Open(String),
    /// The shop's time runs so fast that the last one has only just begun.
    JustNow,
}

/// What one call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub codes: Vec<String>,
    /// Of stock only; else empty.
    pub county_code: String,
}

/// What one chunk brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gain {
    pub unknown: u64,
    pub changed: u64,
}

/// What stands before a new run of the kind. An open one that is too old is given up here.
pub(crate) async fn before(shop: &Shop, kind: SyncKind) -> Result<Before, LedgerError> {
    let Some(last) = last_run(&shop.ledger, kind).await? else { return Ok(Before::Nothing) };
    let is_open = last.state == SyncState::Running;
    let age = shop.clock.now().since(Timestamp::from_micros(last.started_at));
    let speed = shop.clock.speed();
    let times = if is_open { last.rounds.max(1) as f64 } else { 1.0 };
    if speed > 1.0 && age < REAL_GAP_MIN.mul_f64(speed * times) {
        return Ok(Before::JustNow);
    }
    if is_open && age > Duration::from_secs(shop.settings.sync_run_max_s) {
        abandon(shop, &last.run_id).await?;
        return Ok(Before::Nothing);
    }
    Ok(if is_open { Before::Open(last.run_id) } else { Before::Nothing })
}

/// How a plan ends that may begin nothing: the open run goes on. None: it may begin.
pub(crate) async fn go_on(shop: &Shop, kind: SyncKind) -> Result<Option<Outcome>, JobError> {
    let run_id = match before(shop, kind).await? {
        Before::Nothing => return Ok(None),
        Before::Open(run_id) => run_id,
        Before::JustNow => {
            return Ok(Some(Outcome::result(json!({ "skipped": "the last run has only just begun" }))));
        }
    };
    let mut tx = shop.ledger.begin().await?;
    let round: Option<(i64,)> = sqlx::query_as(
        "UPDATE sync_runs SET rounds = rounds + 1 WHERE run_id = $1 AND state = 'running' RETURNING rounds",
    )
    .bind(&run_id)
    .fetch_optional(tx.conn())
    .await?;
    tx.commit().await?;
    let Some((round,)) = round else { return Ok(None) };
    let open: Vec<(i64,)> = sqlx::query_as(
        "SELECT chunk_no FROM sync_chunks WHERE run_id = $1 AND state = 'wanted' ORDER BY chunk_no LIMIT $2",
    )
    .bind(&run_id)
    .bind(HAND_OVER_MAX)
    .fetch_all(shop.ledger.reads())
    .await?;
    let open: Vec<i64> = open.into_iter().map(|(no,)| no).collect();
    let told = json!({ "run": run_id, "goes_on": true, "chunks_left": open.len() });
    Ok(Some(hand_over(shop, &run_id, round, &open, Outcome::result(told))))
}

/// Begins a run of these questions, none of which is longer than a call may be. `note`: what should be known of it.
pub(crate) async fn begin(
    shop: &Shop,
    job: &JobContext,
    kind: SyncKind,
    questions: &[Question],
    note: &str,
) -> Result<Outcome, JobError> {
    let run_id = format!("{}:{}", kind.as_str(), job.id());
    let now = shop.clock.now().micros();
    let codes: usize = questions.iter().map(|question| question.codes.len()).sum();
    let mut tx = shop.ledger.begin().await?;
    forget(&mut tx, shop).await?;
    let state = if questions.is_empty() { SyncState::Finished } else { SyncState::Running };
    // Another process may have begun one just now; a job that runs again may find its own.
    let begun = sqlx::query(
        "INSERT INTO sync_runs (run_id, kind, state, started_at, finished_at, chunks, codes, note) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(&run_id)
    .bind(kind.as_str())
    .bind(state.as_str())
    .bind(now)
    .bind(questions.is_empty().then_some(now))
    .bind(questions.len() as i64)
    .bind(codes as i64)
    .bind(note)
    .execute(tx.conn())
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(Outcome::result(json!({ "skipped": "another run has just begun" })));
    }
    write_chunks(&mut tx, &run_id, questions).await?;
    tx.commit().await?;
    let first: Vec<i64> = (0..questions.len() as i64).take(HAND_OVER_MAX as usize).collect();
    let told = json!({ "run": run_id, "chunks": questions.len(), "codes": codes });
    Ok(hand_over(shop, &run_id, 1, &first, Outcome::result(told)))
}

async fn write_chunks(tx: &mut Tx, run_id: &str, questions: &[Question]) -> Result<(), LedgerError> {
    for (nth, some) in questions.chunks(ROWS_AT_ONCE).enumerate() {
        let rows: Vec<String> =
            (0..some.len()).map(|n| format!("($1, {})", numbered(2 + n * 3, 3))).collect();
        let sql = format!(
            "INSERT INTO sync_chunks (run_id, chunk_no, codes, county_code) VALUES {}",
            rows.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(some.len() == ROWS_AT_ONCE).bind(run_id);
        for (n, question) in some.iter().enumerate() {
            query = query
                .bind((nth * ROWS_AT_ONCE + n) as i64)
                .bind(json!(question.codes).to_string())
                .bind(&question.county_code);
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// The jobs of the chunks, in the step that completes the plan.
fn hand_over(shop: &Shop, run_id: &str, round: i64, chunks: &[i64], outcome: Outcome) -> Outcome {
    chunks.iter().fold(outcome, |outcome, &chunk_no| {
        let chunk = SyncChunk { run_id: run_id.to_owned(), chunk_no };
        let id = JobId::derived(&[SyncChunk::KIND, run_id, &chunk_no.to_string(), &round.to_string()]);
        outcome.then(NewJob::of(&chunk, &shop.clock).id(id).priority(Priority::Low))
    })
}

/// What a chunk asks for, and of which kind; None: it is settled, or its run is over.
pub(crate) async fn open_chunk(
    shop: &Shop,
    run_id: &str,
    chunk_no: i64,
) -> Result<Option<(SyncKind, Question)>, JobError> {
    let row: Option<(String, String, String)> = sqlx::query_as(
        "SELECT r.kind, c.codes, c.county_code FROM sync_chunks AS c JOIN sync_runs AS r ON r.run_id = c.run_id \
         WHERE c.run_id = $1 AND c.chunk_no = $2 AND c.state = 'wanted' AND r.state = 'running'",
    )
    .bind(run_id)
    .bind(chunk_no)
    .fetch_optional(shop.ledger.reads())
    .await?;
    let Some((kind, codes, county_code)) = row else { return Ok(None) };
    Ok(Some((kind.parse()?, Question { codes: serde_json::from_str(&codes)?, county_code })))
}

/// The chunk was answered. Last in its transaction: it holds the row of the run.
pub(crate) async fn chunk_done(
    tx: &mut Tx,
    run_id: &str,
    chunk_no: i64,
    gain: Gain,
) -> Result<(), LedgerError> {
    let settled =
        sqlx::query("DELETE FROM sync_chunks WHERE run_id = $1 AND chunk_no = $2 AND state = 'wanted'")
            .bind(run_id)
            .bind(chunk_no)
            .execute(tx.conn())
            .await?;
    if settled.rows_affected() == 1 {
        count(tx, run_id, (1, 0), gain).await?;
    }
    Ok(())
}

/// The chunk cannot be answered: it is given up, with the reason.
pub(crate) async fn chunk_failed(
    shop: &Shop,
    run_id: &str,
    chunk_no: i64,
    error: &str,
) -> Result<(), LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    let settled = sqlx::query(
        "UPDATE sync_chunks SET state = 'failed', error = $1 WHERE run_id = $2 AND chunk_no = $3 AND state = 'wanted'",
    )
    .bind(&error[..error.floor_char_boundary(ERROR_BYTES_MAX)])
    .bind(run_id)
    .bind(chunk_no)
    .execute(tx.conn())
    .await?;
    if settled.rows_affected() == 1 {
        count(&mut tx, run_id, (0, 1), Gain::default()).await?;
    }
    tx.commit().await
}

async fn count(tx: &mut Tx, run_id: &str, settled: (i64, i64), gain: Gain) -> Result<(), LedgerError> {
    let (done, failed) = settled;
    sqlx::query(
        "UPDATE sync_runs SET done = done + $1, failed = failed + $2, unknown = unknown + $3, \
         changed = changed + $4, \
         state = CASE WHEN done + failed + $1 + $2 >= chunks THEN 'finished' ELSE state END, \
         finished_at = CASE WHEN done + failed + $1 + $2 >= chunks THEN $5 ELSE finished_at END \
         WHERE run_id = $6 AND state = 'running'",
    )
    .bind(done)
    .bind(failed)
    .bind(gain.unknown as i64)
    .bind(gain.changed as i64)
    .bind(tx.ledger().clock().now().micros())
    .bind(run_id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The run of the kind that is open, or else the newest.
async fn last_run(ledger: &Ledger, kind: SyncKind) -> Result<Option<SyncRun>, LedgerError> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        run_columns!(),
        " FROM sync_runs WHERE kind = $1 \
         ORDER BY CASE WHEN state = 'running' THEN 0 ELSE 1 END, started_at DESC, run_id DESC LIMIT 1"
    ))
    .bind(kind.as_str())
    .fetch_optional(ledger.reads())
    .await?)
}

async fn abandon(shop: &Shop, run_id: &str) -> Result<(), LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    sqlx::query(
        "UPDATE sync_runs SET state = 'abandoned', finished_at = $1, failed = chunks - done, \
         note = 'it took too long' WHERE run_id = $2 AND state = 'running'",
    )
    .bind(shop.clock.now().micros())
    .bind(run_id)
    .execute(tx.conn())
    .await?;
    sqlx::query("DELETE FROM sync_chunks WHERE run_id = $1 AND state = 'wanted'")
        .bind(run_id)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    tracing::warn!(run_id, "a synchronisation took too long and was given up");
    Ok(())
}

/// Runs that ended long ago, with what is left of their chunks.
async fn forget(tx: &mut Tx, shop: &Shop) -> Result<(), LedgerError> {
    let before: Timestamp = shop.clock.now() - Duration::from_secs(shop.settings.sync_runs_kept_s);
    for sql in [
        "DELETE FROM sync_chunks WHERE run_id IN (SELECT run_id FROM sync_runs \
         WHERE state <> 'running' AND started_at < $1 ORDER BY started_at, run_id LIMIT $2)",
        "DELETE FROM sync_runs WHERE run_id IN (SELECT run_id FROM sync_runs \
         WHERE state <> 'running' AND started_at < $1 ORDER BY started_at, run_id LIMIT $2)",
    ] {
        sqlx::query(sql).bind(before.micros()).bind(FORGET_RUNS_MAX).execute(tx.conn()).await?;
    }
    Ok(())
}
