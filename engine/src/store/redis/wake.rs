//! Waiting for work without asking for it.
//!
//! One connection of the process blocks on the wake lists of all queues in which somebody here waits. A token that
//! it takes wakes one of them; a token for which nobody waits any more goes back. When a queue joins, the blocked
//! call is ended from beside, so that it begins anew with all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::read::queue_key;
use super::reply::Reply;
use super::script;
use super::shared::Shared;
use crate::retry::Backoff;
use crate::store::StoreError;

/// Seconds that one blocking call lasts: the price of an idle process is one command in each.
const BLOCK_S: u64 = 2;
/// Beyond its own end, when a blocking call is held to be lost with its connection.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const AWAY: Backoff = Backoff { base_ms: 50, cap_ms: 2_000 };

/// Those who wait, by queue, the one who waits longest first.
#[derive(Default)]
pub(super) struct Waiters {
    queues: Mutex<HashMap<String, VecDeque<oneshot::Sender<()>>>>,
    joined: Notify,
}

impl Waiters {
    /// Waits in the queue; the answer comes when there may be work.
    pub fn wait(&self, queue: &str) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut queues = self.lock();
        match queues.get_mut(queue) {
            Some(line) => line.push_back(wake),
            None => {
                queues.insert(queue.to_owned(), VecDeque::from([wake]));
                self.joined.notify_one();
            }
        }
        woken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, VecDeque<oneshot::Sender<()>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queues in which somebody waits.
    fn queues(&self) -> Vec<String> {
        let mut queues = self.lock();
        queues.retain(|_, line| {
            line.retain(|wake| !wake.is_closed());
            !line.is_empty()
        });
        queues.keys().cloned().collect()
    }

    /// Wakes one; false when nobody waits.
    fn wake_one(&self, queue: &str) -> bool {
        let mut queues = self.lock();
        let Some(line) = queues.get_mut(queue) else { return false };
        let woken = std::iter::from_fn(|| line.pop_front()).any(|wake| wake.send(()).is_ok());
        if line.is_empty() {
            queues.remove(queue);
        }
        woken
    }

    /// Somebody was woken who does not want it any more: the next here, or whoever waits elsewhere.
    pub async fn pass_on(&self, shared: &Shared, queue: &str) -> Result<(), StoreError> {
        if !self.wake_one(queue) {
            let mut call = shared.call(&script::WAKE);
            call.text(queue);
            shared.run(&call).await?;
        }
        Ok(())
    }

    /// Has everybody look for themselves: the connection was gone, and with it perhaps a token.
    fn wake_all(&self) {
        for (_, line) in self.lock().drain() {
            for wake in line {
                // Who has gone need not look.
                let _ = wake.send(());
            }
        }
    }
}

pub(super) async fn keep_waking(shared: Arc<Shared>, waiters: Arc<Waiters>, closing: CancellationToken) {
    let mut failures = 0;
    while !closing.is_cancelled() {
        let waked = tokio::select! {
            waked = wake_while_connected(&shared, &waiters, &mut failures) => waked,
            () = closing.cancelled() => return,
        };
        if let Err(error) = waked {
            failures += 1;
            tracing::warn!(%error, "waiting for work: the connection is gone, making another");
            waiters.wake_all();
            tokio::time::sleep(AWAY.wait(failures, fastrand::f64())).await;
        }
    }
}

async fn wake_while_connected(
    shared: &Arc<Shared>,
    waiters: &Waiters,
    failures: &mut u32,
) -> Result<(), StoreError> {
    let mut connection: Option<(MultiplexedConnection, Option<i64>)> = None;
    loop {
        let queues = waiters.queues();
        if queues.is_empty() {
            waiters.joined.notified().await;
            continue;
        }
        let (blocked, number) = match &mut connection {
            Some(connection) => connection,
            None => {
                let mut fresh = shared.link.own().await?;
                // Without the right to ask for it, a queue that joins waits for the end of the blocking call.
                let number = redis::cmd("CLIENT").arg("ID").query_async(&mut fresh).await.ok();
                connection.insert((fresh, number))
            }
        };
        let mut cmd = redis::cmd("BLPOP");
        for queue in &queues {
            cmd.arg(queue_key(shared, queue, "wake"));
        }
        cmd.arg(BLOCK_S);
        let blocking = cmd.query_async::<Value>(blocked);
        tokio::pin!(blocking);
        let silence = tokio::time::sleep(Duration::from_secs(BLOCK_S) + SILENCE_MAX);
        tokio::pin!(silence);
        let answer = loop {
            tokio::select! {
                answer = &mut blocking => break answer.map_err(super::link::explained)?,
                () = waiters.joined.notified() => unblock(shared, *number).await,
                () = &mut silence => {
                    return Err(StoreError::Unavailable("Redis is silent".into()));
                }
            }
        };
        *failures = 0;
        let reply = Reply::of("BLPOP");
        let Some(key) = reply.list(answer)?.into_iter().next() else { continue };
        let key = reply.text(key)?;
        let queue =
            key.strip_prefix(&shared.prefix).and_then(|rest| rest.strip_prefix("q:")?.strip_suffix(":wake"));
        if let Some(queue) = queue {
            waiters.pass_on(shared, queue).await?;
        }
    }
}

/// Ends the blocking call as if its time were over. It may have ended by itself; then this does nothing.
async fn unblock(shared: &Shared, number: Option<i64>) {
    if let Some(number) = number
        && let Err(error) = shared.link.ask(redis::cmd("CLIENT").arg("UNBLOCK").arg(number)).await
    {
        tracing::debug!(%error, "the blocking call could not be ended");
    }
}
