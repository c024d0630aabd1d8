//! Spans on their way to a collector: OTLP over HTTP as JSON.
//!
//! Whoever ends a span puts it into a bounded queue and goes on; one task gathers batches and sends them. A collector
//! that is slow or away costs spans, which are counted, and nothing else. What a span is, and when there is one, is
//! `windlass_engine::trace`'s business.

mod encode;
mod post;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use metrics::counter;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_engine::Clock;
use windlass_engine::trace::{Sink, SpanRecord, Tracer, install};

use self::encode::Resource;
use self::post::Post;
use crate::config::{Collector, Env};

/// Spans that wait for their batch; what ends beyond is dropped.
const WAITING_MAX: usize = 4_096;
/// Spans of one batch.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// How long the end of the process waits for what is left.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// The tracing of this process.
pub struct Traces {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

/// Where spans wait.
struct Queue {
    spans: Sender<SpanRecord>,
    no_room: Arc<AtomicU64>,
}

impl Sink for Queue {
    fn take(&self, span: SpanRecord) {
        if self.spans.try_send(span).is_err() {
            self.no_room.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Traces {
    /// Begins to trace, for as long as the process lives. `program`: what it is called where nothing else is set.
    ///
    /// # Errors
    /// When there is no HTTP client to be had, or the process is traced already.
    pub fn start(collector: &Collector, program: &str, env: Env, clock: &Clock) -> anyhow::Result<Self> {
        let post = Post::new(collector, Resource::of(collector, program, env))?;
        let (spans, waiting) = mpsc::channel(WAITING_MAX);
        let no_room = Arc::new(AtomicU64::new(0));
        let sink = Arc::new(Queue { spans, no_room: no_room.clone() });
        install(Tracer { sampler: collector.sampler, clock: clock.clone(), sink })
            .context("traces cannot be told")?;
        let closing = CancellationToken::new();
        let shipper = Shipper { waiting, post, no_room, closing: closing.clone(), closed: false };
        Ok(Self { closing, task: tokio::spawn(shipper.run()) })
    }

    /// Sends what waits, for [`CLOSE_MAX`] at most.
    pub async fn close(self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE_MAX, self.task).await.is_err() {
            tracing::warn!("the last spans were dropped: the collector took no more within {CLOSE_MAX:?}");
        }
    }
}

/// The one task that sends.
struct Shipper {
    waiting: Receiver<SpanRecord>,
    post: Post,
    no_room: Arc<AtomicU64>,
    closing: CancellationToken,
    closed: bool,
}

impl Shipper {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.gather(&mut batch).await {
            if !batch.is_empty() {
                self.post.send(&batch, &self.closing).await;
                batch.clear();
            }
            self.count_dropped();
        }
    }

    /// Fills the batch: until it is full, or its first span has waited long enough. False: nothing will come any more.
    async fn gather(&mut self, batch: &mut Vec<SpanRecord>) -> bool {
        let mut until = Instant::now() + GATHER_MAX;
        while batch.len() < BATCH_MAX {
            let was_empty = batch.is_empty();
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.closed => {
                    self.waiting.close();
                    self.closed = true;
                }
                taken = self.waiting.recv_many(batch, room) => {
                    if taken == 0 {
                        return !batch.is_empty();
                    }
                    if was_empty {
                        until = Instant::now() + GATHER_MAX;
                    }
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
        true
    }

    fn count_dropped(&self) {
        counter!("windlass_trace_spans_total", "outcome" => "no_room")
            .increment(self.no_room.swap(0, Ordering::Relaxed));
    }
}
