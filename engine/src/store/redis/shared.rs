//! What all parts of the carrier share: the way to the server, the namespace, the two times.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;

use super::link::Link;
use super::record::Slim;
use super::reply::Reply;
use super::script::{Call, Script};
use crate::clock::{Clock, Timestamp};
use crate::id::{JobId, Token};
use crate::store::StoreError;

/// How far off a reading of the server's time may be to be believed.
const READING_MAX_US: i64 = 20_000;

pub(super) struct Shared {
    pub link: Link,
    /// `{windlass:<namespace>}:`
    pub prefix: String,
    pub clock: Clock,
    /// The server's time less ours, in microseconds.
    skew: AtomicI64,
    pub held: Held,
}

impl Shared {
    pub fn new(link: Link, prefix: String, clock: Clock) -> Self {
        Self { link, prefix, clock, skew: AtomicI64::new(0), held: Held::default() }
    }

    /// A call of the script in the namespace, at the shop's time: the server's own, unless the shop's clock is
    /// another than the wall's.
    pub fn call(&self, script: &'static Script) -> Call {
        let now = if self.clock.is_real() { 0 } else { self.clock.now().micros() };
        Call::new(script, &self.prefix, now)
    }

    pub async fn run(&self, call: &Call) -> Result<Value, StoreError> {
        self.link.run(call).await
    }

    /// The shop's time as the server has it, by our last reading.
    pub fn now(&self) -> Timestamp {
        if self.clock.is_real() { self.server_wall() } else { self.clock.now() }
    }

    fn server_wall(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.wall().micros() + self.skew.load(Ordering::Relaxed))
    }

    /// An instant of the server's shop, as our clock will show it.
    pub fn local(&self, at: Timestamp) -> Timestamp {
        if self.clock.is_real() { self.local_wall(at) } else { at }
    }

    /// The same for wall time.
    pub fn local_wall(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.micros() - self.skew.load(Ordering::Relaxed))
    }

    /// Reads the server's clock. A reading that took long says little and is thrown away.
    pub async fn read_time(&self) -> Result<(), StoreError> {
        let reply = Reply::of("TIME");
        let asked = self.clock.wall().micros();
        let answer = reply.list(self.link.ask(&redis::cmd("TIME")).await?)?;
        let answered = self.clock.wall().micros();
        let [secs, micros] = answer.as_slice() else { return Err(reply.wrong()) };
        let server = reply.number(secs)?.saturating_mul(1_000_000).saturating_add(reply.number(micros)?);
        if answered - asked <= READING_MAX_US || self.skew.load(Ordering::Relaxed) == 0 {
            self.skew.store(server.cast_signed() - (asked + answered) / 2, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What this process knows of the jobs that were handed to it, to write down their ends without asking again.
#[derive(Default)]
pub(super) struct Held(Mutex<ById>);

type ById = HashMap<JobId, HeldJob, foldhash::fast::RandomState>;

#[derive(Clone)]
pub(super) struct HeldJob {
    pub token: Token,
    /// Its place among the jobs of its reserve, from 1; 0: not noted.
    pub place: u16,
    pub attempt: u32,
    pub crashes: u32,
    /// As it is stored.
    pub worker: Arc<str>,
    pub slim: Slim,
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, ById> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that comes again takes the place of its earlier delivery.
    pub fn add(&self, jobs: impl Iterator<Item = (JobId, HeldJob)>) {
        self.lock().extend(jobs);
    }

    /// The places of deliveries that are held, 0 of others.
    pub fn places<'i>(&self, deliveries: impl Iterator<Item = (&'i JobId, Token)>) -> Vec<u16> {
        let held = self.lock();
        let place = |(id, token)| held.get(id).filter(|job| job.token == token).map_or(0, |job| job.place);
        deliveries.map(place).collect()
    }

    /// Calls `each` with what is known of each delivery; it is forgotten here.
    pub fn take<'i>(
        &self,
        deliveries: impl Iterator<Item = (&'i JobId, Token)>,
        mut each: impl FnMut(Option<HeldJob>),
    ) {
        let mut held = self.lock();
        for (id, token) in deliveries {
            let known = held.get(id).is_some_and(|job| job.token == token);
            each(if known { held.remove(id) } else { None });
        }
    }
}
