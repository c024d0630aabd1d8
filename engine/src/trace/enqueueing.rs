//! How a trace goes from whoever hands jobs in to whoever runs them.

use super::record::SpanKind;
use super::span::Span;
use crate::envelope::NewJob;

/// Begins the span in which these jobs are handed in, as a part of the current work, and puts its context into the
/// envelopes that have none. Where nothing is traced it does nothing.
///
/// Many jobs handed in together share one span.
pub fn enqueueing<'a>(jobs: impl IntoIterator<Item = &'a mut NewJob>) -> Span {
    if super::current().is_none() {
        return Span::default();
    }
    let mut jobs: Vec<_> = jobs.into_iter().collect();
    let span = match jobs.as_slice() {
        [] => return Span::default(),
        [job] => Span::child(SpanKind::Producer, || format!("enqueue {}", job.envelope.kind)),
        _ => Span::child(SpanKind::Producer, || "enqueue batch"),
    };
    span.note(|record| {
        record.set("messaging.system", "windlass");
        record.set("messaging.operation.name", "enqueue").set("messaging.operation.type", "send");
        if let [job] = jobs.as_slice() {
            record.set("messaging.destination.name", job.queue.clone());
            record.set("messaging.message.id", job.id.to_string());
            record.set("windlass.job.kind", job.envelope.kind.clone());
        } else {
            record.set("messaging.batch.message_count", jobs.len() as i64);
        }
    });
    if let Some(context) = span.context() {
        for job in &mut jobs {
            job.envelope.traceparent.get_or_insert_with(|| context.to_traceparent());
        }
    }
    span
}
