//! Hands accepted jobs to the carrier: at once when woken, every second otherwise, in order, in batches.
//!
//! What this process accepts wakes its relay. Rows of other processes and other programs are found by looking: one
//! search of a partial index, which is empty when nothing waits, and one question to the carrier. Any number of
//! relays may run: of two that take up the same row, the carrier knows the second's job by its id, and both note the
//! same. No row is claimed for that: a claim would be a write for every batch, and would have to end when its relay
//! dies. While the carrier is away the rows wait. What becomes of jobs that were handed over is looked at by the
//! [`sweep`](super::sweep).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::Row;
use tokio_util::sync::CancellationToken;
use windlass_engine::store::Enqueued;
use windlass_engine::{NewJob, State, Store, StoreError, Timestamp};

use super::row::new_job;
use super::{CARRIER_MARK, put};
use crate::ledger::{Ledger, LedgerError};

/// Rows of one hand-over.
const BATCH_ROWS: i64 = 500;
/// Bytes of envelopes in one hand-over, past which no further row is added.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Wall time between two looks for rows of which nobody told us (another process put them).
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Wall time until a row is tried again that the carrier could not take: its queue is full, or the holder of its
/// unique key still runs.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Wall time between tries while the carrier or the ledger is away.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Wall time after which a job that was handed over is asked after, and again each time it has passed.
    pub sweep_age: Duration,
    /// Shop's time for which the carrier keeps completed jobs at the least: not longer than
    /// [`Retention::completed_age_max`](windlass_engine::store::Retention). The sweep is kept four times as fast.
    pub kept_age_min: Duration,
    /// Shop's time for which rows of dead and refused jobs are kept.
    pub dead_age_max: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            sweep_age: Duration::from_secs(60),
            kept_age_min: Duration::from_secs(24 * 3600),
            dead_age_max: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// What stopped a round of the relay. The rows are still there.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Carrier(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Jobs that the carrier took.
    pub taken: u64,
    /// Jobs that the carrier had already.
    pub known: u64,
    /// Rows that cannot go yet: their queue is full or their unique key is held.
    pub held_up: u64,
    /// Rows that cannot be jobs.
    pub refused: u64,
    /// Jobs that were found over.
    pub over: u64,
    /// Jobs that the carrier had lost.
    pub lost: u64,
}

impl HandedOver {
    pub(super) fn add(&mut self, other: HandedOver) {
        self.taken += other.taken;
        self.known += other.known;
        self.held_up += other.held_up;
        self.refused += other.refused;
        self.over += other.over;
        self.lost += other.lost;
    }
}

pub struct Relay {
    pub(super) ledger: Ledger,
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: RelaySettings,
    /// The mark of the carrier that was last met; 0: none.
    met: AtomicI64,
}

impl Relay {
    pub fn new(ledger: Ledger, store: Arc<dyn Store>, settings: RelaySettings) -> Self {
        Self { ledger, store, settings, met: AtomicI64::new(0) }
    }

    /// Runs until `stop`. Rows that are put after it wait for the next relay.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut asked_all = false;
        let mut sweep_at = self.ledger.clock().wall();
        while !stop.is_cancelled() {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round(&mut asked_all, &mut sweep_at) => round,
            };
            let pause = backoff.after(round.as_ref().err());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.ledger.wake().notified(), if round.is_ok() => {}
            }
        }
    }

    /// Hands over everything that waits, after asking the carrier for everything it was given before: what it does
    /// not know is handed over again. What [`Relay::run`] does when it starts.
    pub async fn hand_over_all(&self) -> Result<HandedOver, RelayError> {
        let carrier = self.carrier().await?;
        self.ask_for_all().await?;
        let mut all = self.sweep(carrier).await?;
        all.add(self.hand_over(carrier).await?);
        Ok(all)
    }

    async fn round(&self, asked_all: &mut bool, sweep_at: &mut Timestamp) -> Result<HandedOver, RelayError> {
        if !*asked_all {
            let all = self.hand_over_all().await?;
            *asked_all = true;
            return Ok(all);
        }
        let carrier = self.carrier().await?;
        let mut round = self.hand_over(carrier).await?;
        let wall = self.ledger.clock().wall();
        if wall >= *sweep_at {
            round.add(self.sweep(carrier).await?);
            *sweep_at = wall + self.sweep_age() / 2;
        }
        Ok(round)
    }

    /// The mark of the present carrier. A carrier without one is new: everything that another one was given is
    /// handed over again.
    async fn carrier(&self) -> Result<i64, RelayError> {
        let mark = match self.store.cursor(CARRIER_MARK).await? {
            Some(mark) => mark,
            None => {
                self.store.move_cursor(CARRIER_MARK, None, self.ledger.clock().wall()).await?;
                let mark = self.store.cursor(CARRIER_MARK).await?;
                mark.ok_or_else(|| StoreError::Unavailable("it forgot the mark it was given".to_owned()))?
            }
        };
        if self.met.load(Ordering::Relaxed) != mark.micros() {
            self.take_back_from_others(mark.micros()).await?;
            self.met.store(mark.micros(), Ordering::Relaxed);
        }
        Ok(mark.micros())
    }

    async fn hand_over(&self, carrier: i64) -> Result<HandedOver, RelayError> {
        let mut all = HandedOver::default();
        loop {
            let batch = self.next_batch().await?;
            let rows = batch.jobs.len() + batch.refused.len();
            if rows == 0 {
                return Ok(all);
            }
            let answers = self.enqueue(batch.jobs).await?;
            all.add(self.note(carrier, answers, batch.refused).await?);
        }
    }

    async fn next_batch(&self) -> Result<Batch, LedgerError> {
        let mut rows = sqlx::query(
            "SELECT id, kind, queue, priority, run_at, unique_key, unique_window_us, deadline_at, envelope, payload \
             FROM outbox WHERE handed_at IS NULL AND state = 'live' AND look_at <= $1 ORDER BY position, id LIMIT $2",
        )
        .bind(self.ledger.clock().wall().micros())
        .bind(BATCH_ROWS)
        .fetch(self.ledger.reads());
        let mut batch = Batch::default();
        let mut bytes = 0;
        while bytes < BATCH_BYTES_MAX {
            let Some(row) = rows.try_next().await? else { break };
            let id: String = row.try_get("id")?;
            match new_job(&row).and_then(|job| put::check(&job).map(|()| job)) {
                Ok(job) => {
                    bytes += job.envelope.payload.get().len();
                    batch.jobs.push(job);
                }
                Err(error) => batch.refused.push((id, error.to_string())),
            }
        }
        Ok(batch)
    }

    /// One call when all is well. What the carrier finds wrong as a whole is given one by one, so that one bad row
    /// does not stop the others.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<(String, Answer)>, RelayError> {
        let ids: Vec<String> = jobs.iter().map(|job| job.id.as_str().to_owned()).collect();
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        match self.store.enqueue(jobs.clone()).await {
            Ok(answers) => return Ok(ids.into_iter().zip(answers.into_iter().map(Answer::from)).collect()),
            Err(StoreError::Invalid(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut answers = Vec::with_capacity(ids.len());
        for (id, job) in ids.into_iter().zip(jobs) {
            let answer = match self.store.enqueue(vec![job]).await {
                Ok(one) => one.into_iter().next().map_or(Answer::HeldUp, Answer::from),
                Err(StoreError::Invalid(why)) => Answer::Refused(why),
                Err(error) => return Err(error.into()),
            };
            answers.push((id, answer));
        }
        Ok(answers)
    }

    /// Writes down what the carrier said. It was said of jobs that are durable there, so dying before this only
    /// means that it is said again.
    async fn note(
        &self,
        carrier: i64,
        answers: Vec<(String, Answer)>,
        refused: Vec<(String, String)>,
    ) -> Result<HandedOver, LedgerError> {
        let named = answers.iter().map(|(id, _)| id.clone());
        let ids: Vec<String> = named.chain(refused.iter().map(|(id, _)| id.clone())).collect();
        let mut done = HandedOver { refused: refused.len() as u64, ..HandedOver::default() };
        let (mut held, mut over, mut dead, mut wait, mut bad) = (vec![], vec![], vec![], vec![], refused);
        for (id, answer) in answers {
            match answer {
                Answer::Taken => {
                    done.taken += 1;
                    held.push(id);
                }
                Answer::Known(state) => {
                    done.known += 1;
                    match state {
                        State::Completed | State::Cancelled => over.push(id),
                        State::Dead => dead.push(id),
                        _ => held.push(id),
                    }
                }
                Answer::HeldUp => wait.push(id),
                Answer::Refused(why) => {
                    done.refused += 1;
                    bad.push((id, why));
                }
            }
        }
        done.over = over.len() as u64;
        done.held_up = wait.len() as u64;
        let clock = self.ledger.clock();
        let (now, wall) = (clock.now().micros(), clock.wall());
        let next_look = (wall + self.sweep_age()).micros();
        let mut tx = self.ledger.begin().await?;
        let conn = tx.conn();
        put::lock(conn, ids.iter().map(String::as_str)).await?;
        let text = "UPDATE outbox SET handed_at = $1, seen_at = $1, carrier = $2, look_at = $3, \
                    created_at = CASE WHEN created_at = 0 THEN $1 ELSE created_at END WHERE id IN";
        put::each_slice(conn, text, &held, &[now, carrier, next_look]).await?;
        put::each_slice(conn, text, &dead, &[now, carrier, next_look]).await?;
        put::bury(conn, &dead, now).await?;
        put::remove(conn, &over).await?;
        let again = (wall + TRY_AGAIN_AFTER).micros();
        put::each_slice(conn, "UPDATE outbox SET look_at = $1 WHERE id IN", &wait, &[again]).await?;
        bad.sort_unstable();
        for (id, why) in &bad {
            if put::refuse(conn, id, why, now).await? {
                tracing::error!(job = %id, %why, "an outbox row is no job that the carrier can take; it was set aside");
            }
        }
        tx.commit().await?;
        metrics::counter!("windlass_outbox_handed_over_total").increment(done.taken);
        metrics::counter!("windlass_outbox_refused_total").increment(done.refused);
        Ok(done)
    }
}

#[derive(Default)]
struct Batch {
    jobs: Vec<NewJob>,
    refused: Vec<(String, String)>,
}

enum Answer {
    Taken,
    Known(State),
    HeldUp,
    Refused(String),
}

impl From<Enqueued> for Answer {
    fn from(enqueued: Enqueued) -> Self {
        match enqueued {
            Enqueued::New => Self::Taken,
            Enqueued::Exists { state, .. } => Self::Known(state),
            // The ledger has promised that this job will run; the carrier's holder of the key may be past the point
            // at which it would see what this one is about. So it waits until the key is free.
            Enqueued::Duplicate { .. } | Enqueued::Full => Self::HeldUp,
        }
    }
}

/// How long to pause after a round, and one line in the log for an outage however long.
#[derive(Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn after(&mut self, failure: Option<&RelayError>) -> Duration {
        let Some(error) = failure else {
            if self.failures > 0 {
                tracing::info!(tries = self.failures, "the relay goes on");
            }
            self.failures = 0;
            return LOOK_EVERY;
        };
        if self.failures == 0 {
            tracing::warn!(%error, "the relay cannot hand over now; accepted jobs wait in the ledger");
        }
        let pause = (BACKOFF_MIN * 2_u32.pow(self.failures.min(16))).min(BACKOFF_MAX);
        self.failures += 1;
        pause
    }
}
