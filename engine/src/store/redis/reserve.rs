//! Asks for work, from the call to the deliveries.
//!
//! An ask runs as a task of its own: when whoever asked goes away meanwhile, it gives back what it got.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::record::{self, Record, Slim, Tries, escaped, id_of};
use super::reply::Reply;
use super::script;
use super::settle::{Ends, Op};
use super::shared::{HeldJob, Shared};
use super::wake::Waiters;
use crate::clock::Timestamp;
use crate::gate::{Hold, HoldReason};
use crate::id::Token;
use crate::retry::Backoff;
use crate::store::{Ask, Delivery, FaultCause, JobFault, Reserved, StoreError, TURNS};

/// Records that come with the answer; those of more jobs are fetched by a call of their own.
const INLINE_JOBS_MAX: usize = 16;
/// Between two tries to fetch the records of jobs that are handed out already.
const AWAY: Backoff = Backoff { base_ms: 50, cap_ms: 1_000 };

/// Asks in turn that found nothing but jobs past their deadline; each buries as many as it asked for.
const EXPIRED_ROUNDS_MAX: u32 = 200;

/// Takes asks, and knows those whose askers have gone and that are not over.
pub(super) struct Asks {
    shared: Arc<Shared>,
    waiters: Arc<Waiters>,
    ends: Arc<Ends>,
    /// A token for each ask that was dropped, until what it got has gone back.
    dropped: TaskTracker,
}

impl Asks {
    pub fn new(shared: Arc<Shared>, waiters: Arc<Waiters>, ends: Arc<Ends>) -> Self {
        let dropped = TaskTracker::new();
        // Only a closed one can be waited for; it takes tokens all the same.
        dropped.close();
        Self { shared, waiters, ends, dropped }
    }

    pub async fn reserve(&self, ask: Ask) -> Result<Reserved, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asking = Arc::new(Asking {
            shared: self.shared.clone(),
            waiters: self.waiters.clone(),
            ends: self.ends.clone(),
            queue: escaped(&ask.queue).into_owned(),
            ask,
            dropped: OnceLock::new(),
        });
        tokio::spawn(asking.clone().run(reply));
        let mut asker = Asker { answer, asking, dropped: &self.dropped };
        (&mut asker.answer).await.map_err(|_| StoreError::Unavailable("the ask was dropped".into()))?
    }

    pub async fn await_returns(&self) {
        self.dropped.wait().await;
    }
}

/// Whoever waits for the answer to an ask.
struct Asker<'a> {
    answer: oneshot::Receiver<Result<Reserved, StoreError>>,
    asking: Arc<Asking>,
    dropped: &'a TaskTracker,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        // The ask holds the token to its end; one that is over lets it go at once.
        let _ = self.asking.dropped.set(self.dropped.token());
        self.answer.close();
        // The answer had come, and nobody had looked at it yet.
        if let (Ok(Ok(untaken)), Ok(here)) = (self.answer.try_recv(), Handle::try_current()) {
            let asking = self.asking.clone();
            here.spawn(async move { asking.give_back(untaken.deliveries).await });
        }
    }
}

struct Asking {
    shared: Arc<Shared>,
    waiters: Arc<Waiters>,
    ends: Arc<Ends>,
    /// As it is stored.
    queue: String,
    ask: Ask,
    /// Filled when the asker goes.
    dropped: OnceLock<TaskTrackerToken>,
}

/// What one call found.
enum Found {
    Jobs(Vec<Delivery>),
    /// Nothing is ready; the next job is due at this instant of the shop.
    Nothing(Option<Timestamp>),
    Held(Hold),
    /// Only what does not count was met.
    Again,
}

impl Asking {
    async fn run(self: Arc<Self>, mut reply: oneshot::Sender<Result<Reserved, StoreError>>) {
        let Some(answer) = self.wait_for_jobs(&mut reply).await.transpose() else { return };
        if let Err(Ok(untaken)) = reply.send(answer) {
            self.give_back(untaken.deliveries).await;
        }
    }

    /// None when whoever asked has gone. A call that is on its way is always waited for: it may bring jobs.
    async fn wait_for_jobs(
        &self,
        reply: &mut oneshot::Sender<Result<Reserved, StoreError>>,
    ) -> Result<Option<Reserved>, StoreError> {
        let give_up_at = self.shared.clock.wall() + self.ask.wait;
        let mut rounds = 0;
        loop {
            let (due_at, opens_at, hold) = match self.look().await? {
                Found::Jobs(deliveries) => return Ok(Some(Reserved { deliveries, hold: None })),
                Found::Again if rounds < EXPIRED_ROUNDS_MAX => {
                    rounds += 1;
                    continue;
                }
                Found::Again => (None, None, None),
                Found::Nothing(due_at) => (due_at, None, None),
                Found::Held(hold) => (None, hold.until, Some(hold)),
            };
            let nothing = Reserved { deliveries: Vec::new(), hold };
            if self.shared.clock.wall() >= give_up_at {
                return Ok(Some(nothing));
            }
            let mut woken = self.waiters.wait(&self.queue);
            tokio::select! {
                // It ends without a word when nobody can be woken any more: then to look is right, too.
                _ = &mut woken => {}
                () = self.until_shop(due_at) => {}
                () = self.until_wall(opens_at) => {}
                () = self.until_wall(Some(give_up_at)) => {
                    if woken.try_recv().is_err() {
                        return Ok(Some(nothing));
                    }
                }
                () = reply.closed() => {
                    if woken.try_recv().is_ok() {
                        self.waiters.pass_on(&self.shared, &self.queue).await?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    async fn until_shop(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.shared.clock.sleep_until(self.shared.local(at)).await,
            None => std::future::pending().await,
        }
    }

    async fn until_wall(&self, at: Option<Timestamp>) {
        match at {
            // A little late rather than early: too early would be another ask for nothing.
            Some(at) => {
                tokio::time::sleep(at.since(self.shared.clock.wall()) + Duration::from_micros(100)).await
            }
            None => std::future::pending().await,
        }
    }

    async fn look(&self) -> Result<Found, StoreError> {
        let reply = Reply::of("reserve");
        let ours_until = self.shared.clock.wall() + self.ask.lease;
        let mut call = self.shared.call(&script::RESERVE);
        call.text(&self.queue)
            .arg(self.ask.jobs_max)
            .arg(u64::try_from(self.ask.lease.as_micros()).unwrap_or(u64::MAX >> 12))
            .text(&self.ask.worker)
            .arg(&TURNS[..])
            .arg(INLINE_JOBS_MAX);
        let mut answer = reply.list(self.shared.run(&call).await?)?.into_iter();
        let mut next = || answer.next().ok_or_else(|| reply.wrong());
        let (first, _wall, now) = (reply.text(next()?)?, next()?, reply.text(next()?)?);
        match first.as_str() {
            "empty" => {
                let due = reply.maybe_text(next()?)?;
                Ok(Found::Nothing(due.map(|due| reply.time(&due)).transpose()?))
            }
            "again" => Ok(Found::Again),
            "held" => {
                let (reason, until) = (reply.text(next()?)?, reply.maybe_text(next()?)?);
                let reason = match reason.as_str() {
                    "paused" => HoldReason::Paused,
                    "breaker" => HoldReason::Breaker,
                    "concurrency" => HoldReason::Concurrency,
                    "rate" => HoldReason::Rate,
                    _ => return Err(reply.wrong()),
                };
                let until = until.map(|until| reply.time(&until)).transpose()?;
                Ok(Found::Held(Hold { reason, until: until.map(|until| self.shared.local_wall(until)) }))
            }
            token => {
                let token = Token(token.parse().map_err(|_| reply.wrong())?);
                let (ids, records, tries) = (reply.text(next()?)?, next()?, next()?);
                let ids: Vec<&str> = ids.split(' ').collect();
                let inline = !matches!(records, Value::Nil);
                let records =
                    if inline { reply.list(records)? } else { self.fetch("jobs", &ids, ours_until).await? };
                let tries = match tries {
                    Value::Int(_) => self.fetch("tries", &ids, ours_until).await?,
                    tries => reply.list(tries)?,
                };
                self.hand_out(token, reply.time(&now)?, &ids, records, tries).await
            }
        }
    }

    /// A part of each job out of the hash that keeps it. The jobs are ours already: a server that is away is asked again
    /// until their lease is over.
    async fn fetch(&self, part: &str, ids: &[&str], ours_until: Timestamp) -> Result<Vec<Value>, StoreError> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(format!("{}{part}", self.shared.prefix)).arg(ids);
        let mut tries = 0;
        loop {
            match self.shared.link.ask(&cmd).await {
                Err(StoreError::Unavailable(_)) if self.shared.clock.wall() < ours_until => {
                    tries += 1;
                    tokio::time::sleep(AWAY.wait(tries, fastrand::f64())).await;
                }
                answer => return Reply::of("HMGET").list(answer?),
            }
        }
    }

    /// Deliveries out of what the script gave. Jobs whose deadline passed before any attempt of them started are
    /// buried on the way.
    async fn hand_out(
        &self,
        token: Token,
        now: Timestamp,
        ids: &[&str],
        records: Vec<Value>,
        tries: Vec<Value>,
    ) -> Result<Found, StoreError> {
        let reply = Reply::of("reserve");
        let worker: Arc<str> = escaped(&self.ask.worker).into();
        let mut tries = tries.into_iter();
        let (mut deliveries, mut held, mut expired) =
            (Vec::with_capacity(ids.len()), Vec::with_capacity(ids.len()), Vec::new());
        for (place, (stored, text)) in (1..).zip(ids.iter().zip(records)) {
            let text = reply.maybe_text(text)?;
            let tried = tries.next().map(|tried| reply.maybe_text(tried)).transpose()?.flatten();
            // The record of a job that lives: one that others ended after our lease has lost its payload.
            let read = text.as_deref().filter(|text| text.starts_with('w')).and_then(|text| {
                let record = Record::read(text)?;
                let slim = Slim::of(stored, &record, text)?;
                Some((record, slim))
            });
            let (Some((record, slim)), Some(id)) = (read, id_of(stored)) else {
                // Nobody can run it; its lease runs out, and in the end it is dead as poison, for people to look at.
                tracing::error!(id = stored, "a job has no record that can be run");
                continue;
            };
            let tries = tried.as_deref().and_then(Tries::read).unwrap_or_default();
            let never_started = tries.attempts == 0 && tries.crashes == 0;
            if never_started && record.deadline_at.is_some_and(|deadline| deadline < now) {
                expired.push((id, place));
                continue;
            }
            let (attempt, crashes) = (tries.attempts + 1, tries.crashes);
            let job = HeldJob { token, place, attempt, crashes, worker: worker.clone(), slim };
            held.push((id.clone(), job));
            deliveries.push(Delivery {
                id,
                token,
                attempt,
                crashes,
                due_at: tries.due_at.unwrap_or(record.due_at),
                created_at: record.created_at,
                deadline_at: record.deadline_at,
                envelope: record.envelope.to_owned(),
            });
        }
        self.shared.held.add(held.into_iter());
        if !expired.is_empty() {
            let fault = JobFault {
                attempt: 0,
                at: now,
                cause: FaultCause::Expired,
                message: "its deadline passed before it started".into(),
            };
            let fault = record::fault(&fault);
            let expired =
                expired.into_iter().map(|(id, place)| (id, place, Op::Expired { fault: fault.clone() }));
            self.ends.end_all(&self.queue, token, expired).await?;
        }
        Ok(if deliveries.is_empty() { Found::Again } else { Found::Jobs(deliveries) })
    }

    async fn give_back(&self, untaken: Vec<Delivery>) {
        let Some(token) = untaken.first().map(|delivery| delivery.token) else { return };
        let jobs = untaken.len();
        let places = self.shared.held.places(untaken.iter().map(|delivery| (&delivery.id, token)));
        let untaken = untaken.into_iter().zip(places).map(|(job, place)| (job.id, place, Op::Released));
        if let Err(error) = self.ends.end_all(&self.queue, token, untaken).await {
            tracing::warn!(jobs, %error, "jobs that nobody took wait for their lease to end");
        }
    }
}
