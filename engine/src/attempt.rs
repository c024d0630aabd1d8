//! One attempt of one job: decode, run within its bounds, and say how it ended.
//!
//! Whatever a job does (fail, panic, hang, ignore a cancellation), an attempt ends in exactly one settlement,
//! or in none when the lease was lost. It stores nothing itself.

mod first_look;
mod panics;
mod traced;

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

pub(crate) use first_look::FirstLooks;
pub use panics::remember_panic_places;

use crate::backend::{Acks, Grip, Hands, InHand};
use crate::clock::Clock;
use crate::context::{AttemptFacts, JobContext};
use crate::envelope::{ENVELOPE_VERSION, Envelope};
use crate::job::{JobError, JobKind, JobTable, Outcome, Verdict};

use crate::measure::{self, QueueMeasures};
use crate::retry::{Next, next};
use crate::store::{Delivery, End, FaultCause, JobFault, Settlement};
use crate::trace::{Span, enqueueing};

/// How long a job that was asked to stop may take to do so before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long (of the shop's time) a job waits that this build does not know: another worker may.
const UNKNOWN_KIND_WAIT: Duration = Duration::from_secs(5);
/// How long (of the wall's time) a job waits when what all of them stand on is away, at least; at most twice that, so
/// that not all come back together.
const EXCUSED_WAIT: Duration = Duration::from_secs(2);
/// Bytes of an error that are kept.
const FAULT_BYTES_MAX: usize = 4_000;

/// Runs the attempts of one queue.
pub(crate) struct Runner<C: 'static> {
    pub(crate) queue: Arc<str>,
    pub(crate) table: Arc<JobTable<C>>,
    pub(crate) context: Arc<C>,
    pub(crate) clock: Clock,
    pub(crate) hands: Hands,
    pub(crate) acks: Acks,
    /// Drop what runs and give it back: somebody is in a hurry.
    pub(crate) hurry: CancellationToken,
    pub(crate) measures: QueueMeasures,
}

/// How the body of an attempt ended.
enum Ending {
    Returned(Result<Outcome, JobError>),
    Panicked(String),
    TimedOut(Duration),
    /// Asked to stop, and did not within its grace.
    Dropped,
    Hurried,
    LeaseLost,
}

impl<C: Send + Sync + 'static> Runner<C> {
    pub(crate) async fn run(self: Arc<Self>, in_hand: InHand) {
        let InHand { delivery, grip } = in_hand;
        if grip.is_lost() {
            return self.lease_lost(delivery);
        }
        let began = self.clock.wall();
        let waited = self.clock.now().since(delivery.due_at);
        self.measures.started(waited);
        let mut span = Span::default();
        let (end, outage, kind, context) = match self.readable(&delivery) {
            Ok((kind, mut envelope)) => {
                span = traced::begin(&self.queue, kind.name, &delivery, &envelope, &self.clock);
                let payload = std::mem::replace(&mut envelope.payload, RawValue::NULL.to_owned());
                let timeout = envelope.timeout_ms.map_or(kind.timeout, Duration::from_millis);
                let context = self.context_of(&delivery, kind, envelope, &grip);
                let ending = self.body(kind, payload, timeout, &context, &grip, &span).await;
                let cancelling = context.is_cancelled();
                let ended = {
                    // What it hands on is a part of it.
                    let _in_trace = span.enter();
                    self.end_of(&delivery, kind, &context, ending, cancelling)
                };
                let Some((end, outage)) = ended else {
                    traced::lease_lost(&span);
                    return self.lease_lost(delivery);
                };
                (end, outage, Some(kind), Some(context))
            }
            Err(end) => (end, false, None, None),
        };
        let ran = self.clock.wall().since(began);
        let kind_name = kind.map(|kind| kind.name);
        self.measures.ended(kind_name, &end, ran);
        traced::ended(&span, &end);
        {
            let _in_trace = span.enter();
            report(&self.queue, &delivery, kind_name, &end, waited, ran);
        }
        drop(span);
        let notes = context.as_ref().and_then(JobContext::take_changed_notes).map(Into::into);
        let in_outbox = context.as_ref().is_some_and(JobContext::in_outbox);
        if let (End::Completed { .. }, Some(fired_by)) =
            (&end, context.as_ref().and_then(JobContext::fired_by))
        {
            measure::schedule_went_well(&fired_by.name, self.clock.wall());
        }
        self.acks.ended(Settlement { id: delivery.id, token: delivery.token, end, outage, notes }, in_outbox);
    }

    /// Another worker has the job: nothing may be said of it.
    fn lease_lost(&self, delivery: Delivery) {
        self.measures.lease_lost();
        self.hands.let_go(std::iter::once((delivery.id, delivery.token)));
    }

    /// The kind and envelope, or how the attempt ends because there is none to be had.
    fn readable(&self, delivery: &Delivery) -> Result<(&'static JobKind<C>, Envelope), End> {
        let envelope: Envelope = serde_json::from_str(&delivery.envelope).map_err(|e| {
            let message = format!("the envelope cannot be read: {e}");
            End::Dead { fault: self.fault(delivery.attempt, FaultCause::Undecodable, message) }
        })?;
        let unknown = |why: String| {
            let until = self.clock.now() + UNKNOWN_KIND_WAIT;
            Err(End::Snoozed { until, why })
        };
        if envelope.v > ENVELOPE_VERSION {
            return unknown(format!("envelope version {} is newer than this worker", envelope.v));
        }
        match self.table.get(&envelope.kind) {
            Some(kind) => Ok((kind, envelope)),
            None => unknown(format!("this worker does not know the kind {:?}", envelope.kind)),
        }
    }

    fn context_of(
        &self,
        delivery: &Delivery,
        kind: &JobKind<C>,
        envelope: Envelope,
        grip: &Grip,
    ) -> JobContext {
        let facts = AttemptFacts {
            id: delivery.id.clone(),
            queue: self.queue.clone(),
            attempt: delivery.attempt,
            attempts_max: envelope.attempts_max.unwrap_or(kind.attempts_max),
            due_at: delivery.due_at,
            created_at: delivery.created_at,
            deadline_at: delivery.deadline_at,
        };
        let context = JobContext::new(facts, envelope, self.clock.clone());
        grip.attach(&context);
        context
    }

    /// Runs the job within its time, until it ends or has to.
    async fn body(
        &self,
        kind: &'static JobKind<C>,
        payload: Box<RawValue>,
        timeout: Duration,
        context: &JobContext,
        grip: &Grip,
        span: &Span,
    ) -> Ending {
        // The call itself may panic too, not only the future that it gives.
        let job = async { span.within((kind.run)(payload, self.context.clone(), context.clone())).await };
        let mut job = pin!(AssertUnwindSafe(job).catch_unwind());
        // Many are over at the first look: what else may end an attempt is watched for the others, in a box that only
        // they fill.
        let ended = match poll_fn(|cx| Poll::Ready(job.as_mut().poll(cx))).await {
            Poll::Ready(ended) => ended,
            Poll::Pending => tokio::select! {
                biased;
                ended = job => ended,
                ending = Box::pin(self.cut_short(timeout, context, grip)) => return ending,
            },
        };
        match ended {
            Ok(result) => Ending::Returned(result),
            Err(panic) => Ending::Panicked(panics::describe(panic.as_ref())),
        }
    }

    /// Ends when the attempt must, before the job is over.
    async fn cut_short(&self, timeout: Duration, context: &JobContext, grip: &Grip) -> Ending {
        let stubborn = async {
            context.cancelled().await;
            tokio::time::sleep(CANCEL_GRACE).await;
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep(timeout) => Ending::TimedOut(timeout),
            () = stubborn => Ending::Dropped,
            () = grip.lost() => Ending::LeaseLost,
            () = self.hurry.cancelled() => Ending::Hurried,
        }
    }

    /// What becomes of the job, and whether the other side is down. None: nothing may be said.
    fn end_of(
        &self,
        delivery: &Delivery,
        kind: &JobKind<C>,
        context: &JobContext,
        ending: Ending,
        cancelling: bool,
    ) -> Option<(End, bool)> {
        let attempt = delivery.attempt;
        let error = match ending {
            Ending::LeaseLost => return None,
            Ending::Hurried => return Some((End::Released, false)),
            Ending::Dropped => {
                let fault =
                    self.fault(attempt, FaultCause::Cancelled, "asked to stop and did not in time".into());
                return Some((End::Cancelled { fault }, false));
            }
            Ending::Returned(Ok(outcome)) => return Some((self.completed(delivery, outcome), false)),
            Ending::Returned(Err(error)) => error,
            Ending::Panicked(message) => {
                return Some((self.retry_or_die(context, kind, FaultCause::Panic, message), false));
            }
            Ending::TimedOut(after) => {
                let message = format!("did not end within {after:?}");
                return Some((self.retry_or_die(context, kind, FaultCause::Timeout, message), true));
            }
        };
        let cause = if error.undecodable { FaultCause::Undecodable } else { FaultCause::Error };
        let message = format!("{:#}", error.cause);
        let now = self.clock.now();
        let verdict = if self.table.excuses(&error) {
            Verdict::Snooze { after: EXCUSED_WAIT.mul_f64(self.clock.speed() * (1.0 + fastrand::f64())) }
        } else {
            error.verdict
        };
        let end = match next(
            verdict,
            attempt,
            context.attempts_max(),
            backoff(context, kind),
            now,
            fastrand::f64(),
        ) {
            Next::Cancel => End::Cancelled { fault: self.fault(attempt, FaultCause::Cancelled, message) },
            Next::Retry { .. } | Next::Snooze { .. } if cancelling => {
                End::Cancelled { fault: self.fault(attempt, FaultCause::Cancelled, message) }
            }
            Next::Retry { at } => End::Retry { at, fault: self.fault(attempt, cause, message) },
            Next::Dead => End::Dead { fault: self.fault(attempt, cause, message) },
            Next::Snooze { until } => End::Snoozed { until, why: message },
        };
        Some((end, error.outage))
    }

    fn completed(&self, delivery: &Delivery, outcome: Outcome) -> End {
        let mut follow_ups = outcome.follow_ups;
        for job in &mut follow_ups {
            job.envelope.parent.get_or_insert_with(|| delivery.id.clone());
            drop(enqueueing([&mut *job]));
        }
        End::Completed { result: outcome.result, follow_ups }
    }

    fn retry_or_die(
        &self,
        context: &JobContext,
        kind: &JobKind<C>,
        cause: FaultCause,
        message: String,
    ) -> End {
        let fault = self.fault(context.attempt(), cause, message);
        if context.is_last_attempt() {
            return End::Dead { fault };
        }
        let wait = backoff(context, kind).wait(context.attempt(), fastrand::f64());
        End::Retry { at: self.clock.now() + wait, fault }
    }

    fn fault(&self, attempt: u32, cause: FaultCause, mut message: String) -> JobFault {
        if message.len() > FAULT_BYTES_MAX {
            message.truncate(message.floor_char_boundary(FAULT_BYTES_MAX));
        }
        JobFault { attempt, at: self.clock.now(), cause, message }
    }
}

fn backoff<C>(context: &JobContext, kind: &JobKind<C>) -> crate::Backoff {
    context.backoff().unwrap_or(kind.backoff)
}

/// One line an attempt: what it was of, how it ended, how long it waited (of the shop's time, since it was due) and ran.
fn report(queue: &str, delivery: &Delivery, kind: Option<&str>, end: &End, waited: Duration, ran: Duration) {
    let (id, attempt) = (delivery.id.as_str(), delivery.attempt);
    let (waited_ms, ran_ms) = (waited.as_millis() as u64, ran.as_millis() as u64);
    let kind = kind.unwrap_or("unknown");
    macro_rules! line {
        ($level:ident, $outcome:literal, $($more:tt)*) => {
            tracing::$level!(id, kind, queue, attempt, outcome = $outcome, waited_ms, ran_ms, $($more)*)
        };
    }
    match end {
        End::Completed { .. } => line!(info, "completed", "completed"),
        End::Retry { at, fault } => {
            line!(warn, "retried", again_at = %at, error = told(fault), "failed, to be retried");
        }
        End::Dead { fault } => line!(error, "dead", error = told(fault), "dead"),
        End::Snoozed { until, why } => line!(info, "snoozed", until = %until, why, "snoozed"),
        End::Cancelled { fault } => line!(info, "cancelled", why = told(fault), "cancelled"),
        End::Released => line!(info, "released", "given back"),
    }
}

/// A fault as the log tells it. What a panic said may hold anything, a customer's name too: the log has its place, and the
/// job keeps the rest.
fn told(fault: &JobFault) -> &str {
    match fault.cause {
        FaultCause::Panic => fault.message.split(": ").next().unwrap_or_default(),
        _ => &fault.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn of_a_panic_the_log_has_the_place_and_not_what_it_said() {
        let fault = |cause, message: &str| JobFault {
            attempt: 1,
            at: Timestamp::default(),
            cause,
            message: message.to_owned(),
        };
        let panicked = fault(FaultCause::Panic, "panicked at jobs/src/x.rs:7:9: 王小明 has no address: 南京");
        assert_eq!(told(&panicked), "panicked at jobs/src/x.rs:7:9");
        assert_eq!(told(&fault(FaultCause::Panic, "panicked: 王小明")), "panicked");
        assert_eq!(told(&fault(FaultCause::Error, "refused: no stock")), "refused: no stock");
    }
}
