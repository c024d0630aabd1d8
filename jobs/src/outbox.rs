//! The outbox: jobs that the ledger has accepted and that are not over.
//!
//! A row is written in the transaction that changes the business ([`Tx::enqueue`](crate::ledger::Tx::enqueue)) or
//! by the front door ([`Ledger::accept`]), handed to the carrier by the [`Relay`], and removed when its job is over
//! ([`Ledger::finished`]). The ledger's word is the promise; the carrier is where the job runs. Nothing here runs a
//! job or decides when one is due. Another program that shares the database may insert rows in its own transactions:
//! `docs/guides/outbox.md`.
//!
//! # Why nothing is lost and nothing that is over runs again
//!
//! *Lost*: a row is marked as handed over only after the carrier has said that the job is durable there. Crashes
//! before the mark lead to a second hand-over, which the carrier knows by the id. A carrier that was wiped or
//! exchanged is known by its mark (a cursor named [`CARRIER_MARK`], written when a relay first meets it): what was
//! given to another one is handed over again. A carrier that lost only its newest writes still has the mark, so
//! the sweep asks it for each job that it has held for a while.
//!
//! *Over*: a job that completed is unknown to the carrier once it is pruned there. Three things must not be
//! mistaken for a loss then. (1) A worker reports with [`Ledger::finished`] as soon as the carrier has settled the
//! job. (2) Where that report is lost, the sweep finds the job terminal within `RelaySettings::sweep_age` and
//! removes the row; the carrier keeps completed jobs for at least `Retention.completed_age_max`, which must be no
//! shorter than `RelaySettings::kept_age_min`, which the relay keeps at four times the sweep's age or more.
//! (3) Where no relay ran for longer than that (a week-end switched off), the row's `seen_at` is older than
//! `kept_age_min`, and a job that *this* carrier no longer knows then ended and was pruned: the row goes, with a
//! warning. What remains: a carrier whose retention by count is so small that a completed job goes within one
//! sweep, together with a lost report. Then the job runs again, and the effect ledger keeps that harmless.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use windlass_engine::store::ENQUEUE_ITEMS_MAX;
use windlass_engine::{JobId, NewJob, Timestamp};

use crate::ledger::{Ledger, LedgerError};

pub(crate) mod accept;
pub(crate) mod put;
mod relay;
mod row;
mod sweep;

pub use accept::ACCEPT_ROWS_MAX;
pub use relay::{HandedOver, Relay, RelayError, RelaySettings};

/// The cursor in the carrier that tells one carrier from another.
pub const CARRIER_MARK: &str = "outbox/carrier";

/// Wall time that whoever revives a job has for telling the carrier too.
pub const REVIVE_GRACE: Duration = Duration::from_secs(2);

/// What became of a job that was put into the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    New,
    /// A job of this id is in the outbox already, made by the request with this fingerprint.
    Exists {
        fingerprint: Option<String>,
    },
    /// A live job of the kind holds the unique key.
    Duplicate {
        of: JobId,
    },
}

/// Where an accepted job stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// To be run; the carrier has it or will be given it.
    Live,
    /// The carrier gave up on it. Kept for people to look at.
    Dead,
    /// The carrier cannot take it: the row itself is wrong.
    Refused,
}

impl OutboxState {
    fn parse(text: &str) -> Result<Self, LedgerError> {
        match text {
            "live" => Ok(Self::Live),
            "dead" => Ok(Self::Dead),
            "refused" => Ok(Self::Refused),
            other => Err(LedgerError::Unreadable(format!("an outbox row is in the state {other:?}"))),
        }
    }
}

/// One accepted job as the ledger knows it.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub job: NewJob,
    pub state: OutboxState,
    pub created_at: Timestamp,
    /// None: the carrier has not been given the job yet.
    pub handed_at: Option<Timestamp>,
    /// Why it is dead or refused.
    pub reason: Option<String>,
}

/// How many rows there are, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxCounts {
    pub waiting: i64,
    pub handed_over: i64,
    pub dead: i64,
    pub refused: i64,
}

impl Ledger {
    /// Accepts the jobs: when this answers they are on disk. Answers in order. Many callers share one commit.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when there are more than [`ENQUEUE_ITEMS_MAX`] or one is over a bound. More than
    /// [`ACCEPT_ROWS_MAX`] jobs take several commits: when a later one fails the earlier ones stay accepted, and
    /// the same call again is harmless.
    pub async fn accept(&self, jobs: Vec<NewJob>) -> Result<Vec<Put>, LedgerError> {
        if jobs.len() > ENQUEUE_ITEMS_MAX {
            return Err(LedgerError::Invalid(format!(
                "at most {ENQUEUE_ITEMS_MAX} jobs at once, not {}",
                jobs.len()
            )));
        }
        jobs.iter().try_for_each(put::check)?;
        let mut puts = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        loop {
            let slice: Vec<NewJob> = jobs.by_ref().take(ACCEPT_ROWS_MAX).collect();
            if slice.is_empty() {
                return Ok(puts);
            }
            puts.extend(self.write(|answer| accept::Write::Put { jobs: slice, answer }).await?);
        }
    }

    /// What is known of an accepted job: it may wait for the carrier, be there, or be dead. None once it is over.
    pub async fn outbox_job(&self, id: &JobId) -> Result<Option<OutboxRow>, LedgerError> {
        let row = sqlx::query(
            "SELECT id, kind, queue, priority, run_at, unique_key, unique_window_us, deadline_at, envelope, payload, \
                    state, created_at, handed_at, reason FROM outbox WHERE id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(self.reads())
        .await?;
        row.as_ref().map(row::outbox_row).transpose()
    }

    /// The jobs are over and need no keeping (completed, cancelled): their rows go. Many callers share one commit.
    pub async fn finished(&self, ids: Vec<JobId>) -> Result<(), LedgerError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|answer| accept::Write::Finished { ids, answer }).await
    }

    /// The jobs are dead: their rows stay for people to look at and are not handed over again.
    pub async fn died(&self, ids: Vec<JobId>) -> Result<(), LedgerError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|answer| accept::Write::Died { ids, answer }).await
    }

    /// A dead or refused job is wanted again: its row is live and will be handed over (a carrier that still has the
    /// job keeps its own copy). Call it before the carrier is told to retry: the relay leaves the row alone for
    /// [`REVIVE_GRACE`], or it would find the job still dead in the carrier and bury the row again. False: there
    /// is no such row, or another live job holds its unique key.
    pub async fn revive(&self, id: &JobId) -> Result<bool, LedgerError> {
        let mut tx = self.begin().await?;
        let look_at = self.clock().wall() + REVIVE_GRACE;
        let revived = put::revive(tx.conn(), id.as_str(), look_at.micros()).await?;
        tx.commit().await?;
        Ok(revived)
    }

    /// Counted over indexes, each of which holds only the rows in question.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, LedgerError> {
        let mut tx = self.snapshot().await?;
        let (waiting, handed_over): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM outbox WHERE handed_at IS NULL AND state = 'live') AS waiting, \
                    (SELECT COUNT(*) FROM outbox WHERE handed_at IS NOT NULL AND state = 'live') AS handed_over",
        )
        .fetch_one(&mut *tx)
        .await?;
        let ended: Vec<(String, i64)> = sqlx::query_as(
            "SELECT state, COUNT(*) AS rows_n FROM outbox WHERE ended_at IS NOT NULL GROUP BY state",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut counts = OutboxCounts { waiting, handed_over, ..OutboxCounts::default() };
        for (state, n) in ended {
            match OutboxState::parse(&state)? {
                // A row that lives has not ended: it is counted above.
                OutboxState::Live => {}
                OutboxState::Dead => counts.dead = n,
                OutboxState::Refused => counts.refused = n,
            }
        }
        Ok(counts)
    }

    /// Since when the job waits, in the shop's time, that waits longest to be handed over. None: none waits.
    pub async fn outbox_waiting_since(&self) -> Result<Option<Timestamp>, LedgerError> {
        let oldest: Option<(i64,)> = sqlx::query_as(
            "SELECT created_at FROM outbox WHERE handed_at IS NULL AND state = 'live' AND created_at > 0 \
             ORDER BY created_at LIMIT 1",
        )
        .fetch_optional(self.reads())
        .await?;
        Ok(oldest.map(|(at,)| Timestamp::from_micros(at)))
    }

    async fn write<T>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> accept::Write,
    ) -> Result<T, LedgerError> {
        let gone = || LedgerError::Unavailable("its writer has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.writes().send(write(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
