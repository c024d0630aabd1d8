//! Hands the jobs of the schedules over.
//!
//! Any number of schedulers may run, none of them a leader. Each first has the job accepted, under the id that
//! the instant gives it, and then moves the schedule's cursor by compare-and-set: whoever dies in between leaves
//! an instant that another hands over again, which changes nothing. It does not run jobs, and it does not wait
//! for them except where an entry asks for that (`queue_one`).

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::due::{Due, due};
use super::overlap::Earlier;
use super::{Accept, Entry, Overlap, Schedules, paused_since};
use crate::clock::{Clock, Timestamp};
use crate::envelope::NewJob;
use crate::pulse::Pulse;
use crate::retry::Backoff;
use crate::store::{Enqueued, Store, StoreError};
use crate::trace::{Span, SpanKind, enqueueing};

/// Wall time for which an instant is handed over in time; later it is left to the catch-up policy.
const GRACE: Duration = Duration::from_secs(30);
/// Wall time between two looks at whether a waiting instant may go (`queue_one`).
const WAITING_POLL: Duration = Duration::from_millis(500);
/// Wall time for one entry's hand-over; past it the carrier counts as away.
const TURN_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest pause between two rounds, in wall time, although nothing is due: a loop that stands still shows.
pub const ROUND_MAX: Duration = Duration::from_secs(5);
/// How long an entry is left alone when the carrier is away, in wall time.
const AWAY: Backoff = Backoff { base_ms: 200, cap_ms: 15_000 };
/// What becomes of an instant, as it is counted.
const OUTCOMES: [&str; 6] = ["fired", "already", "overlapped", "missed", "paused", "refused"];
/// A cursor further ahead of the shop's time than this is worth a warning: the clock was set back.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// The one loop over all entries.
pub struct Scheduler {
    store: Arc<dyn Store>,
    accept: Arc<dyn Accept>,
    clock: Clock,
    turns: Vec<Turn>,
    pulse: Pulse,
}

/// One entry and where this scheduler stands with it.
struct Turn {
    entry: Entry,
    wake: Wake,
    earlier: Earlier,
    /// The cursor as last read, to tell how late an instant is while the carrier is away.
    cursor: Option<Timestamp>,
    /// The instant that waits for an earlier job to end (`queue_one`).
    waiting: Option<Timestamp>,
    failures: u32,
}

/// When an entry is looked at again.
#[derive(Clone, Copy, Debug)]
enum Wake {
    /// In the shop's time.
    At(Timestamp),
    /// In wall time.
    AtWall(Timestamp),
    Never,
}

impl Scheduler {
    /// Disabled entries are left out.
    pub fn new(store: Arc<dyn Store>, accept: Arc<dyn Accept>, schedules: &Schedules, clock: Clock) -> Self {
        let enabled = schedules.iter().filter(|entry| entry.enabled);
        let turns = enabled.map(|entry| Turn::new(entry.clone(), clock.now())).collect();
        Self { store, accept, clock, turns, pulse: Pulse::default() }
    }

    /// Beats whenever the loop comes round: at least every [`ROUND_MAX`], and the time that one entry takes.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until `stop`. An entry that was never seen begins now, without a past to catch up with.
    pub async fn run(mut self, stop: CancellationToken) {
        info!(schedules = self.turns.len(), "the scheduler runs");
        loop {
            for turn in self.turns.iter_mut().filter(|turn| turn.wake.is_past(&self.clock)) {
                if stop.is_cancelled() {
                    return;
                }
                turn.take(&*self.store, &*self.accept, &self.clock).await;
            }
            self.pulse.beat(&self.clock);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.next_wake() => {}
                () = tokio::time::sleep(ROUND_MAX) => {}
            }
        }
    }

    async fn next_wake(&self) {
        let shop = self.turns.iter().filter_map(|turn| match turn.wake {
            Wake::At(at) => Some(at),
            Wake::AtWall(_) | Wake::Never => None,
        });
        let wall = self.turns.iter().filter_map(|turn| match turn.wake {
            Wake::AtWall(at) => Some(at),
            Wake::At(_) | Wake::Never => None,
        });
        let (shop, wall) = (shop.min(), wall.min());
        tokio::select! {
            () = self.clock.sleep_until(shop.unwrap_or_default()), if shop.is_some() => {}
            () = tokio::time::sleep(wall.unwrap_or_default().since(self.clock.wall())), if wall.is_some() => {}
            // Nothing will ever be due: the stop is all that is left to wait for.
            else => std::future::pending().await,
        }
    }
}

impl Wake {
    fn is_past(self, clock: &Clock) -> bool {
        match self {
            Self::At(at) => at <= clock.now(),
            Self::AtWall(at) => at <= clock.wall(),
            Self::Never => false,
        }
    }
}

impl Turn {
    fn new(entry: Entry, now: Timestamp) -> Self {
        let wake = Wake::At(now);
        // An outcome that was never told would begin at its first count, and that first one would not be seen.
        for outcome in OUTCOMES {
            count(&entry.name, outcome, 0);
        }
        Self { entry, wake, earlier: Earlier::default(), cursor: None, waiting: None, failures: 0 }
    }

    /// Hands over what is due, and says when to come again.
    async fn take(&mut self, store: &dyn Store, accept: &dyn Accept, clock: &Clock) {
        let handed = tokio::time::timeout(TURN_TIME_MAX, self.hand_over_due(store, accept, clock))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable(format!("no answer in {TURN_TIME_MAX:?}"))));
        self.tell_next();
        match handed {
            Ok(()) => {
                if self.failures > 0 {
                    info!(schedule = self.entry.name, "the schedule goes on");
                }
                self.failures = 0;
                self.wake = if self.waiting.is_some() {
                    Wake::AtWall(clock.wall() + WAITING_POLL)
                } else {
                    let handed = self.cursor.unwrap_or_default();
                    self.entry.next_after(handed).map_or(Wake::Never, Wake::At)
                };
            }
            Err(e) => {
                if self.failures == 0 {
                    warn!(schedule = self.entry.name, error = %e, "no hand-over; the schedule catches up later");
                }
                self.failures = self.failures.saturating_add(1);
                self.wake = Wake::AtWall(clock.wall() + AWAY.wait(self.failures, fastrand::f64()));
                let due = self.cursor.and_then(|cursor| self.entry.next_after(cursor));
                if let Some(due) = due.filter(|due| *due <= clock.now()) {
                    self.tell_lag(due, clock);
                }
            }
        }
    }

    async fn hand_over_due(
        &mut self,
        store: &dyn Store,
        accept: &dyn Accept,
        clock: &Clock,
    ) -> Result<(), StoreError> {
        let now = clock.now();
        let mut cursor = self.read_cursor(store, now).await?;
        let grace = GRACE.mul_f64(clock.speed());
        let Some(mut due) = due(&self.entry, cursor, now, grace) else {
            self.waiting = None;
            return Ok(());
        };
        if paused_since(store, &self.entry.name).await?.is_some() {
            return self.pass_over(store, &mut cursor, &due).await;
        }
        if let Some(waiting) = self.waiting.filter(|waiting| due.fire.is_empty() && *waiting > cursor) {
            // It was in time when it began to wait.
            due.fire.push(waiting);
            due.missed -= 1;
        }
        for instant in due.fire.clone() {
            if self.entry.overlap != Overlap::Allow
                && self.earlier.lives(&self.entry, instant, accept).await?
            {
                if self.entry.overlap == Overlap::QueueOne {
                    self.waiting = Some(instant);
                    return Ok(());
                }
                if !self.advance(store, &mut cursor, instant).await? {
                    return Ok(());
                }
                self.count("overlapped", 1);
                continue;
            }
            let outcome = self.hand_over(accept, instant, clock).await?;
            self.tell_lag(instant, clock);
            self.count(outcome, 1);
            if !self.advance(store, &mut cursor, instant).await? {
                return Ok(());
            }
        }
        self.let_go(store, &mut cursor, &due).await
    }

    /// Has the job of the instant accepted; answers with the outcome to count.
    async fn hand_over(
        &self,
        accept: &dyn Accept,
        instant: Timestamp,
        clock: &Clock,
    ) -> Result<&'static str, StoreError> {
        let schedule = self.entry.name.as_str();
        // What nobody asked for begins a trace of its own.
        let span = Span::begin(SpanKind::Internal, None, || format!("schedule {schedule}"));
        let mut job = self.job(instant, clock);
        let enqueueing = {
            let _in_trace = span.enter();
            enqueueing([&mut job])
        };
        match enqueueing.within(accept.accept(job)).await {
            Ok(Enqueued::New) => {
                debug!(schedule, %instant, "handed over");
                Ok("fired")
            }
            Ok(Enqueued::Exists { .. }) => Ok("already"),
            Ok(Enqueued::Duplicate { of }) => {
                debug!(schedule, %instant, %of, "another job holds the unique key");
                Ok("overlapped")
            }
            Ok(Enqueued::Full) => {
                Err(StoreError::Unavailable(format!("the queue {} is full", self.entry.queue)))
            }
            // It would be refused again and again, and hold up every instant after it.
            Err(e @ (StoreError::Invalid(_) | StoreError::Unreadable(_))) => {
                error!(schedule, %instant, error = %e, "the job was refused; its instant is given up");
                Ok("refused")
            }
            Err(e @ (StoreError::Unavailable(_) | StoreError::Full(_))) => Err(e),
        }
    }

    /// The job of the instant, which expires no sooner than [`GRACE`] of wall time, however fast the shop's time runs.
    fn job(&self, instant: Timestamp, clock: &Clock) -> NewJob {
        let soonest = GRACE.mul_f64(clock.speed());
        let deadline_at = self.entry.expires.map(|expires| clock.now() + expires.max(soonest));
        NewJob { deadline_at, ..self.entry.job(instant) }
    }

    /// Takes the cursor over instants of a schedule that is paused.
    async fn pass_over(
        &mut self,
        store: &dyn Store,
        cursor: &mut Timestamp,
        due: &Due,
    ) -> Result<(), StoreError> {
        self.waiting = None;
        if self.advance(store, cursor, due.through).await? {
            self.count("paused", (due.missed + due.fire.len()) as u64);
        }
        Ok(())
    }

    /// Counts what passes without a job, and takes the cursor over it.
    async fn let_go(
        &mut self,
        store: &dyn Store,
        cursor: &mut Timestamp,
        due: &Due,
    ) -> Result<(), StoreError> {
        let waited = self.waiting.take().is_some();
        if *cursor < due.through && !self.advance(store, cursor, due.through).await? {
            return Ok(());
        }
        if due.missed > 0 {
            let outcome = if waited { "overlapped" } else { "missed" };
            self.count(outcome, due.missed as u64);
            debug!(schedule = self.entry.name, instants = due.missed, outcome, "passed without a job");
        }
        Ok(())
    }

    async fn read_cursor(&mut self, store: &dyn Store, now: Timestamp) -> Result<Timestamp, StoreError> {
        let name = self.entry.name.as_str();
        let stored = match store.cursor(name).await? {
            Some(cursor) => cursor,
            // Of several schedulers that see the entry for the first time one says when it begins.
            None if store.move_cursor(name, None, now).await? => now,
            None => store.cursor(name).await?.unwrap_or(now),
        };
        if self.cursor.is_none() && stored > now + AHEAD_MAX {
            warn!(schedule = name, cursor = %stored, %now, "silent until the cursor: was the clock set back?");
        }
        self.cursor = Some(stored);
        Ok(stored)
    }

    /// Moves the cursor; false when another scheduler moved it, which then did the work.
    async fn advance(
        &mut self,
        store: &dyn Store,
        cursor: &mut Timestamp,
        to: Timestamp,
    ) -> Result<bool, StoreError> {
        let moved = store.move_cursor(&self.entry.name, Some(*cursor), to).await?;
        if moved {
            *cursor = to;
            self.cursor = Some(to);
        }
        Ok(moved)
    }

    /// How long after its instant a job was handed over, or is not yet, in the shop's time.
    fn tell_lag(&self, instant: Timestamp, clock: &Clock) {
        let lag = clock.now().since(instant).as_secs_f64();
        gauge!("windlass_schedule_lag_seconds", "schedule" => self.entry.name.clone()).set(lag);
    }

    fn count(&self, outcome: &'static str, instants: u64) {
        count(&self.entry.name, outcome, instants);
    }

    /// When the schedule is due next, and how long after the instant before, in the shop's time. While nobody can hand it
    /// over it stays where it is: how far it is past tells how late it is.
    fn tell_next(&self) {
        let Some(cursor) = self.cursor else { return };
        let Some(next) = self.entry.next_after(cursor) else { return };
        let schedule = || self.entry.name.clone();
        gauge!("windlass_schedule_next_timestamp_seconds", "schedule" => schedule()).set(next.secs() as f64);
        gauge!("windlass_schedule_gap_seconds", "schedule" => schedule())
            .set(next.since(cursor).as_secs_f64());
    }
}

fn count(schedule: &str, outcome: &'static str, instants: u64) {
    counter!("windlass_schedule_fired_total", "schedule" => schedule.to_owned(), "outcome" => outcome)
        .increment(instants);
}
