//! The one thread that writes. It commits what has gathered, and only then answers.
//!
//! Asks for work wait here: they are tried again in each commit, so an enqueue and the reserve that it feeds
//! share one fsync. The thread sleeps until a call, a due time, a gate or an ask's own end wakes it; it never
//! polls. It knows no statement: the work comes in as [`Step`]s.

use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::id::{JobId, Token};
use crate::store::sqlite::desk::{Desk, TransactError};
use crate::store::sqlite::reserve::{self, Outlook};
use crate::store::sqlite::settle;
use crate::store::{Ask, Reserved, StoreError};

/// Calls that one transaction takes together.
const GATHERED_MAX: usize = 1_024;
/// Wall time before the writer tries again what it does unasked, after that failed.
const PAUSE_AFTER_FAILURE: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) enum Message {
    Step(Box<dyn Step>),
    Ask(Waiting),
}

/// Work inside the writer's transaction. It may run twice: after a roll-back, again and alone.
pub(super) trait Step: Send {
    fn run(&mut self, desk: &mut Desk) -> Result<(), StoreError>;
    /// After the commit, or with what prevented it.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

pub(super) struct Call<T, F> {
    pub work: F,
    pub answer: Option<T>,
    pub reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Step for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Desk) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, desk: &mut Desk) -> Result<(), StoreError> {
        self.answer = Some((self.work)(desk)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let answer = match failed {
            Some(e) => Err(e),
            None => self.answer.ok_or_else(|| StoreError::Unavailable("the call was not run".into())),
        };
        // Nobody may wait for it any more; what was committed stays.
        let _ = self.reply.send(answer);
    }
}

/// An ask that has not been answered.
pub(super) struct Waiting {
    pub ask: Ask,
    /// Wall time.
    pub give_up_at: Timestamp,
    pub reply: oneshot::Sender<Result<Handed, StoreError>>,
}

/// Deliveries on their way to whoever asked. If nobody takes them they go back unharmed.
pub(super) struct Handed {
    reserved: Reserved,
    home: mpsc::UnboundedSender<Vec<(JobId, Token)>>,
}

impl Handed {
    pub fn take(mut self) -> Reserved {
        std::mem::take(&mut self.reserved)
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if !self.reserved.deliveries.is_empty() {
            let untaken = self.reserved.deliveries.drain(..).map(|d| (d.id, d.token)).collect();
            // The writer has closed: the next owner of the file puts them back.
            let _ = self.home.send(untaken);
        }
    }
}

pub(super) struct Writer {
    desk: Desk,
    calls: mpsc::Receiver<Message>,
    untaken: mpsc::UnboundedReceiver<Vec<(JobId, Token)>>,
    home: mpsc::UnboundedSender<Vec<(JobId, Token)>>,
    waiting: Vec<Waiting>,
    /// Wall time before which the writer does nothing unasked.
    paused_until: Option<Timestamp>,
}

impl Writer {
    pub fn new(desk: Desk, calls: mpsc::Receiver<Message>) -> Self {
        let (home, untaken) = mpsc::unbounded_channel();
        Self { desk, calls, untaken, home, waiting: Vec::new(), paused_until: None }
    }

    /// Works until the last caller has gone.
    pub async fn run(mut self) {
        let mut steps: Vec<Box<dyn Step>> = Vec::new();
        while self.gather(&mut steps).await {
            self.round(&mut steps);
            self.give_up_on_waiting(|waiting, wall| waiting.give_up_at <= wall);
        }
        self.give_up_on_waiting(|_, _| true);
        while let Ok(deliveries) = self.untaken.try_recv() {
            steps.push(Box::new(PutBack(deliveries)));
        }
        self.round(&mut steps);
    }

    /// Waits for something to do and takes what has gathered. False when the last caller has gone.
    async fn gather(&mut self, steps: &mut Vec<Box<dyn Step>>) -> bool {
        let (due_at, wake_at) = self.alarms();
        let clock = self.desk.clock.clone();
        let first = tokio::select! {
            biased;
            message = self.calls.recv() => match message {
                Some(message) => Some(message),
                None => return false,
            },
            Some(deliveries) = self.untaken.recv() => {
                steps.push(Box::new(PutBack(deliveries)));
                None
            }
            () = until_shop(&clock, due_at) => None,
            () = until_wall(&clock, wake_at) => None,
        };
        let mut next = first;
        for _ in 0..GATHERED_MAX {
            match next.take().or_else(|| self.calls.try_recv().ok()) {
                Some(Message::Step(step)) => steps.push(step),
                Some(Message::Ask(waiting)) => self.waiting.push(waiting),
                None => break,
            }
        }
        while let Ok(deliveries) = self.untaken.try_recv() {
            steps.push(Box::new(PutBack(deliveries)));
        }
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        true
    }

    /// When to wake without being called: the shop's time of the next due job, and wall time for the rest.
    fn alarms(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let wall = self.desk.clock.wall();
        let asks = self.waiting.iter().flat_map(|waiting| {
            let opens_at = match reserve::outlook(&self.desk, &waiting.ask, wall) {
                Outlook::Jobs => Some(wall),
                Outlook::Held(hold) => hold.until,
                Outlook::Nothing => None,
            };
            [Some(waiting.give_up_at), opens_at.map(|at| at.max(self.paused_until.unwrap_or(at)))]
        });
        let wake_at = asks.chain([self.paused_until]).flatten().min();
        let due_at = if self.paused_until.is_some() { None } else { self.desk.next_due };
        (due_at, wake_at)
    }

    fn has_work(&self, wall: Timestamp) -> bool {
        self.paused_until.is_none()
            && (self.desk.is_due()
                || self
                    .waiting
                    .iter()
                    .any(|waiting| matches!(reserve::outlook(&self.desk, &waiting.ask, wall), Outlook::Jobs)))
    }

    /// One transaction for everything that has gathered.
    fn round(&mut self, steps: &mut Vec<Box<dyn Step>>) {
        let wall = self.desk.clock.wall();
        self.paused_until = self.paused_until.filter(|until| *until > wall);
        if steps.is_empty() && !self.has_work(wall) {
            return;
        }
        let outcome = self.desk.transact(|desk| {
            for step in steps.iter_mut() {
                step.run(desk)?;
            }
            reserve::promote(desk)?;
            serve(desk, &self.waiting)
        });
        match outcome {
            Ok(served) => {
                steps.drain(..).for_each(|step| step.answer(None));
                self.hand_out(served);
            }
            Err(TransactError::Commit(e)) => {
                steps.drain(..).for_each(|step| step.answer(Some(e.clone())));
                self.refuse_waiting(&e);
            }
            Err(TransactError::Work(_)) => self.one_by_one(steps),
        }
    }

    /// One of them failed: each alone, so that it fails nobody else's.
    fn one_by_one(&mut self, steps: &mut Vec<Box<dyn Step>>) {
        for mut step in steps.drain(..) {
            let outcome = self.desk.transact(|desk| step.run(desk));
            step.answer(outcome.err().map(TransactError::into_inner));
        }
        let outcome = self.desk.transact(|desk| {
            reserve::promote(desk)?;
            serve(desk, &self.waiting)
        });
        match outcome {
            Ok(served) => self.hand_out(served),
            Err(e) => self.refuse_waiting(&e.into_inner()),
        }
    }

    fn hand_out(&mut self, served: Vec<(usize, Reserved)>) {
        // From the last to the first, so that the places before stay what they are.
        for (at, reserved) in served.into_iter().rev() {
            let waiting = self.waiting.remove(at);
            // A reply that nobody takes comes back through `Handed`'s drop.
            let _ = waiting.reply.send(Ok(Handed { reserved, home: self.home.clone() }));
        }
    }

    /// The carrier cannot write: those who wait for jobs learn it, and the writer does not try at once again.
    fn refuse_waiting(&mut self, e: &StoreError) {
        tracing::warn!(error = %e, "the carrier cannot write");
        self.paused_until = Some(self.desk.clock.wall() + PAUSE_AFTER_FAILURE);
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(Err(e.clone()));
        }
    }

    fn give_up_on_waiting(&mut self, gives_up: impl Fn(&Waiting, Timestamp) -> bool) {
        let wall = self.desk.clock.wall();
        for waiting in self.waiting.extract_if(.., |waiting| gives_up(waiting, wall)) {
            let hold = match reserve::outlook(&self.desk, &waiting.ask, wall) {
                Outlook::Held(hold) => Some(hold),
                Outlook::Jobs | Outlook::Nothing => None,
            };
            let nothing = Reserved { deliveries: Vec::new(), hold };
            let _ = waiting.reply.send(Ok(Handed { reserved: nothing, home: self.home.clone() }));
        }
    }
}

/// Those of the asks that got jobs, by their place, in the order in which they came.
fn serve(desk: &mut Desk, waiting: &[Waiting]) -> Result<Vec<(usize, Reserved)>, StoreError> {
    let mut served = Vec::new();
    for (at, waiting) in waiting.iter().enumerate() {
        let reserved = reserve::reserve(desk, &waiting.ask)?;
        if !reserved.deliveries.is_empty() {
            served.push((at, reserved));
        }
    }
    Ok(served)
}

/// Deliveries that nobody took go back.
struct PutBack(Vec<(JobId, Token)>);

impl Step for PutBack {
    fn run(&mut self, desk: &mut Desk) -> Result<(), StoreError> {
        for (id, token) in &self.0 {
            if let Some(job) = settle::running_job(desk, id, *token)? {
                settle::release(desk, id, &job)?;
            }
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        if let Some(e) = failed {
            tracing::warn!(jobs = self.0.len(), error = %e, "jobs that nobody took wait for their lease to end");
        }
    }
}

async fn until_shop(clock: &crate::clock::Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn until_wall(clock: &crate::clock::Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.wall())).await,
        None => std::future::pending().await,
    }
}
