//! Who takes the jobs that schedules make.

use std::sync::Arc;

use async_trait::async_trait;

use crate::envelope::NewJob;
use crate::id::JobId;
use crate::job::State;
use crate::store::{Enqueued, Store, StoreError};

/// Takes jobs over, durably: the carrier itself, or a ledger that hands them to the carrier later.
#[async_trait]
pub trait Accept: Send + Sync + 'static {
    /// When this answers [`Enqueued::New`], the job survives a crash. Idempotent by the job's id.
    async fn accept(&self, job: NewJob) -> Result<Enqueued, StoreError>;

    /// The states of accepted jobs; a ledger must also tell [`State::Ready`] of one that the carrier does not
    /// have yet, or the next instant would overlap it. None for one that is not known.
    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError>;
}

/// Gives every job straight to the carrier.
pub struct AcceptByCarrier(pub Arc<dyn Store>);

#[async_trait]
impl Accept for AcceptByCarrier {
    async fn accept(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        self.0
            .enqueue(vec![job])
            .await?
            .pop()
            .ok_or_else(|| StoreError::Invalid("no answer for the job".to_owned()))
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        self.0.states(ids).await
    }
}
