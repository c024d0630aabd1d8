//! The door's connections, from their acceptance to their end; and how the door closes without turning anybody away.
//!
//! 1. Open: whoever connects is served.
//! 2. Told to close: all goes on for the delay, and each answer asks its caller to connect anew (`request::pass`).
//! 3. The port closes: who reached it before is accepted and answered, whoever comes later is refused by the system
//!    ([`Bounded::close`]).
//! 4. Connections end: after the answer where a request is on its way, at once where there is none ([`Wire`]).
//!
//! What remains is HTTP/1.1's own race: a request that a caller sends on a connection that it kept, while the end of that
//! connection is on its way to it. A delay longer than callers keep their connections leaves none of those.
//!
//! axum's own loop drops the port with what waits at it; hence this one, on the same hyper.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::listener::{Bounded, Connection};

/// Between two looks at a connection that shall end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When a door closes.
pub struct Closing {
    /// Cancelled: it begins to.
    pub told: CancellationToken,
    /// Cancelled: the delay is over as soon as no connection is left from before it began.
    pub hurried: CancellationToken,
    /// From when it is told until its port closes.
    pub delay: Duration,
}

/// Serves until the door has closed and every connection has ended. Dropped earlier, it cuts them off.
pub async fn serve(mut port: Bounded, router: Router, closing: Closing) {
    let (open, closed) = watch::channel(false);
    let attend = |connection: Connection| attend(connection, router.clone(), closed.clone());
    let (early, late) = (TaskTracker::new(), TaskTracker::new());
    loop {
        tokio::select! {
            (connection, _) = port.accept() => drop(early.spawn(attend(connection))),
            () = closing.told.cancelled() => break,
        }
    }
    early.close();
    let hurried = async {
        closing.hurried.cancelled().await;
        early.wait().await;
    };
    let mut delay = pin!(async {
        tokio::select! {
            () = tokio::time::sleep(closing.delay) => {}
            () = hurried => {}
        }
    });
    loop {
        tokio::select! {
            (connection, _) = port.accept() => drop(late.spawn(attend(connection))),
            () = &mut delay => break,
        }
    }
    port.close(|connection| drop(late.spawn(attend(connection)))).await;
    open.send_replace(true);
    late.close();
    early.wait().await;
    late.wait().await;
}

/// One connection, until either side ends it. `closed` turns true with the port, and goes away to cut everybody off.
async fn attend(connection: Connection, router: Router, mut closed: watch::Receiver<bool>) {
    let wire = connection.wire();
    let service = service_fn({
        let wire = wire.clone();
        move |request: Request<Incoming>| {
            wire.asks();
            let (answer, wire) = (router.clone().call(request), wire.clone());
            async move {
                let answer = answer.await;
                wire.is_answered();
                answer
            }
        }
    });
    let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    tokio::select! {
        biased;
        ended = serving.as_mut() => return told(ended),
        is_closed = closed.wait_for(|closed| *closed) => if is_closed.is_err() { return },
    }
    wire.ends();
    let since = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut cut = pin!(closed.changed());
    loop {
        // First, so that what has arrived by now is read, or noted on the wire.
        tokio::select! {
            biased;
            ended = serving.as_mut() => return told(ended),
            _ = cut.as_mut() => return,
            _ = looks.tick() => {}
        }
        if !wire.is_expecting(since, Instant::now()) {
            // After an answer that is still being written; at once where there is none.
            serving.as_mut().graceful_shutdown();
        }
    }
}

fn told(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}
