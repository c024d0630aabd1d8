//! A row of the outbox as a job, whoever wrote it.
//!
//! Our own rows hold a whole envelope. Another program's may hold the payload alone: then the kind's row in [`JOBS`]
//! says the rest. Whatever is wrong with a row is said, not assumed away.

use std::fmt::Display;
use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::envelope::Unique;
use windlass_engine::{Envelope, JobId, JobKind, NewJob, Priority, Timestamp};

use super::{OutboxRow, OutboxState};
use crate::JOBS;
use crate::ledger::LedgerError;
use crate::shop::Shop;

/// Who enqueued a job whose row has no envelope to say it.
const ENQUEUED_BY: &str = "outbox";

pub(super) fn outbox_row(row: &AnyRow) -> Result<OutboxRow, LedgerError> {
    let state: String = row.try_get("state")?;
    let handed_at: Option<i64> = row.try_get("handed_at")?;
    Ok(OutboxRow {
        job: new_job(row)?,
        state: OutboxState::parse(&state)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        handed_at: handed_at.map(Timestamp::from_micros),
        reason: row.try_get("reason")?,
    })
}

/// The job of a row.
///
/// # Errors
/// [`LedgerError::Unreadable`] says which column cannot be read, and why.
pub(super) fn new_job(row: &AnyRow) -> Result<NewJob, LedgerError> {
    let id: String = row.try_get("id")?;
    let name: String = row.try_get("kind")?;
    let wrong = |what: &str, why: &dyn Display| {
        LedgerError::Unreadable(format!("the {what} of outbox row {id:?}: {why}"))
    };
    let kind = JOBS.iter().find(|kind| kind.name == name);
    let envelope: Option<String> = row.try_get("envelope")?;
    let (envelope, kinds_key) = match envelope {
        Some(json) => (serde_json::from_str(&json).map_err(|error| wrong("envelope", &error))?, None),
        None => from_payload(row, &name, kind)?.map_err(|error| wrong("payload", &error))?,
    };
    if envelope.kind != name {
        return Err(wrong(
            "envelope",
            &format_args!("it is of the kind {:?}, the row of {name:?}", envelope.kind),
        ));
    }
    let queue = row.try_get::<Option<String>, _>("queue")?.or_else(|| kind.map(|kind| kind.queue.to_owned()));
    let priority = match row.try_get::<Option<String>, _>("priority")? {
        Some(text) => Priority::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| wrong("priority", &format_args!("{text:?} is none")))?,
        None => kind.map_or(Priority::Normal, |kind| kind.priority),
    };
    let window_us: Option<i64> = row.try_get("unique_window_us")?;
    let window = window_us.map(|us| Duration::from_micros(us.max(0) as u64));
    let unique = row.try_get::<Option<String>, _>("unique_key")?.map(|key| Unique { key, window });
    let instant =
        |column| Ok::<_, LedgerError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    Ok(NewJob {
        id: JobId::parse(id.clone()).map_err(|error| wrong("id", &error))?,
        queue: queue
            .ok_or_else(|| wrong("kind", &format_args!("{name:?} is none, and no queue is named")))?,
        priority,
        run_at: instant("run_at")?,
        unique: unique.or(kinds_key),
        deadline_at: instant("deadline_at")?,
        envelope: Envelope { in_outbox: true, ..envelope },
    })
}

type FromPayload = Result<(Envelope, Option<Unique>), serde_json::Error>;

/// The envelope of a row that has none, and the unique key by the kind's own rule. A payload that is not one of its
/// kind is refused here, where its writer can be told, not at its first attempt. Of a kind that this build does not
/// know (another one may) only that it is JSON.
fn from_payload(row: &AnyRow, name: &str, kind: Option<&JobKind<Shop>>) -> Result<FromPayload, LedgerError> {
    let payload: Option<String> = row.try_get("payload")?;
    let read = || {
        let payload: Box<RawValue> = serde_json::from_str(payload.as_deref().unwrap_or_default())?;
        let key = kind.map(|kind| (kind.unique_key)(&payload)).transpose()?.flatten();
        let envelope = Envelope { enqueued_by: Some(ENQUEUED_BY.to_owned()), ..Envelope::new(name, payload) };
        Ok((envelope, key.map(|key| Unique { key, window: None })))
    };
    Ok(read())
}
