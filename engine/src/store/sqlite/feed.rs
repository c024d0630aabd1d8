//! What happened and who works: kept in memory only.
//!
//! Events are a ring of [`EVENTS_MAX`]; beats are those of the processes that share this store. Both are gone
//! with the process, and so are the workers themselves: the carrier's file has one owner.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::JobId;
use crate::job::State;
use crate::store::{EVENT_IDS_MAX, Event, WorkerBeat};

/// Events kept: what is older is gone.
const EVENTS_MAX: usize = 10_000;
/// Workers remembered; the one that has been silent for the longest time goes first.
const WORKERS_MAX: usize = 1_000;

/// The jobs that came into one state in one commit.
#[derive(Debug, Default)]
pub(super) struct Change {
    ids: Vec<JobId>,
    count: u32,
}

impl Change {
    pub fn add(&mut self, id: &JobId) {
        self.count += 1;
        if self.count as usize <= EVENT_IDS_MAX {
            self.ids.push(id.clone());
        } else {
            self.ids = Vec::new();
        }
    }
}

#[derive(Clone)]
pub(super) struct Feed(Arc<Mutex<Ring>>);

struct Ring {
    events: VecDeque<Event>,
    last_seq: u64,
    beats: HashMap<String, (WorkerBeat, Timestamp)>,
}

impl Feed {
    /// Events are numbered from the wall's time in microseconds, so that a watcher who returns after a restart
    /// with the number that it saw last is never ahead of the stream.
    pub fn new(wall: Timestamp) -> Self {
        let last_seq = wall.micros().max(0) as u64;
        Self(Arc::new(Mutex::new(Ring { events: VecDeque::new(), last_seq, beats: HashMap::new() })))
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn publish(&self, at: Timestamp, changes: impl Iterator<Item = (String, State, Change)>) {
        let mut ring = self.ring();
        for (queue, state, Change { ids, count }) in changes {
            ring.last_seq += 1;
            let seq = ring.last_seq;
            if ring.events.len() == EVENTS_MAX {
                ring.events.pop_front();
            }
            ring.events.push_back(Event { seq, at, queue, state, ids, count });
        }
    }

    pub fn after(&self, seq: u64, limit: u32) -> Vec<Event> {
        let ring = self.ring();
        let start = ring.events.partition_point(|event| event.seq <= seq);
        ring.events.range(start..).take(limit as usize).cloned().collect()
    }

    pub fn beat(&self, beat: WorkerBeat, wall: Timestamp) {
        let mut ring = self.ring();
        if ring.beats.len() >= WORKERS_MAX && !ring.beats.contains_key(&beat.name) {
            let oldest = ring.beats.iter().min_by_key(|(_, (_, at))| *at).map(|(name, _)| name.clone());
            oldest.and_then(|name| ring.beats.remove(&name));
        }
        ring.beats.insert(beat.name.clone(), (beat, wall));
    }

    pub fn workers(&self, wall: Timestamp, age_max: Duration) -> Vec<WorkerBeat> {
        let ring = self.ring();
        let live = ring.beats.values().filter(|(_, at)| wall.since(*at) <= age_max);
        let mut workers: Vec<_> = live.map(|(beat, _)| beat.clone()).collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }
}
