//! Where the jobs of schedules go: into the ledger or to the carrier, as their kind says.

use std::sync::Arc;

use async_trait::async_trait;
use windlass_engine::schedule::Accept;
use windlass_engine::store::Enqueued;
use windlass_engine::{AcceptedBy, JobId, JobTable, NewJob, State, Store, StoreError};
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_jobs::outbox::Put;
use windlass_jobs::shop::Shop;

pub(super) struct ByKind {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Ledger,
    pub(super) table: Arc<JobTable<Shop>>,
}

#[async_trait]
impl Accept for ByKind {
    async fn accept(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        let kind = self.table.get(&job.envelope.kind);
        let answer = if kind.is_some_and(|kind| kind.accepted_by == AcceptedBy::Ledger) {
            self.ledger.accept(vec![job]).await.map_err(unavailable)?.pop().map(in_ledger)
        } else {
            self.store.enqueue(vec![job]).await?.pop()
        };
        answer.ok_or_else(|| StoreError::Invalid("no answer for the job".to_owned()))
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        let mut states = self.store.states(ids.clone()).await?;
        for (state, id) in states.iter_mut().zip(&ids) {
            if state.is_none() && self.ledger.outbox_job(id).await.map_err(unavailable)?.is_some() {
                *state = Some(State::Ready);
            }
        }
        Ok(states)
    }
}

fn in_ledger(put: Put) -> Enqueued {
    match put {
        Put::New => Enqueued::New,
        Put::Exists { fingerprint } => Enqueued::Exists { state: State::Ready, fingerprint },
        Put::Duplicate { of } => Enqueued::Duplicate { of },
    }
}

fn unavailable(error: LedgerError) -> StoreError {
    StoreError::Unavailable(format!("the ledger: {error}"))
}
