//! What a trace is told of an attempt: how long its job waited for it, and how it ran.
//!
//! Where nothing is traced none of this allocates.

use crate::clock::{Clock, Timestamp};
use crate::envelope::Envelope;
use crate::store::{Delivery, End, FaultCause};
use crate::trace::{Span, SpanKind, TraceContext};

/// Begins the span of an attempt that begins now. The time that it waited, from when it was due, is a span of its own
/// beside it.
pub(super) fn begin(
    queue: &str,
    kind: &'static str,
    delivery: &Delivery,
    envelope: &Envelope,
    clock: &Clock,
) -> Span {
    let parent = envelope.traceparent.as_deref().and_then(TraceContext::parse);
    let span = Span::begin(SpanKind::Consumer, parent, || format!("run {kind}"));
    // Both are looked at on the same clock: the shop's time may run fast.
    let waited = || clock.now().since(delivery.due_at).div_f64(clock.speed());
    let job = |record: &mut crate::trace::SpanRecord| {
        record.set("messaging.system", "windlass");
        record.set("messaging.destination.name", queue.to_owned());
        record.set("messaging.message.id", delivery.id.to_string());
        record.set("windlass.job.kind", kind);
        record.set("windlass.job.attempt", delivery.attempt);
    };
    span.note(|record| {
        let waited = waited();
        job(record);
        record.set("messaging.operation.name", "run").set("messaging.operation.type", "process");
        record.set("windlass.job.wait_ms", waited.as_millis() as i64);
        if let Some(parent) = parent {
            let times: (Timestamp, Timestamp) = (record.began - waited, record.began);
            Span::past(SpanKind::Internal, parent, times, || format!("wait {kind}"), job);
        }
    });
    span
}

/// How the attempt ended; the span ends when it is dropped.
pub(super) fn ended(span: &Span, end: &End) {
    span.note(|record| {
        let (outcome, cause) = match end {
            End::Completed { .. } => ("completed", None),
            End::Retry { fault, .. } => ("retried", Some(fault.cause)),
            End::Dead { fault } => ("dead", Some(fault.cause)),
            End::Snoozed { .. } => ("snoozed", None),
            End::Cancelled { .. } => ("cancelled", None),
            End::Released => ("released", None),
        };
        record.set("windlass.job.outcome", outcome);
        if let Some(cause) = cause {
            record.fail(class(cause));
        }
    });
}

/// Another worker has the job: how this attempt ended counts for nothing.
pub(super) fn lease_lost(span: &Span) {
    span.note(|record| {
        record.set("windlass.job.outcome", "lease_lost").fail("lease_lost");
    });
}

const fn class(cause: FaultCause) -> &'static str {
    match cause {
        FaultCause::Error => "error",
        FaultCause::Panic => "panic",
        FaultCause::Timeout => "timeout",
        FaultCause::Crashed => "crashed",
        FaultCause::Expired => "expired",
        FaultCause::Undecodable => "undecodable",
        FaultCause::Cancelled => "cancelled",
    }
}
