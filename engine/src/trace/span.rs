//! A piece of work while it goes on, and how whoever works within it finds it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::context::{SpanId, TraceContext, TraceId};
use super::record::{SpanKind, SpanRecord};
use super::{Tracer, tracer};
use crate::clock::Timestamp;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Work>>> = const { RefCell::new(None) };
}

/// A piece of work that goes on. Dropped, it has ended.
#[must_use = "a span that is dropped has ended"]
#[derive(Default)]
pub struct Span(Option<Arc<Work>>);

struct Work {
    context: TraceContext,
    /// Within it log lines tell the trace.
    lines: tracing::Span,
    /// None: nobody keeps it, or it has ended.
    record: Mutex<Option<SpanRecord>>,
}

/// Where the current work stands.
pub fn current() -> Option<TraceContext> {
    CURRENT.with_borrow(|current| current.as_ref().map(|work| work.context))
}

/// Adds to what is kept of the current work. `tell` runs only if it is kept.
pub fn note(tell: impl FnOnce(&mut SpanRecord)) {
    CURRENT.with_borrow(|current| {
        if let Some(work) = current {
            work.note(tell);
        }
    });
}

impl Span {
    /// Work that `parent` asked for, elsewhere; without one a trace begins here. Where no tracer runs the context of
    /// the parent goes on as it is.
    pub fn begin<N: Into<Cow<'static, str>>>(
        kind: SpanKind,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Self {
        match (tracer(), parent) {
            (None, None) => Self(None),
            (None, Some(parent)) => Self(Some(Arc::new(Work::of(parent, None)))),
            (Some(tracer), parent) => Self(Some(Arc::new(Work::begin(tracer, kind, parent, name)))),
        }
    }

    /// A part of the current work. Nothing, where there is none.
    pub fn child<N: Into<Cow<'static, str>>>(kind: SpanKind, name: impl FnOnce() -> N) -> Self {
        let Some(parent) = CURRENT.with_borrow(Clone::clone) else { return Self(None) };
        match tracer() {
            Some(tracer) if parent.context.sampled => {
                Self(Some(Arc::new(Work::begin(tracer, kind, Some(parent.context), name))))
            }
            // Nobody keeps it: what it asks for goes on under the context that came.
            _ => Self(Some(parent)),
        }
    }

    /// Keeps work that is over already, as [`Span::begin`] would have.
    pub fn past<N: Into<Cow<'static, str>>>(
        kind: SpanKind,
        parent: TraceContext,
        (began, ended): (Timestamp, Timestamp),
        name: impl FnOnce() -> N,
        tell: impl FnOnce(&mut SpanRecord),
    ) {
        let Some(tracer) = tracer() else { return };
        let work = Work::begin(tracer, kind, Some(parent), name);
        if let Some(mut record) = work.take() {
            tell(&mut record);
            tracer.sink.take(SpanRecord { began, ended: ended.max(began), ..record });
        }
    }

    /// None: nobody traces it.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|work| work.context)
    }

    /// Adds to what is kept. `tell` runs only if something is.
    pub fn note(&self, tell: impl FnOnce(&mut SpanRecord)) {
        if let Some(work) = &self.0 {
            work.note(tell);
        }
    }

    /// `work` finds this span as the current one.
    pub fn within<F: Future>(&self, work: F) -> Within<F> {
        Within { work, span: self.0.clone() }
    }

    /// The current one until the guard is dropped. Never held across an await.
    pub fn enter(&self) -> Entered<'_> {
        Entered::of(self.0.as_ref())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(work) = &self.0 else { return };
        // A span that nobody keeps may share the work of the one around it, which has no record either.
        if let Some(record) = work.take()
            && let Some(tracer) = tracer()
        {
            let ended = tracer.clock.wall().max(record.began);
            tracer.sink.take(SpanRecord { ended, ..record });
        }
    }
}

impl Work {
    fn begin<N: Into<Cow<'static, str>>>(
        tracer: &Tracer,
        kind: SpanKind,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Self {
        let trace_id = parent.map_or_else(TraceId::fresh, |parent| parent.trace_id);
        let sampled = tracer.sampler.keeps(trace_id, parent.map(|parent| parent.sampled));
        let context = TraceContext { trace_id, span_id: SpanId::fresh(), sampled };
        let record = sampled.then(|| {
            let began = tracer.clock.wall();
            SpanRecord {
                context,
                parent: parent.map(|parent| parent.span_id),
                kind,
                name: name().into(),
                began,
                ended: began,
                attributes: Vec::new(),
                failed: false,
            }
        });
        Self::of(context, record)
    }

    fn of(context: TraceContext, record: Option<SpanRecord>) -> Self {
        // An error's level: whatever the log leaves out, a line that it has tells its trace.
        let lines = tracing::error_span!(target: "windlass::trace", parent: None, "trace",
            trace_id = %context.trace_id, span_id = %context.span_id);
        Self { context, lines, record: Mutex::new(record) }
    }

    fn note(&self, tell: impl FnOnce(&mut SpanRecord)) {
        if self.context.sampled
            && let Some(record) = &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner)
        {
            tell(record);
        }
    }

    fn take(&self) -> Option<SpanRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The current span of this thread until it is dropped; then what was current before is again.
pub struct Entered<'a> {
    before: Option<Option<Arc<Work>>>,
    _lines: Option<tracing::span::Entered<'a>>,
}

impl<'a> Entered<'a> {
    fn of(work: Option<&'a Arc<Work>>) -> Self {
        Self {
            before: work.map(|work| CURRENT.replace(Some(work.clone()))),
            _lines: work.map(|work| work.lines.enter()),
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            CURRENT.set(before);
        }
    }
}

pin_project! {
    /// Work within a span.
    pub struct Within<F> {
        #[pin]
        work: F,
        span: Option<Arc<Work>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _within = Entered::of(this.span.as_ref());
        this.work.poll(cx)
    }
}
