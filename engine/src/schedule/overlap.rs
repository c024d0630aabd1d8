//! Whether a job of the schedule's earlier instants still lives.
//!
//! The ids are derived, so no scheduler needs to know who handed the earlier jobs over.

use std::time::Duration;

use super::{Accept, Entry};
use crate::clock::Timestamp;
use crate::id::JobId;
use crate::store::StoreError;

/// Earlier instants whose jobs are looked for when a scheduler knows nothing yet.
const LOOK_BACK_MAX: usize = 256;
/// How far it looks back then.
const LOOK_BACK: Duration = Duration::from_secs(2 * 366 * 86_400);

/// What one scheduler knows of an entry's earlier jobs, so that it asks for each only while it lives.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    live: Vec<JobId>,
    /// Jobs of instants up to here have ended or are in `live`.
    seen: Option<Timestamp>,
}

impl Earlier {
    /// Whether a job of an instant before `instant` is not terminal.
    pub async fn lives(
        &mut self,
        entry: &Entry,
        instant: Timestamp,
        accept: &dyn Accept,
    ) -> Result<bool, StoreError> {
        let before = instant - Duration::from_micros(1);
        let from = self.seen.unwrap_or(before - LOOK_BACK);
        let unseen = entry.rhythm.newest(from, before, LOOK_BACK_MAX);
        let mut ids = self.live.clone();
        ids.extend(unseen.into_iter().map(|at| entry.job_id(at)));
        if !ids.is_empty() {
            let states = accept.states(ids.clone()).await?;
            let live = |state: &Option<_>| state.is_some_and(|state: crate::job::State| !state.is_terminal());
            self.live =
                ids.into_iter().zip(&states).filter(|(_, state)| live(state)).map(|(id, _)| id).collect();
        }
        self.seen = Some(before.max(from));
        Ok(!self.live.is_empty())
    }
}
