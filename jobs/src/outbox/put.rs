//! The statements that write outbox rows. Who commits them, and when, is the caller's business.

use std::collections::HashSet;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use windlass_engine::store::ENVELOPE_BYTES_MAX;
use windlass_engine::{Envelope, JobId, NewJob};

use super::Put;
use crate::ledger::{LedgerError, Positions};

/// Rows of one INSERT: [`COLUMNS`] times this stays within the 500 parameters that SQLite parses fast.
const INSERT_ROWS: usize = 40;
const COLUMNS: usize = 10;
/// Ids named in one statement.
pub(super) const IDS_MAX: usize = 100;
/// What sqlx calls that engine.
const POSTGRESQL: &str = "PostgreSQL";
/// How often a job is put whose way is blocked by rows that are gone when one looks.
const PUT_TRIES_MAX: u32 = 4;

/// The bounds that the carrier will hold the job to, checked before the ledger promises anything.
pub(crate) fn check(job: &NewJob) -> Result<(), LedgerError> {
    let bytes = job.envelope.payload.get().len();
    if bytes > ENVELOPE_BYTES_MAX || job.envelope.to_json().len() > ENVELOPE_BYTES_MAX {
        return Err(LedgerError::Invalid(format!(
            "the job {} with its payload is over {ENVELOPE_BYTES_MAX} bytes",
            job.id
        )));
    }
    Ok(())
}

/// Puts the jobs, answers in order. Part of the caller's transaction.
pub(crate) async fn put(
    conn: &mut AnyConnection,
    clock: &windlass_engine::Clock,
    positions: &Positions,
    jobs: &[NewJob],
) -> Result<Vec<Put>, LedgerError> {
    jobs.iter().try_for_each(check)?;
    let mut puts = Vec::with_capacity(jobs.len());
    for slice in jobs.chunks(INSERT_ROWS) {
        let mut stored = insert(conn, clock, positions, slice).await?;
        for job in slice {
            // The first of two jobs with one id in one call is the one that was stored.
            let is_new = stored.remove(job.id.as_str());
            puts.push(if is_new { Put::New } else { put_in_the_way(conn, clock, positions, job).await? });
        }
    }
    Ok(puts)
}

/// The ids that were stored.
async fn insert(
    conn: &mut AnyConnection,
    clock: &windlass_engine::Clock,
    positions: &Positions,
    jobs: &[NewJob],
) -> Result<HashSet<String>, LedgerError> {
    let mut query = sqlx::query(AssertSqlSafe(insert_text(jobs.len())))
        .persistent(jobs.len() == 1 || jobs.len() == INSERT_ROWS)
        .bind(clock.now().micros());
    for job in jobs {
        let window = job.unique.as_ref().and_then(|unique| unique.window);
        query = query
            .bind(job.id.as_str().to_owned())
            .bind(job.envelope.kind.clone())
            .bind(job.queue.clone())
            .bind(job.priority.as_str())
            .bind(job.run_at.map(|at| at.micros()))
            .bind(job.unique.as_ref().map(|unique| unique.key.clone()))
            .bind(window.map(|window| i64::try_from(window.as_micros()).unwrap_or(i64::MAX)))
            .bind(job.deadline_at.map(|at| at.micros()))
            .bind(job.envelope.to_json())
            .bind(positions.next(clock));
    }
    let rows = query.fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get::<String, _>("id")?)).collect()
}

/// `$1` is the instant that all rows share.
fn insert_text(rows: usize) -> String {
    let tuples: Vec<String> = (0..rows)
        .map(|row| {
            let params: Vec<String> =
                (0..COLUMNS).map(|column| format!("${}", 2 + row * COLUMNS + column)).collect();
            format!("($1, {})", params.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO outbox (created_at, id, kind, queue, priority, run_at, unique_key, unique_window_us, \
         deadline_at, envelope, position) VALUES {} ON CONFLICT DO NOTHING RETURNING id",
        tuples.join(", ")
    )
}

/// A row stood in the way of the job. On PostgreSQL another process may have removed it before it is looked at: then
/// the way is free, and the job is put after all.
async fn put_in_the_way(
    conn: &mut AnyConnection,
    clock: &windlass_engine::Clock,
    positions: &Positions,
    job: &NewJob,
) -> Result<Put, LedgerError> {
    for _ in 0..PUT_TRIES_MAX {
        if let Some(put) = conflict(conn, job).await? {
            return Ok(put);
        }
        if !insert(conn, clock, positions, std::slice::from_ref(job)).await?.is_empty() {
            return Ok(Put::New);
        }
    }
    Err(LedgerError::Unavailable(format!("rows come and go in the way of {}", job.id)))
}

/// Which row stands in the way: one of the same id, or one that holds the unique key. None: none any more.
async fn conflict(conn: &mut AnyConnection, job: &NewJob) -> Result<Option<Put>, LedgerError> {
    let same_id = sqlx::query("SELECT envelope FROM outbox WHERE id = $1")
        .bind(job.id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(row) = same_id {
        // Another program's row has none, and no fingerprint either.
        let envelope: Option<String> = row.try_get("envelope")?;
        let envelope = envelope.and_then(|envelope| serde_json::from_str::<Envelope>(&envelope).ok());
        return Ok(Some(Put::Exists { fingerprint: envelope.and_then(|envelope| envelope.fingerprint) }));
    }
    let holder = sqlx::query(
        "SELECT id FROM outbox WHERE kind = $1 AND unique_key = $2 AND unique_key IS NOT NULL AND state = 'live'",
    )
    .bind(job.envelope.kind.as_str())
    .bind(job.unique.as_ref().map(|unique| unique.key.clone()))
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = holder else { return Ok(None) };
    let of: String = row.try_get("id")?;
    let of = JobId::parse(of).map_err(|error| LedgerError::Unreadable(error.to_string()))?;
    Ok(Some(Put::Duplicate { of }))
}

/// Jobs that are over.
pub(super) async fn remove(conn: &mut AnyConnection, ids: &[String]) -> Result<u64, LedgerError> {
    each_slice(conn, "DELETE FROM outbox WHERE id IN", ids, &[]).await
}

/// Jobs that the carrier gave up on.
pub(super) async fn bury(conn: &mut AnyConnection, ids: &[String], now_us: i64) -> Result<u64, LedgerError> {
    let text = "UPDATE outbox SET state = 'dead', ended_at = $1 WHERE state = 'live' AND id IN";
    each_slice(conn, text, ids, &[now_us]).await
}

/// A row that is no job that a carrier can take. False: another relay has said so already.
pub(super) async fn refuse(
    conn: &mut AnyConnection,
    id: &str,
    why: &str,
    now_us: i64,
) -> Result<bool, LedgerError> {
    let refused = sqlx::query(
        "UPDATE outbox SET state = 'refused', reason = $2, ended_at = $3, \
         created_at = CASE WHEN created_at = 0 THEN $3 ELSE created_at END WHERE id = $1 AND state = 'live'",
    )
    .bind(id)
    .bind(why)
    .bind(now_us)
    .execute(conn)
    .await?;
    Ok(refused.rows_affected() > 0)
}

/// Live again and to be handed over again, not before `look_at_us` of wall time. Part of the caller's transaction,
/// which goes on whatever comes of it.
pub(super) async fn revive(conn: &mut AnyConnection, id: &str, look_at_us: i64) -> Result<bool, LedgerError> {
    let mut part = conn.begin().await?;
    let done = sqlx::query(
        "UPDATE outbox SET state = 'live', ended_at = NULL, reason = NULL, handed_at = NULL, look_at = $2 \
         WHERE id = $1 AND state <> 'live' AND (unique_key IS NULL OR NOT EXISTS (SELECT 1 FROM outbox AS other \
         WHERE other.kind = outbox.kind AND other.unique_key = outbox.unique_key AND other.state = 'live'))",
    )
    .bind(id)
    .bind(look_at_us)
    .execute(&mut *part)
    .await;
    match done {
        Ok(done) => {
            part.commit().await?;
            Ok(done.rows_affected() > 0)
        }
        // On PostgreSQL another transaction may take the key while this one looks whether it is free.
        Err(error) if error.as_database_error().is_some_and(|inner| inner.is_unique_violation()) => {
            part.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Locks the rows in the order of their ids before any of them is changed: a transaction that changes them in several
/// statements would meet another one's locks halfway, and PostgreSQL would fail one of the two. SQLite has one writer,
/// and no such statement.
pub(super) async fn lock(
    conn: &mut AnyConnection,
    ids: impl IntoIterator<Item = &str>,
) -> Result<(), LedgerError> {
    if conn.backend_name() != POSTGRESQL {
        return Ok(());
    }
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    let text = |list: &str| format!("SELECT id FROM outbox WHERE id IN ({list}) ORDER BY id FOR UPDATE");
    in_slices(conn, text, &ids, &[]).await.map(drop)
}

/// Runs `text` followed by a list of ids, a slice at a time; `$1..` are the numbers.
pub(super) async fn each_slice(
    conn: &mut AnyConnection,
    text: &str,
    ids: &[String],
    numbers: &[i64],
) -> Result<u64, LedgerError> {
    in_slices(conn, |list| format!("{text} ({list})"), ids, numbers).await
}

/// In the order of the ids, as everybody does: two of these at once wait for each other in line.
async fn in_slices(
    conn: &mut AnyConnection,
    text: impl Fn(&str) -> String,
    ids: &[String],
    numbers: &[i64],
) -> Result<u64, LedgerError> {
    let mut changed = 0;
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    for slice in ids.chunks(IDS_MAX) {
        let list: Vec<String> = (1..=slice.len()).map(|n| format!("${}", numbers.len() + n)).collect();
        let mut query = sqlx::query(AssertSqlSafe(text(&list.join(", "))))
            .persistent(slice.len() == 1 || slice.len() == IDS_MAX);
        for number in numbers {
            query = query.bind(*number);
        }
        for id in slice {
            query = query.bind((*id).to_owned());
        }
        changed += query.execute(&mut *conn).await?.rows_affected();
    }
    Ok(changed)
}
