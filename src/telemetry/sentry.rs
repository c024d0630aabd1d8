//! Errors on their way to where a team gathers them: Sentry, or what speaks like it (GlitchTip).
//!
//! What is told: every line that Windlass logs as an error (a dead job, a panic, a request that failed within), and why a
//! process could not start or go on. Texts are redacted as those of outside errors are. An error that comes again and
//! again is told a few times a minute, with how often it was held back; events that find no room are counted and gone.
//! What is not an error stays in the log.

mod dsn;
mod event;
mod limits;
mod lines;
mod post;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_engine::Clock;

pub use self::dsn::{BadDsn, Dsn};
use self::event::{Event, Level};
use self::limits::Limits;
pub(super) use self::lines::may_be_error;
use self::post::Post;
use crate::config::ErrorDesk;

/// Events that wait to be sent.
const WAITING_MAX: usize = 128;
/// How long the end of the process waits for what is left.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Takes errors from wherever they are met. Clones share one way out.
#[derive(Clone)]
pub struct Errors(Arc<Inner>);

struct Inner {
    waiting: Sender<Event>,
    limits: Mutex<Limits>,
    clock: Clock,
}

/// Sends what [`Errors`] takes.
pub struct ErrorPost {
    errors: Errors,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl ErrorPost {
    /// Begins to send. `program`: which of them met the error.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub fn start(desk: &ErrorDesk, program: &str, clock: &Clock) -> anyhow::Result<Self> {
        let post = Post::new(desk, program, clock.clone())?;
        let (waiting, events) = mpsc::channel(WAITING_MAX);
        let errors = Errors::into(waiting, clock.clone());
        let closing = CancellationToken::new();
        let task = tokio::spawn(send_all(events, post, closing.clone()));
        Ok(Self { errors, closing, task })
    }

    pub fn errors(&self) -> Errors {
        self.errors.clone()
    }

    /// Sends what waits, for [`CLOSE_MAX`] at most.
    pub async fn close(self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE_MAX, self.task).await.is_err() {
            tracing::warn!("the last errors were not told: no answer within {CLOSE_MAX:?}");
        }
    }
}

impl Errors {
    fn into(waiting: Sender<Event>, clock: Clock) -> Self {
        Self(Arc::new(Inner { waiting, limits: Mutex::default(), clock }))
    }

    /// Why the process could not start, or go on.
    pub fn take_end(&self, error: &anyhow::Error) {
        self.take(Event::new(Level::Fatal, "the process could not go on", &format!("{error:#}")));
    }

    fn take(&self, mut event: Event) {
        let now = self.0.clock.wall();
        let mut limits = self.0.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held_back) = limits.take(event.fingerprint(), now) else { return count("held_back") };
        drop(limits);
        event.at = now;
        event.held_back = held_back;
        if self.0.waiting.try_send(event).is_err() {
            count("no_room");
        }
    }
}

async fn send_all(mut events: Receiver<Event>, mut post: Post, closing: CancellationToken) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = closing.cancelled() => {
                events.close();
                events.recv().await
            }
        };
        let Some(event) = event else { return };
        count(post.send(&event).await);
    }
}

fn count(outcome: &'static str) {
    counter!("windlass_error_reports_total", "outcome" => outcome).increment(1);
}
