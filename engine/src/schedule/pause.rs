//! Schedules that an operator holds back: their instants pass without a job.
//!
//! A pause is a cursor of the carrier beside the schedule's own, so it holds for every scheduler at once and for as
//! long as the carrier keeps the schedule's own place. Who paused it and why is for an audit log to know.

use super::Entry;
use crate::clock::Timestamp;
use crate::store::{Store, StoreError};

/// Since when the schedule is paused, in the shop's time; None: it is not.
///
/// # Errors
/// When the carrier does not answer.
pub async fn paused_since(store: &dyn Store, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
    let mark = store.cursor(&mark_of(schedule)).await?;
    Ok(mark.filter(|since| *since > NOT_PAUSED))
}

/// Pauses the schedule from `now` on. False: it was paused before, and stays so since then.
///
/// # Errors
/// When the carrier does not answer.
pub async fn pause(store: &dyn Store, schedule: &str, now: Timestamp) -> Result<bool, StoreError> {
    let mark = store.cursor(&mark_of(schedule)).await?;
    if mark.is_some_and(|since| since > NOT_PAUSED) {
        return Ok(false);
    }
    store.move_cursor(&mark_of(schedule), mark, now).await
}

/// Lets the schedule go on from `now`: what came due meanwhile is not made up for. False: it was not paused.
///
/// # Errors
/// When the carrier does not answer.
pub async fn resume(store: &dyn Store, entry: &Entry, now: Timestamp) -> Result<bool, StoreError> {
    let Some(since) = paused_since(store, &entry.name).await? else { return Ok(false) };
    // The place first: a scheduler that finds the pause gone must not find the instants of the pause due. Where
    // another one moved it in between, that one let them pass.
    if let Some(cursor) = store.cursor(&entry.name).await?.filter(|cursor| *cursor < now) {
        store.move_cursor(&entry.name, Some(cursor), now).await?;
    }
    store.move_cursor(&mark_of(&entry.name), Some(since), NOT_PAUSED).await
}

const NOT_PAUSED: Timestamp = Timestamp::from_micros(0);

/// A name that no schedule can have.
fn mark_of(schedule: &str) -> String {
    format!("paused/{schedule}")
}
