//! Settles everything that ended, many deliveries in one call.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::held::Hands;
use super::{EndedJob, OnEnded};
use crate::clock::Timestamp;
use crate::job::State;
use crate::retry::Backoff;
use crate::store::{Delivery, End, Settled, Settlement, Store, StoreError};

/// Settlements in one call.
const SETTLE_MAX: usize = 250;
/// Calls on their way at once: the store works on one while the next is written out.
const CALLS_MAX: usize = 3;
/// Between two tries while the carrier is away.
const AWAY: Backoff = Backoff { base_ms: 20, cap_ms: 2_000 };
/// Tries before what ended is given up: by then the leases have run out and the jobs run again elsewhere.
const TRIES_MAX: u32 = 60;

/// Where attempts report how they ended.
#[derive(Clone)]
pub(crate) struct Acks {
    send: mpsc::UnboundedSender<Message>,
    hands: Hands,
}

enum Message {
    Ended { settlement: Settlement, in_outbox: bool },
    Close,
}

impl Acks {
    pub(crate) fn ended(&self, settlement: Settlement, in_outbox: bool) {
        // The acker ends only after the last attempt has.
        let _ = self.send.send(Message::Ended { settlement, in_outbox });
    }

    /// A delivery that never began.
    pub(crate) fn give_back(&self, delivery: &Delivery) {
        self.hands.unbuffer();
        let (id, token) = (delivery.id.clone(), delivery.token);
        self.ended(Settlement { id, token, end: End::Released, outage: false, notes: None }, false);
    }

    pub(super) fn close(&self) {
        let _ = self.send.send(Message::Close);
    }
}

pub(super) fn start(
    store: Arc<dyn Store>,
    queue: String,
    hands: Hands,
    on_ended: Option<OnEnded>,
) -> (Acks, JoinHandle<()>) {
    let (send, mut messages) = mpsc::unbounded_channel();
    let acks = Acks { send, hands: hands.clone() };
    let acker = Arc::new(Acker { store, queue, hands, on_ended });
    let task = tokio::spawn(async move {
        let (mut batch, mut calls) = (Vec::with_capacity(SETTLE_MAX), JoinSet::new());
        while messages.recv_many(&mut batch, SETTLE_MAX).await > 0 {
            let (mut ended, mut in_outbox, mut close) = (Vec::with_capacity(batch.len()), Vec::new(), false);
            for message in batch.drain(..) {
                match message {
                    Message::Ended { settlement, in_outbox: here } => {
                        ended.push(settlement);
                        in_outbox.push(here);
                    }
                    Message::Close => close = true,
                }
            }
            if !ended.is_empty() {
                let acker = acker.clone();
                calls.spawn(async move { acker.settle(ended, in_outbox).await });
            }
            // What ends meanwhile gathers for the next call.
            while calls.len() >= CALLS_MAX || (close && !calls.is_empty()) {
                calls.join_next().await;
            }
            if close {
                return;
            }
        }
    });
    (acks, task)
}

struct Acker {
    store: Arc<dyn Store>,
    queue: String,
    hands: Hands,
    on_ended: Option<OnEnded>,
}

impl Acker {
    async fn settle(&self, ended: Vec<Settlement>, in_outbox: Vec<bool>) {
        let keys: Vec<_> = ended.iter().map(|one| (one.id.clone(), one.token)).collect();
        let states: Vec<_> = ended.iter().map(|one| terminal_state(&one.end)).collect();
        match self.settle_until_taken(ended).await {
            Ok(answers) => {
                let fenced = answers.iter().filter(|answer| **answer == Settled::FencedOut).count();
                if fenced > 0 {
                    counter!("windlass_jobs_fenced_out_total", "queue" => self.queue.clone())
                        .increment(fenced as u64);
                }
                if let Some(on_ended) = &self.on_ended {
                    let done = answers.iter().zip(&states).zip(keys.iter().zip(in_outbox));
                    let told: Vec<_> = done
                        .filter(|((answer, _), _)| **answer == Settled::Done)
                        .filter_map(|((_, state), ((id, _), in_outbox))| {
                            state.map(|state| EndedJob { id: id.clone(), state, in_outbox })
                        })
                        .collect();
                    if !told.is_empty() {
                        on_ended(told);
                    }
                }
            }
            Err(error) => tracing::error!(
                queue = self.queue, jobs = keys.len(), %error,
                "what ended could not be stored; these jobs run again when their leases end"
            ),
        }
        self.hands.let_go(keys.into_iter());
    }

    async fn settle_until_taken(&self, ended: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        let mut tries = 0;
        loop {
            match self.store.settle(&self.queue, ended.clone()).await {
                Err(StoreError::Unavailable(reason)) if tries < TRIES_MAX => {
                    tries += 1;
                    tracing::warn!(queue = self.queue, reason, "settling waits for the carrier");
                    tokio::time::sleep(AWAY.wait(tries, fastrand::f64())).await;
                }
                // One settlement that the carrier refuses (a follow-up over a bound) must not hold up the rest.
                Err(StoreError::Invalid(reason)) if ended.len() > 1 => {
                    tracing::error!(
                        queue = self.queue,
                        reason,
                        "a settlement is refused, settling one by one"
                    );
                    return Ok(self.settle_one_by_one(ended).await);
                }
                answer => return answer,
            }
        }
    }

    async fn settle_one_by_one(&self, ended: Vec<Settlement>) -> Vec<Settled> {
        let mut answers = Vec::with_capacity(ended.len());
        for one in ended {
            let answer = match self.store.settle(&self.queue, vec![one.clone()]).await {
                Ok(answer) => answer.first().copied(),
                Err(error) => self.bury(one, &error).await,
            };
            answers.push(answer.unwrap_or(Settled::FencedOut));
        }
        answers
    }

    /// A job whose own end the carrier refuses is dead, with the refusal as its reason.
    async fn bury(&self, one: Settlement, error: &StoreError) -> Option<Settled> {
        let fault = crate::store::JobFault {
            attempt: 0,
            at: Timestamp::default(),
            cause: crate::store::FaultCause::Error,
            message: format!("the carrier refused how it ended: {error}"),
        };
        let dead = Settlement { end: End::Dead { fault }, notes: None, ..one };
        self.store.settle(&self.queue, vec![dead]).await.ok()?.first().copied()
    }
}

fn terminal_state(end: &End) -> Option<State> {
    match end {
        End::Completed { .. } => Some(State::Completed),
        End::Dead { .. } => Some(State::Dead),
        End::Cancelled { .. } => Some(State::Cancelled),
        End::Retry { .. } | End::Snoozed { .. } | End::Released => None,
    }
}

/// How long a settlement may be held back by a carrier that is away.
#[cfg(test)]
fn longest_wait() -> std::time::Duration {
    (1..=TRIES_MAX).map(|attempt| AWAY.ceiling(attempt)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_outlasts_a_restart_of_the_carrier() {
        assert!(longest_wait() > std::time::Duration::from_secs(60));
    }
}
