//! Random walks over a carrier beside a model in memory: after every step both say the same of every job, of the
//! counters and of the books.
//!
//! The model knows the states and what moves a job between them. It does not know gates, except the pause, nor
//! bounds: those have claims of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use windlass_engine::gate::Pause;
use windlass_engine::store::{
    Acted, Action, Ask, CRASHES_MAX, Counts, Delivery, End, Enqueued, Retention, Settled,
};
use windlass_engine::{Clock, Priority, State, Timestamp, Unique};

use crate::carrier::*;

/// Ids that the walks choose from: few, so that they meet.
const JOBS: usize = 8;
const STEPS_MAX: usize = 50;
const WALKS: u32 = 48;

#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        job: usize,
        later_s: u64,
        key: Option<usize>,
        priority: usize,
    },
    Reserve {
        jobs_max: u32,
        dies: bool,
    },
    /// Ends one of the deliveries ever made, live or stale.
    Settle {
        delivery: usize,
        end: Ending,
    },
    Act {
        action: Action,
        job: usize,
    },
    Advance {
        secs: u64,
    },
    Reap,
    Prune {
        jobs_max: u64,
    },
    Pause(bool),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Completed { follow_up: Option<usize> },
    Retry { later_s: u64 },
    Snoozed { later_s: u64 },
    Dead,
    Cancelled,
    Released,
}

fn step() -> impl Strategy<Value = Step> {
    let later = prop_oneof![Just(0u64), 1u64..40];
    let ending = prop_oneof![
        proptest::option::of(0..JOBS).prop_map(|follow_up| Ending::Completed { follow_up }),
        later.clone().prop_map(|later_s| Ending::Retry { later_s }),
        later.clone().prop_map(|later_s| Ending::Snoozed { later_s }),
        Just(Ending::Dead),
        Just(Ending::Cancelled),
        Just(Ending::Released),
    ];
    let action =
        prop_oneof![Just(Action::Cancel), Just(Action::Retry), Just(Action::Promote), Just(Action::Delete)];
    prop_oneof![
        6 => (0..JOBS, later, proptest::option::of(0usize..2), 0usize..4).prop_map(
            |(job, later_s, key, priority)| Step::Enqueue { job, later_s, key, priority }
        ),
        6 => (1u32..4, any::<bool>()).prop_map(|(jobs_max, dies)| Step::Reserve { jobs_max, dies }),
        8 => (0usize..16, ending).prop_map(|(delivery, end)| Step::Settle { delivery, end }),
        5 => (action, 0..JOBS).prop_map(|(action, job)| Step::Act { action, job }),
        3 => (1u64..60).prop_map(|secs| Step::Advance { secs }),
        2 => Just(Step::Reap),
        1 => (0u64..3).prop_map(|jobs_max| Step::Prune { jobs_max }),
        1 => any::<bool>().prop_map(Step::Pause),
    ]
}

#[derive(Clone, Debug)]
struct ModelJob {
    state: State,
    priority: Priority,
    run_at: Timestamp,
    /// The order of arrival.
    seq: u64,
    attempt: u32,
    crashes: u32,
    key: Option<usize>,
    cancelling: bool,
    /// The delivery that holds it, by its place in `deliveries`.
    held_by: Option<usize>,
    dies: bool,
    done: u64,
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<String, ModelJob>,
    deliveries: Vec<Delivery>,
    accepted: u64,
    pruned: u64,
    seq: u64,
    paused: bool,
    orders_by_due_time: bool,
}

fn name(job: usize) -> String {
    format!("j{job}")
}

impl Model {
    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn promote_due(&mut self, now: Timestamp) {
        for job in self.jobs.values_mut() {
            if matches!(job.state, State::Scheduled | State::Retrying) && job.run_at <= now {
                job.state = State::Ready;
            }
        }
    }

    fn key_holder(&self, key: usize) -> Option<String> {
        let mut jobs = self.jobs.iter();
        jobs.find(|(_, job)| job.key == Some(key) && !job.state.is_terminal()).map(|(id, _)| id.clone())
    }

    fn enqueue(
        &mut self,
        id: String,
        at: Timestamp,
        now: Timestamp,
        key: Option<usize>,
        p: Priority,
    ) -> Enqueued {
        if let Some(known) = self.jobs.get(&id) {
            return Enqueued::Exists { state: known.state, fingerprint: None };
        }
        if let Some(of) = key.and_then(|key| self.key_holder(key)) {
            return Enqueued::Duplicate { of: id_of(&of) };
        }
        let seq = self.next();
        self.accepted += 1;
        let state = if at > now { State::Scheduled } else { State::Ready };
        let job = ModelJob {
            state,
            priority: p,
            run_at: at.max(now),
            seq,
            attempt: 0,
            crashes: 0,
            key,
            cancelling: false,
            held_by: None,
            dies: false,
            done: 0,
        };
        self.jobs.insert(id, job);
        Enqueued::New
    }

    /// Takes over what the carrier handed out, if the model could have handed out the same.
    fn took(&mut self, deliveries: Vec<Delivery>, jobs_max: u32, dies: bool) {
        let ready = self.jobs.values().filter(|job| job.state == State::Ready).count();
        let expected = if self.paused { 0 } else { ready.min(jobs_max as usize) };
        assert_eq!(deliveries.len(), expected, "as many as are ready and wanted");
        for delivery in deliveries {
            let id = delivery.id.to_string();
            let job = self.jobs[&id].clone();
            let waits_longer = |other: &ModelJob| {
                other.state == State::Ready
                    && other.priority == job.priority
                    && (other.run_at, other.seq) < (job.run_at, job.seq)
            };
            let overtook = self.orders_by_due_time && self.jobs.values().any(waits_longer);
            assert!(!overtook, "{id} overtook another of its priority");
            let place = self.deliveries.len();
            let job = self.jobs.get_mut(&id).unwrap();
            assert_eq!(job.state, State::Ready);
            (job.state, job.held_by, job.dies) = (State::Running, Some(place), dies);
            job.attempt += 1;
            assert_eq!((delivery.attempt, delivery.crashes), (job.attempt, job.crashes));
            self.deliveries.push(delivery);
        }
    }

    fn settle(&mut self, place: usize, end: Ending, now: Timestamp) -> Settled {
        let done = self.next();
        let id = self.deliveries[place].id.to_string();
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.held_by == Some(place)) else {
            return Settled::FencedOut;
        };
        job.held_by = None;
        let cancelling = std::mem::take(&mut job.cancelling);
        let back = |job: &mut ModelJob, state, later_s: u64| {
            let at = now + Duration::from_secs(later_s);
            (job.state, job.run_at) = if later_s > 0 { (state, at) } else { (State::Ready, now) };
        };
        match end {
            Ending::Completed { .. } => job.state = State::Completed,
            Ending::Dead => job.state = State::Dead,
            Ending::Cancelled => job.state = State::Cancelled,
            Ending::Retry { later_s } => back(job, State::Retrying, later_s),
            Ending::Snoozed { later_s } => {
                job.attempt -= 1;
                back(job, State::Scheduled, later_s);
            }
            Ending::Released => {
                job.attempt -= 1;
                job.state = State::Ready;
            }
        }
        if cancelling && !job.state.is_terminal() {
            job.state = State::Cancelled;
        }
        job.done = done;
        if let Ending::Completed { follow_up: Some(follow_up) } = end {
            self.enqueue(name(follow_up), now, now, None, Priority::Normal);
        }
        Settled::Done
    }

    fn act(&mut self, action: Action, id: &str, now: Timestamp) -> Acted {
        let done = self.next();
        let Some(job) = self.jobs.get(id).cloned() else { return Acted::Missing };
        let key_is_taken = job.key.and_then(|key| self.key_holder(key)).is_some();
        let entry = self.jobs.get_mut(id).unwrap();
        match (action, job.state) {
            (Action::Cancel, State::Running) => {
                entry.cancelling = true;
                return Acted::Asked;
            }
            (Action::Cancel, state) if !state.is_terminal() => {
                (entry.state, entry.done) = (State::Cancelled, done);
            }
            (Action::Retry, State::Dead | State::Cancelled) if !key_is_taken => {
                (entry.state, entry.run_at) = (State::Ready, now);
                (entry.attempt, entry.crashes) = (0, 0);
            }
            (Action::Promote, State::Scheduled | State::Retrying) => {
                (entry.state, entry.run_at) = (State::Ready, now);
            }
            (Action::Delete, state) if state.is_terminal() => {
                self.jobs.remove(id);
                self.pruned += 1;
            }
            (_, state) => return Acted::NotIn(state),
        }
        Acted::Done
    }

    fn reap(&mut self) -> (u32, u32) {
        let done = self.next();
        let (mut back, mut poisoned) = (0, 0);
        for job in self.jobs.values_mut().filter(|job| job.held_by.is_some() && job.dies) {
            job.held_by = None;
            job.crashes += 1;
            job.done = done;
            if std::mem::take(&mut job.cancelling) {
                job.state = State::Cancelled;
            } else if job.crashes >= CRASHES_MAX {
                job.state = State::Dead;
                poisoned += 1;
            } else {
                job.state = State::Ready;
                back += 1;
            }
        }
        (back, poisoned)
    }

    /// How many are over the number in each state. Which of those that ended at one instant go is the carrier's
    /// choice, so the caller says which are gone.
    fn over(&self, jobs_max: u64) -> u64 {
        let of = |state| self.jobs.values().filter(|job| job.state == state).count() as u64;
        [State::Completed, State::Dead, State::Cancelled].map(|s| of(s).saturating_sub(jobs_max)).iter().sum()
    }

    fn counts(&self) -> Counts {
        let of = |state| self.jobs.values().filter(|job| job.state == state).count() as u64;
        Counts {
            accepted: self.accepted,
            scheduled: of(State::Scheduled),
            ready: of(State::Ready),
            running: of(State::Running),
            retrying: of(State::Retrying),
            completed: of(State::Completed),
            dead: of(State::Dead),
            cancelled: of(State::Cancelled),
            pruned: self.pruned,
        }
    }
}

async fn walk(c: &Carrier, steps: Vec<Step>) {
    let mut model = Model { orders_by_due_time: c.orders_by_due_time, ..Model::default() };
    for step in steps {
        take_step(c, &mut model, &step).await;
        agree(c, &model, &step).await;
    }
}

async fn take_step(c: &Carrier, model: &mut Model, step: &Step) {
    let now = c.clock.now();
    match step.clone() {
        Step::Enqueue { job: n, later_s, key, priority } => {
            let at = now + Duration::from_secs(later_s);
            let mut new = job(&name(n)).priority(Priority::ALL[priority]).run_at(at);
            new.unique = key.map(|key| Unique { key: format!("k{key}"), window: None });
            let expected = model.enqueue(name(n), at, now, key, Priority::ALL[priority]);
            assert_eq!(c.add(new).await, expected);
        }
        Step::Reserve { jobs_max, dies } => {
            let lease = if dies { Duration::ZERO } else { LONG };
            let reserved = c.ask(Ask { lease, ..ask(jobs_max) }).await;
            model.took(reserved.deliveries, jobs_max, dies);
        }
        Step::Settle { delivery, end } => {
            if model.deliveries.is_empty() {
                return;
            }
            let place = delivery % model.deliveries.len();
            let delivery = model.deliveries[place].clone();
            let expected = model.settle(place, end, now);
            assert_eq!(c.end(&delivery, end_of(end, now)).await, expected);
        }
        Step::Act { action, job } => {
            let expected = model.act(action, &name(job), now);
            assert_eq!(c.store.act(action, vec![id_of(&name(job))]).await.unwrap(), [expected]);
        }
        Step::Advance { secs } => {
            c.clock.advance(Duration::from_secs(secs));
            model.promote_due(c.clock.now());
            // Whatever writes next promotes what is due; a pulse is the least that writes.
            c.store.ping().await.unwrap();
        }
        Step::Reap => {
            pass_a_microsecond(&c.clock);
            let reaped = c.store.reap().await.unwrap();
            assert_eq!((reaped.back_to_ready, reaped.poisoned), model.reap());
        }
        Step::Prune { jobs_max } => prune(c, model, jobs_max).await,
        Step::Pause(paused) => {
            model.paused = paused;
            let pause = Pause { by: "ops".into(), reason: "walk".into(), at: now };
            c.store.pause(QUEUE, paused.then_some(pause)).await.unwrap();
        }
    }
}

async fn prune(c: &Carrier, model: &mut Model, jobs_max: u64) {
    let for_ever = Duration::from_secs(1_000_000_000);
    let retention = Retention { jobs_max, completed_age_max: for_ever, dead_age_max: for_ever };
    let over = model.over(jobs_max);
    assert_eq!(c.store.prune(retention).await.unwrap(), over);
    let terminal: Vec<String> =
        model.jobs.iter().filter(|(_, job)| job.state.is_terminal()).map(|(id, _)| id.clone()).collect();
    for id in terminal {
        if c.state(&id).await.is_none() {
            model.jobs.remove(&id);
            model.pruned += 1;
        }
    }
    assert_eq!(model.over(jobs_max), 0);
}

fn pass_a_microsecond(clock: &Clock) {
    let before = clock.wall();
    while clock.wall() == before {
        std::hint::spin_loop();
    }
}

fn end_of(end: Ending, now: Timestamp) -> End {
    let at = |later_s| now + Duration::from_secs(later_s);
    match end {
        Ending::Completed { follow_up } => End::Completed {
            result: None,
            follow_ups: follow_up.map(|n| job(&name(n))).into_iter().collect(),
        },
        Ending::Retry { later_s } => End::Retry { at: at(later_s), fault: fault("down") },
        Ending::Snoozed { later_s } => End::Snoozed { until: at(later_s), why: "later".into() },
        Ending::Dead => End::Dead { fault: fault("broken") },
        Ending::Cancelled => End::Cancelled { fault: fault("unwanted") },
        Ending::Released => End::Released,
    }
}

async fn agree(c: &Carrier, model: &Model, step: &Step) {
    for n in 0..JOBS {
        let view = c.store.get(&id_of(&name(n))).await.unwrap();
        // When a job that has ended was due says nothing any more.
        let due = |state: State, run_at| (!state.is_terminal()).then_some(run_at);
        let seen =
            view.map(|job| (job.state, job.attempt, job.crashes, job.cancelling, due(job.state, job.run_at)));
        let said = model.jobs.get(&name(n));
        let said =
            said.map(|job| (job.state, job.attempt, job.crashes, job.cancelling, due(job.state, job.run_at)));
        assert_eq!(seen, said, "{} after {step:?}", name(n));
    }
    let counts = c.store.stats().await.unwrap().first().map(|stats| stats.counts).unwrap_or_default();
    assert_eq!(counts, model.counts(), "after {step:?}");
    c.assert_balanced().await;
}

fn walk_at_random<C: Future<Output = Carrier>>(new_carrier: fn() -> C) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: WALKS, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..STEPS_MAX), |steps| {
            runtime.block_on(async { walk(&new_carrier().await, steps).await });
            Ok(())
        })
        .unwrap();
}

#[test]
fn sqlite_and_the_model_agree_after_every_step() {
    walk_at_random(Carrier::sqlite);
}

#[test]
fn redis_and_the_model_agree_after_every_step() {
    walk_at_random(Carrier::redis);
}
