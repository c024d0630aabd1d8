//! `GET /v1/jobs/{id}/events`: what becomes of one job, as it happens, until it is over (server-sent events).
//!
//! The job is looked at again and again, wherever it is, so the end is never missed and a watcher who comes back
//! needs no number to go on from; a state that lasts shorter than a look may pass unseen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Given;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_engine::{JobId, Timestamp};

use super::Door;
use super::found::{find, must_find};
use super::jobs::{Id, view};
use super::problem::{Kind, Problem};

/// Watchers at once, of all jobs together.
pub const WATCHERS_MAX: usize = 256;
/// The longest watch, in wall time; whoever wants more asks again.
pub const WATCH_MAX: Duration = Duration::from_secs(15 * 60);
/// Between two looks, in wall time.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A sign of life for whatever stands between, which closes what is silent; shorter than the door's own patience.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Room for [`WATCHERS_MAX`].
pub fn watchers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(WATCHERS_MAX))
}

struct Watch {
    door: Door,
    id: JobId,
    until: Timestamp,
    /// What was told last.
    told: Option<Value>,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

/// Events `state` (the job, whenever its state, attempt or progress changed), and at the end one `end` with why the
/// stream ends: `over`, `gone`, `time`, `closing`.
pub async fn watch(Given(door): Given<Door>, Id(id): Id) -> Result<Response, Problem> {
    must_find(&door, &id).await?;
    let room = Arc::clone(&door.watchers).try_acquire_owned().map_err(|_| {
        let detail = format!("{WATCHERS_MAX} jobs are watched already: ask for the job itself, with `wait`.");
        Problem::new(Kind::TooFast, detail)
    })?;
    let until = door.clock.wall() + WATCH_MAX;
    let watch = Watch { door, id, until, told: None, is_over: false, _room: room };
    Ok(Sse::new(events(watch)).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        if watch.is_over {
            return Some((Ok(ended("over")), None));
        }
        loop {
            let look = find(&watch.door, &watch.id).await;
            match look {
                Ok(Some(found)) => {
                    let told = view::told(&watch.door, &found);
                    if watch.told.as_ref().is_none_or(|before| has_changed(before, &told)) {
                        watch.is_over = found.state().is_terminal();
                        let event = Event::default().event("state").data(told.to_string());
                        watch.told = Some(told);
                        return Some((Ok(event), Some(watch)));
                    }
                }
                Ok(None) => return Some((Ok(ended("gone")), None)),
                // The stores may be back at the next look; the time has its bound.
                Err(_) => {}
            }
            if watch.door.clock.wall() >= watch.until {
                return Some((Ok(ended("time")), None));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = watch.door.closing.cancelled() => return Some((Ok(ended("closing")), None)),
            }
        }
    })
}

fn has_changed(before: &Value, now: &Value) -> bool {
    ["state", "attempt", "progress", "cancelling", "held_by"]
        .iter()
        .any(|field| before.get(field) != now.get(field))
}

fn ended(why: &str) -> Event {
    Event::default().event("end").data(json!({ "why": why }).to_string())
}
