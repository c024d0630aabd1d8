//! Jobs on their way into the file: once by id, once by unique key, within the backlog's bound.

use rusqlite::{OptionalExtension, params};
use serde::Deserialize;

use crate::envelope::Unique;
use crate::id::JobId;
use crate::job::State;
use crate::store::prepared::{Backlog, Prepared};
use crate::store::sqlite::desk::Desk;
use crate::store::sqlite::row::IdKey;
use crate::store::{Enqueued, StoreError};

pub(super) fn enqueue(
    desk: &mut Desk,
    jobs: &[Prepared],
    backlog: Backlog,
) -> Result<Vec<Enqueued>, StoreError> {
    jobs.iter().map(|job| insert(desk, job, backlog)).collect()
}

fn insert(desk: &mut Desk, job: &Prepared, backlog: Backlog) -> Result<Enqueued, StoreError> {
    let queue = desk.queues.of(&desk.conn, &job.queue)?;
    let books = desk.queues.get(queue);
    let full =
        backlog == Backlog::Bounded && books.gate.rules.backlog_max.is_some_and(|max| books.backlog() >= max);
    let windowed = job.unique.as_ref().is_some_and(|unique| unique.window.is_some());
    if full || job.unique.is_some() {
        // The plain key of a plain job needs no look here: the index finds it.
        if let Some(known) = known_by_id(desk, job)? {
            return Ok(known);
        }
        if let Some(of) = window_holder(desk, job)? {
            return Ok(Enqueued::Duplicate { of });
        }
        if (full || windowed)
            && let Some(of) = key_holder(desk, job)?
        {
            return Ok(Enqueued::Duplicate { of });
        }
        if full {
            return Ok(Enqueued::Full);
        }
    }

    let (state, run_at) = match job.run_at {
        Some(at) if at > desk.now => (State::Scheduled, at),
        // One that says it was due long ago stands where it arrives, or it would overtake everybody.
        _ => (State::Ready, desk.now),
    };
    let key = job.unique.as_ref().map(|unique| &*unique.key);
    let (unique_key, window_key) = if windowed { (None, key) } else { (key, None) };
    let stored = desk
        .conn
        .prepare_cached(
            "INSERT INTO job (id, kind, queue, priority, state, run_at, deadline_at, created_at, unique_key, window_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            IdKey::from(&job.id),
            job.kind,
            queue.0,
            job.priority,
            state,
            run_at,
            job.deadline_at,
            desk.now,
            unique_key,
            window_key
        ])?;
    if stored == 0 {
        return already_there(desk, job);
    }
    desk.conn
        .prepare_cached("INSERT INTO body (seq, envelope) VALUES (last_insert_rowid(), ?1)")?
        .execute([&job.envelope])?;
    if windowed {
        hold_window(desk, job)?;
    }
    if state == State::Scheduled {
        desk.will_be_due(run_at);
    }
    desk.accept(queue, &job.id, state);
    Ok(Enqueued::New)
}

fn already_there(desk: &Desk, job: &Prepared) -> Result<Enqueued, StoreError> {
    if let Some(known) = known_by_id(desk, job)? {
        return Ok(known);
    }
    match key_holder(desk, job)? {
        Some(of) => Ok(Enqueued::Duplicate { of }),
        None => Err(StoreError::Unreadable(format!("{} conflicts with a job that is not there", job.id))),
    }
}

fn known_by_id(desk: &Desk, job: &Prepared) -> Result<Option<Enqueued>, StoreError> {
    #[derive(Deserialize)]
    struct Request {
        fingerprint: Option<String>,
    }
    let found = desk
        .conn
        .prepare_cached("SELECT job.state, body.envelope FROM job JOIN body USING (seq) WHERE id = ?1")?
        .query_row([IdKey::from(&job.id)], |row| {
            let envelope = row.get_ref(1)?.as_str()?;
            let request: Option<Request> = serde_json::from_str(envelope).ok();
            Ok((row.get(0)?, request.and_then(|request| request.fingerprint)))
        })
        .optional()?;
    Ok(found.map(|(state, fingerprint)| Enqueued::Exists { state, fingerprint }))
}

/// The job that holds the plain unique key.
fn key_holder(desk: &Desk, job: &Prepared) -> Result<Option<JobId>, StoreError> {
    let Some(unique) = &job.unique else { return Ok(None) };
    Ok(desk
        .conn
        .prepare_cached(
            "SELECT id FROM job WHERE kind = ?1 AND unique_key = ?2 AND unique_key IS NOT NULL AND state < 4",
        )?
        .query_row([&job.kind, &unique.key], |row| row.get(0))
        .optional()?)
}

/// The job whose window holds the key now.
fn window_holder(desk: &Desk, job: &Prepared) -> Result<Option<JobId>, StoreError> {
    let Some(unique) = &job.unique else { return Ok(None) };
    Ok(desk
        .conn
        .prepare_cached("SELECT id FROM unique_window WHERE kind = ?1 AND key = ?2 AND until > ?3")?
        .query_row(params![job.kind, unique.key, desk.now], |row| row.get(0))
        .optional()?)
}

fn hold_window(desk: &Desk, job: &Prepared) -> Result<(), StoreError> {
    let Some(Unique { key, window: Some(window) }) = &job.unique else { return Ok(()) };
    desk.conn
        .prepare_cached(
            "INSERT INTO unique_window (kind, key, until, id) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, key) DO UPDATE SET until = excluded.until, id = excluded.id",
        )?
        .execute(params![job.kind, key, desk.now + *window, IdKey::from(&job.id)])?;
    Ok(())
}
