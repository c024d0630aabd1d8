//! Traces: which request or instant a piece of work goes back to, and how long it took.
//!
//! A [`TraceContext`] is W3C's, and travels in a job's envelope. A [`Span`] is a piece of work with a beginning and an
//! end; whoever works within it is found by [`current`], without being handed anything. What ended is given to the
//! process's one [`Sink`]. Nothing here writes a span out, and nothing knows a protocol.
//!
//! Where no tracer is installed a caller's context is passed on as it came, and a span of work that nobody traces is a
//! null: it costs one look at an atomic and no allocation.

mod context;
mod enqueueing;
mod record;
mod sampler;
mod span;

use std::sync::{Arc, OnceLock};

pub use self::context::{SpanId, TraceContext, TraceId};
pub use self::enqueueing::enqueueing;
pub use self::record::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, SpanKind, SpanRecord, Value};
pub use self::sampler::{BadSampler, Sampler};
pub use self::span::{Entered, Span, Within, current, note};

use crate::clock::Clock;

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Where spans that ended go. Called on the thread that ended them: it must not wait.
pub trait Sink: Send + Sync {
    fn take(&self, span: SpanRecord);
}

/// What a process traces with.
pub struct Tracer {
    pub sampler: Sampler,
    pub clock: Clock,
    pub sink: Arc<dyn Sink>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tracer runs in this process already")]
pub struct AlreadyTracing;

/// Makes this the process's tracer, for good.
///
/// # Errors
/// When there is one.
pub fn install(tracer: Tracer) -> Result<(), AlreadyTracing> {
    TRACER.set(tracer).map_err(|_| AlreadyTracing)
}

fn tracer() -> Option<&'static Tracer> {
    TRACER.get()
}
