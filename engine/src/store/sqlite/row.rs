//! How a job looks in its row: ids, states, priorities, views. Decides nothing.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::id::{JobId, Token};
use crate::job::{Priority, State};
use crate::store::prepared;
use crate::store::{FAULTS_MAX, JobFault, JobNotes, JobView, StoreError};

/// An id as it is stored: the 16 bytes of a canonical UUID, else its text. SQLite holds no BLOB equal to a TEXT,
/// so the two never meet.
#[derive(Clone, Copy)]
pub(super) struct IdKey<'a> {
    text: &'a str,
    uuid: Option<[u8; 16]>,
}

impl<'a> From<&'a JobId> for IdKey<'a> {
    fn from(id: &'a JobId) -> Self {
        let text = id.as_str();
        let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
        let uuid = if canonical { uuid::Uuid::try_parse(text).ok() } else { None };
        Self { text, uuid: uuid.map(uuid::Uuid::into_bytes) }
    }
}

impl ToSql for IdKey<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.uuid {
            Some(bytes) => ValueRef::Blob(bytes),
            None => ValueRef::Text(self.text.as_bytes()),
        }))
    }
}

impl FromSql for JobId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = match value {
            ValueRef::Blob(bytes) => {
                uuid::Uuid::from_slice(bytes).map_err(|e| FromSqlError::Other(Box::new(e)))?.to_string()
            }
            other => other.as_str()?.to_owned(),
        };
        JobId::parse(text).map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.micros()))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Timestamp::from_micros)
    }
}

impl ToSql for Token {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.cast_signed()))
    }
}

impl FromSql for Token {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|n| Token(n.cast_unsigned()))
    }
}

/// A number of jobs: SQLite's integers have a sign, numbers of jobs have none.
pub(super) fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let n: i64 = row.get(at)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, n))
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let n = value.as_i64()?;
        usize::try_from(n).ok().and_then(|n| State::ALL.get(n)).copied().ok_or(FromSqlError::OutOfRange(n))
    }
}

impl ToSql for Priority {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

impl FromSql for Priority {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let n = value.as_i64()?;
        usize::try_from(n).ok().and_then(|n| Priority::ALL.get(n)).copied().ok_or(FromSqlError::OutOfRange(n))
    }
}

const VIEW: &str = "SELECT job.seq, job.id, queue.name, job.priority, job.state, job.attempt, job.crashes,
    job.run_at, job.created_at, job.done_at, job.deadline_at, job.worker, job.cancelling,
    COALESCE(job.unique_key, job.window_key), job.kind, body.envelope, outcome.result, outcome.faults,
    outcome.notes
  FROM job JOIN queue ON queue.no = job.queue JOIN body ON body.seq = job.seq
    LEFT JOIN outcome ON outcome.seq = job.seq";

pub(super) fn view_by_id(conn: &Connection, id: &JobId) -> Result<Option<JobView>, StoreError> {
    let mut find = conn.prepare_cached(&format!("{VIEW} WHERE job.id = ?1"))?;
    Ok(find.query_row([IdKey::from(id)], view).optional()?)
}

pub(super) fn view_by_seq(conn: &Connection, seq: i64) -> Result<Option<JobView>, StoreError> {
    let mut find = conn.prepare_cached(&format!("{VIEW} WHERE job.seq = ?1"))?;
    Ok(find.query_row([seq], view).optional()?)
}

fn view(row: &Row<'_>) -> rusqlite::Result<JobView> {
    Ok(JobView {
        id: row.get(1)?,
        queue: row.get(2)?,
        priority: row.get(3)?,
        state: row.get(4)?,
        attempt: row.get(5)?,
        crashes: row.get(6)?,
        run_at: row.get(7)?,
        created_at: row.get(8)?,
        finished_at: row.get(9)?,
        deadline_at: row.get(10)?,
        worker: row.get(11)?,
        cancelling: row.get(12)?,
        unique_key: row.get(13)?,
        envelope: prepared::envelope(row.get_ref(15)?.as_str()?, Some(row.get_ref(14)?.as_str()?)),
        result: json(row, 16)?,
        faults: json(row, 17)?.unwrap_or_default(),
        notes: json(row, 18)?.unwrap_or_default(),
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get_ref(at)?.as_str_or_null()? else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(e)))
}

/// Remembers why an attempt ended; the oldest beyond [`FAULTS_MAX`] goes.
pub(super) fn add_fault(conn: &Connection, seq: i64, fault: &JobFault) -> Result<(), StoreError> {
    let before: Option<Option<String>> = conn
        .prepare_cached("SELECT faults FROM outcome WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let mut faults: Vec<JobFault> =
        before.flatten().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    faults.push(prepared::bounded(fault));
    let over = faults.len().saturating_sub(FAULTS_MAX);
    let text = serde_json::to_string(&faults[over..]).expect("faults are plain data");
    conn.prepare_cached(
        "INSERT INTO outcome (seq, faults) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET faults = excluded.faults",
    )?
    .execute(params![seq, text])?;
    Ok(())
}

pub(super) fn set_notes(conn: &Connection, seq: i64, notes: &JobNotes) -> Result<(), StoreError> {
    let text = serde_json::to_string(notes).expect("notes are plain data");
    conn.prepare_cached(
        "INSERT INTO outcome (seq, notes) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET notes = excluded.notes",
    )?
    .execute(params![seq, text])?;
    Ok(())
}

pub(super) fn set_result(conn: &Connection, seq: i64, result: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO outcome (seq, result) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET result = excluded.result",
    )?
    .execute(params![seq, result])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored_and_read(text: &str) -> JobId {
        let conn = Connection::open_in_memory().unwrap();
        let id = JobId::parse(text).unwrap();
        conn.query_row("SELECT ?1", [IdKey::from(&id)], |row| row.get(0)).unwrap()
    }

    proptest! {
        #[test]
        fn every_id_reads_back_as_it_was(text in "[A-Za-z0-9._:/-]{1,64}") {
            let read = stored_and_read(&text);
            prop_assert_eq!(read.as_str(), text);
        }
    }

    #[test]
    fn only_the_canonical_form_of_a_uuid_is_stored_in_sixteen_bytes() {
        let canonical = "0191d3a4-2f6b-7c3e-8d51-0a1b2c3d4e5f";
        let key = |text: &str| IdKey::from(&JobId::parse(text).unwrap()).uuid.is_some();
        assert!(key(canonical));
        assert!(!key(&canonical.to_uppercase()));
        assert!(!key(&canonical.replace('-', "")));
        assert_eq!(stored_and_read(&canonical.to_uppercase()).as_str(), canonical.to_uppercase());
    }
}
