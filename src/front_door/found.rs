//! Finding a job wherever it is: in the carrier, or in the ledger on its way there.
//!
//! Reads only.

use std::collections::HashMap;

use windlass_engine::store::JobView;
use windlass_engine::{Envelope, JobId, Priority, State, StoreError, Timestamp};
use windlass_jobs::outbox::{OutboxRow, OutboxState};

use super::FrontDoor;
use super::problem::{Kind, Problem};

/// A job and who told of it.
#[derive(Debug)]
pub enum Found {
    Carrier(Box<JobView>),
    /// Accepted, and not in the carrier (yet, or any more).
    Ledger(Box<OutboxRow>),
}

/// The job as the carrier knows it, or else the ledger. A carrier that is away hides no job that the ledger has.
pub async fn find(door: &FrontDoor, id: &JobId) -> Result<Option<Found>, Problem> {
    let in_carrier = door.store.get(id).await;
    if let Ok(Some(view)) = in_carrier {
        return Ok(Some(Found::Carrier(Box::new(view))));
    }
    if let Some(row) = door.ledger.outbox_job(id).await? {
        return Ok(Some(Found::Ledger(Box::new(row))));
    }
    in_carrier?;
    Ok(None)
}

/// [`find`], with a problem when there is none.
pub async fn must_find(door: &FrontDoor, id: &JobId) -> Result<Found, Problem> {
    find(door, id).await?.ok_or_else(|| no_such_job(id))
}

pub fn no_such_job(id: &JobId) -> Problem {
    Problem::new(
        Kind::NoSuchJob,
        format!("No job is called {id}. One that is over is forgotten after a time."),
    )
}

/// Those of the jobs that the carrier knows.
pub async fn find_each(door: &FrontDoor, ids: Vec<JobId>) -> Result<HashMap<JobId, JobView>, StoreError> {
    let mut known = HashMap::new();
    if ids.is_empty() {
        return Ok(known);
    }
    let states = door.store.states(ids.clone()).await?;
    for (id, _) in ids.into_iter().zip(states).filter(|(_, state)| state.is_some()) {
        if let Some(view) = door.store.get(&id).await? {
            known.insert(id, view);
        }
    }
    Ok(known)
}

impl Found {
    pub fn id(&self) -> &JobId {
        match self {
            Self::Carrier(view) => &view.id,
            Self::Ledger(row) => &row.job.id,
        }
    }

    pub fn envelope(&self) -> &Envelope {
        match self {
            Self::Carrier(view) => &view.envelope,
            Self::Ledger(row) => &row.job.envelope,
        }
    }

    pub fn queue(&self) -> &str {
        match self {
            Self::Carrier(view) => &view.queue,
            Self::Ledger(row) => &row.job.queue,
        }
    }

    pub fn priority(&self) -> Priority {
        match self {
            Self::Carrier(view) => view.priority,
            Self::Ledger(row) => row.job.priority,
        }
    }

    pub fn created_at(&self) -> Timestamp {
        match self {
            Self::Carrier(view) => view.created_at,
            Self::Ledger(row) => row.created_at,
        }
    }

    pub fn state(&self) -> State {
        match self {
            Self::Carrier(view) => view.state,
            Self::Ledger(row) => match row.state {
                OutboxState::Dead | OutboxState::Refused => State::Dead,
                OutboxState::Live if row.job.run_at.is_some_and(|at| at > row.created_at) => State::Scheduled,
                OutboxState::Live => State::Ready,
            },
        }
    }
}
