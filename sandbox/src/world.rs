//! The world: its state behind one short lock, its journal, its agenda.
//!
//! Whatever happens goes through [`World::act`]: look at the state, decide, record. Recording writes the journal first
//! and changes the state after. The lock is never held across an await.

pub(crate) mod event;
pub(crate) mod money;
pub(crate) mod notice;
pub(crate) mod order;
pub(crate) mod parcel;
pub(crate) mod register;
pub(crate) mod state;
pub(crate) mod step;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;
use windlass_engine::{Clock, Timestamp};

use self::event::{Event, Fact};
use self::state::State;
use self::step::{Agenda, Lane, Lanes, Step};
use crate::config::{Callbacks, Config, Pace};
use crate::draw::draw;
use crate::fault::Dial;
use crate::haier::Desk;
use crate::journal::Journal;
use crate::plants;

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
    pub(crate) dial: Dial,
    pub(crate) haier: Desk,
    /// Real time for which a call without an answer is held.
    pub(crate) no_answer: Duration,
    /// The mail server sends strangers away once, also without a storm.
    pub(crate) greylists: bool,
    inner: Mutex<Inner>,
    /// An agenda has a new first step.
    changed: Lanes<Notify>,
}

struct Inner {
    state: State,
    journal: Journal,
    agendas: Lanes<Agenda>,
    callbacks: Callbacks,
}

/// The event could not be written down, so it did not happen.
#[derive(Debug)]
pub(crate) struct Unrecorded;

impl IntoResponse for Unrecorded {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl World {
    /// The world as its journal tells it, or a new one.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let mut state = State::default();
        let journal = match &config.journal {
            None => Journal::Memory,
            Some(path) => Journal::open(path, |event| {
                state.apply(&event, config.seed, &config.pace, |_, _| {});
            })?,
        };
        let mut agendas = Lanes::<Agenda>::default();
        state.dues(config.seed, &config.pace, |at, step| {
            agendas.of_mut(step.lane()).add(at, step);
        });
        let world = Self {
            clock: config.clock.clone(),
            seed: config.seed,
            pace: config.pace,
            dial: Dial::new(config.seed, config.faults),
            haier: Desk::new(config.seed, config.goods),
            no_answer: config.no_answer,
            greylists: config.greylists,
            inner: Mutex::new(Inner { state, journal, agendas, callbacks: config.callbacks.clone() }),
            changed: Lanes::default(),
        };
        world
            .act(|scene| plants::ask(scene, &config.plants))
            .map_err(|refusal| anyhow::anyhow!("the plants cannot be planted: {refusal}"))?;
        Ok(world)
    }

    /// Looks at the world and changes it in one piece.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Scene<'_>) -> T) -> T {
        // The lock first: events are then written in the order of their times.
        let inner = self.lock();
        let mut scene = Scene { world: self, now: self.clock.now(), inner, hurry: Lanes::default() };
        let done = act(&mut scene);
        let Scene { inner, hurry, .. } = scene;
        drop(inner);
        for lane in [Lane::Happen, Lane::Tell] {
            if *hurry.of(lane) {
                self.changed.of(lane).notify_one();
            }
        }
        done
    }

    /// Looks at the world.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    pub(crate) fn draw(&self, about: &[&str], nth: u64) -> u64 {
        draw(self.seed, about, nth)
    }

    pub(crate) fn call_back_to(&self, callbacks: Callbacks) {
        let mut inner = self.lock();
        inner.callbacks = callbacks;
        inner.agendas.of_mut(Lane::Tell).unpark(self.clock.now());
        drop(inner);
        self.changed.of(Lane::Tell).notify_one();
    }

    /// Where a notice goes; without an address it waits for one.
    pub(crate) fn address_or_park(
        &self,
        step: Step,
        of: impl FnOnce(&Callbacks) -> Option<&String>,
    ) -> Option<String> {
        let mut inner = self.lock();
        let address = of(&inner.callbacks).cloned();
        if address.is_none() {
            inner.agendas.of_mut(step.lane()).park(step);
        }
        address
    }

    /// From now on nothing happens in this world.
    pub(crate) fn close(&self) {
        self.lock().journal = Journal::Closed;
    }

    pub(crate) fn next_due(&self, lane: Lane) -> Option<Timestamp> {
        self.lock().agendas.of(lane).next_due()
    }

    pub(crate) fn take_due(&self, lane: Lane) -> Option<Step> {
        let now = self.clock.now();
        self.lock().agendas.of_mut(lane).take_due(now)
    }

    pub(crate) fn put_back(&self, at: Timestamp, step: Step) {
        self.lock().agendas.of_mut(step.lane()).put_back(at, step);
        self.changed.of(step.lane()).notify_one();
    }

    /// Waits until there may be something new to do.
    pub(crate) async fn changed(&self, lane: Lane) {
        self.changed.of(lane).notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock is a bug of ours; the state is whole all the same, because `apply` comes last.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The world while one thing happens in it.
pub(crate) struct Scene<'a> {
    world: &'a World,
    now: Timestamp,
    inner: MutexGuard<'a, Inner>,
    /// Which agendas have a new first step.
    hurry: Lanes<bool>,
}

impl Scene<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn state(&self) -> &State {
        &self.inner.state
    }

    /// Makes a fact of it.
    pub(crate) fn record(&mut self, fact: Fact) -> Result<(), Unrecorded> {
        let event = Event { at: self.now, fact };
        let Inner { state, journal, agendas, .. } = &mut *self.inner;
        journal.append(&event).map_err(|error: io::Error| {
            tracing::error!(%error, "an event could not be written to the journal");
            Unrecorded
        })?;
        state.apply(&event, self.world.seed, &self.world.pace, |at, step| {
            let lane = step.lane();
            *self.hurry.of_mut(lane) |= agendas.of_mut(lane).add(at, step);
        });
        Ok(())
    }

    /// A step was taken: it is off the agenda unless the state asks for it again.
    pub(crate) fn forget(&mut self, step: Step) {
        self.inner.agendas.of_mut(step.lane()).forget(step);
    }
}
