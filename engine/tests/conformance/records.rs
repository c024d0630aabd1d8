//! The books, the events, the cursors, the workers; and what is forgotten.

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::State;
use windlass_engine::gate::GateRules;
use windlass_engine::store::{End, Retention, WorkerBeat};

use crate::carrier::*;

on_every_store![
    an_empty_carrier_answers_everything,
    the_counters_follow_every_step,
    the_stats_are_sorted_and_name_queues_that_only_have_a_gate,
    the_oldest_ready_job_is_told_over_all_priorities,
    events_tell_the_states_in_their_order,
    events_begin_after_the_number_that_was_seen,
    many_jobs_at_once_are_told_by_their_number,
    a_cursor_moves_only_from_where_it_stands,
    of_two_schedulers_one_moves_the_cursor,
    workers_are_those_who_beat_lately,
    completed_jobs_are_forgotten_by_age,
    dead_and_cancelled_jobs_are_kept_longer,
    the_oldest_beyond_the_number_are_forgotten,
    pruning_leaves_live_jobs_alone,
    a_pruned_id_can_be_used_again,
    states_are_told_in_the_order_of_the_ids,
];

const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

fn keep() -> Retention {
    Retention { jobs_max: u64::MAX, completed_age_max: FOR_EVER, dead_age_max: FOR_EVER }
}

/// Adds a job of each id and completes them in this order, a minute apart.
async fn complete(c: &Carrier, ids: &[&str]) {
    c.add_all(ids).await;
    for delivery in c.take(ids.len() as u32).await {
        c.end(&delivery, completed()).await;
        c.clock.advance(MINUTE);
    }
}

async fn an_empty_carrier_answers_everything(c: &Carrier) {
    c.store.ping().await.unwrap();
    assert!(!c.store.name().is_empty());
    assert!(c.store.enqueue(Vec::new()).await.unwrap().is_empty());
    assert!(c.store.settle(QUEUE, Vec::new()).await.unwrap().is_empty());
    assert!(c.store.renew(QUEUE, Vec::new(), LONG).await.unwrap().lost.is_empty());
    assert!(c.store.stats().await.unwrap().is_empty());
    assert!(c.store.audit().await.unwrap().is_empty());
    assert!(c.store.events(0, 10).await.unwrap().is_empty());
    assert!(c.store.get(&id_of("nobody")).await.unwrap().is_none());
    assert_eq!(c.store.cursor("nightly").await.unwrap(), None);
    assert_eq!(c.store.prune(keep()).await.unwrap(), 0);
    assert_eq!(c.store.reap().await.unwrap().back_to_ready, 0);
}

async fn the_counters_follow_every_step(c: &Carrier) {
    c.add_all(&["a", "b", "c", "d"]).await;
    c.add(job("e").run_at(NOON + MINUTE)).await;
    let taken = c.take(3).await;
    c.end(&taken[0], completed()).await;
    c.end(&taken[1], End::Retry { at: NOON + MINUTE, fault: fault("down") }).await;
    let counts = c.counts().await;
    let all: Vec<u64> = State::ALL.iter().map(|state| counts.of(*state)).collect();
    assert_eq!(all, [1, 1, 1, 1, 1, 0, 0]);
    assert_eq!((counts.accepted, counts.sum(), counts.live()), (5, 5, 4));
}

async fn the_stats_are_sorted_and_name_queues_that_only_have_a_gate(c: &Carrier) {
    c.add(job("a").queue("zebra")).await;
    c.add(job("b").queue("alpha")).await;
    let rules = GateRules { concurrency_max: Some(3), ..GateRules::default() };
    c.store.set_gate("mail", rules.clone()).await.unwrap();
    let stats = c.store.stats().await.unwrap();
    let names: Vec<&str> = stats.iter().map(|stats| stats.queue.as_str()).collect();
    assert_eq!(names, ["alpha", "mail", "zebra"]);
    assert_eq!((stats[1].gate.rules.clone(), stats[1].counts.accepted), (rules, 0));
}

async fn the_oldest_ready_job_is_told_over_all_priorities(c: &Carrier) {
    c.add(job("old").priority(windlass_engine::Priority::Low)).await;
    c.clock.advance(MINUTE);
    c.add(job("new").priority(windlass_engine::Priority::Critical)).await;
    assert_eq!(c.stats().await.oldest_ready_at, Some(NOON));
    c.take(2).await;
    assert_eq!(c.stats().await.oldest_ready_at, None);
}

async fn events_tell_the_states_in_their_order(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, completed()).await;
    let events = c.store.events(0, 10).await.unwrap();
    let states: Vec<State> = events.iter().map(|event| event.state).collect();
    assert_eq!(states, [State::Ready, State::Running, State::Completed]);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    for event in &events {
        assert_eq!((event.queue.as_str(), event.at, event.count), (QUEUE, NOON, 1));
    }
    assert_eq!(events[2].ids, [id_of("a")]);
}

async fn events_begin_after_the_number_that_was_seen(c: &Carrier) {
    c.add_all(&["a"]).await;
    c.add_all(&["b"]).await;
    let all = c.store.events(0, 10).await.unwrap();
    assert_eq!(c.store.events(0, 1).await.unwrap()[0].seq, all[0].seq);
    let rest = c.store.events(all[0].seq, 10).await.unwrap();
    assert_eq!(rest.iter().map(|event| event.seq).collect::<Vec<_>>(), [all[1].seq]);
    assert!(c.store.events(all[1].seq, 10).await.unwrap().is_empty());
}

async fn many_jobs_at_once_are_told_by_their_number(c: &Carrier) {
    c.store.enqueue((0..1_000).map(|n| job(&format!("j{n}"))).collect()).await.unwrap();
    let told: u32 = c.store.events(0, 100).await.unwrap().iter().map(|event| event.count).sum();
    assert_eq!(told, 1_000);
}

async fn a_cursor_moves_only_from_where_it_stands(c: &Carrier) {
    let (first, second) = (NOON, NOON + MINUTE);
    assert!(c.store.move_cursor("nightly", None, first).await.unwrap());
    assert!(!c.store.move_cursor("nightly", None, second).await.unwrap());
    assert!(!c.store.move_cursor("nightly", Some(second), second).await.unwrap());
    assert_eq!(c.store.cursor("nightly").await.unwrap(), Some(first));
    assert!(c.store.move_cursor("nightly", Some(first), second).await.unwrap());
    assert_eq!(c.store.cursor("nightly").await.unwrap(), Some(second));
    assert_eq!(c.store.cursor("hourly").await.unwrap(), None);
}

async fn of_two_schedulers_one_moves_the_cursor(c: &Carrier) {
    let schedulers: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&c.store);
            tokio::spawn(async move { store.move_cursor("nightly", None, NOON).await.unwrap() })
        })
        .collect();
    let mut moved = 0;
    for scheduler in schedulers {
        moved += u32::from(scheduler.await.unwrap());
    }
    assert_eq!(moved, 1);
}

async fn workers_are_those_who_beat_lately(c: &Carrier) {
    let beat = |name: &str, running| WorkerBeat {
        name: name.into(),
        host: "h".into(),
        version: "0.1.0".into(),
        started_at: NOON,
        queues: vec![QUEUE.into()],
        slots: 4,
        running,
    };
    c.store.beat(beat("w2", 0)).await.unwrap();
    c.store.beat(beat("w1", 0)).await.unwrap();
    c.store.beat(beat("w1", 3)).await.unwrap();
    let workers = c.store.workers(LONG).await.unwrap();
    assert_eq!(workers, [beat("w1", 3), beat("w2", 0)]);
    eventually("they fell silent", || async {
        c.store.workers(Duration::from_micros(1)).await.unwrap().is_empty()
    })
    .await;
}

async fn completed_jobs_are_forgotten_by_age(c: &Carrier) {
    complete(c, &["a", "b", "c"]).await;
    let retention = Retention { completed_age_max: MINUTE, ..keep() };
    assert_eq!(c.store.prune(retention).await.unwrap(), 2);
    assert_eq!((c.state("b").await, c.state("c").await), (None, Some(State::Completed)));
    let counts = c.counts().await;
    assert_eq!((counts.completed, counts.pruned, counts.accepted), (1, 2, 3));
}

async fn dead_and_cancelled_jobs_are_kept_longer(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let taken = c.take(2).await;
    c.end(&taken[0], End::Dead { fault: fault("broken") }).await;
    c.end(&taken[1], End::Cancelled { fault: fault("unwanted") }).await;
    c.clock.advance(MINUTE * 2);
    let retention = Retention { completed_age_max: MINUTE, dead_age_max: MINUTE * 2, ..keep() };
    assert_eq!(c.store.prune(retention).await.unwrap(), 0);
    c.clock.advance(Duration::from_secs(1));
    assert_eq!(c.store.prune(retention).await.unwrap(), 2);
}

async fn the_oldest_beyond_the_number_are_forgotten(c: &Carrier) {
    complete(c, &["a", "b", "c"]).await;
    c.add(job("mail").queue("mail")).await;
    assert_eq!(c.store.prune(Retention { jobs_max: 1, ..keep() }).await.unwrap(), 2);
    assert_eq!((c.state("b").await, c.state("c").await), (None, Some(State::Completed)));

    c.store.enqueue((0..2_500).map(|n| job(&format!("j{n}"))).collect()).await.unwrap();
    for _ in 0..5 {
        let taken = c.take(500).await;
        let ends = taken.iter().map(|delivery| settlement(delivery, completed())).collect();
        c.store.settle(QUEUE, ends).await.unwrap();
    }
    assert_eq!(c.store.prune(Retention { jobs_max: 1, ..keep() }).await.unwrap(), 2_500);
}

async fn pruning_leaves_live_jobs_alone(c: &Carrier) {
    c.add_all(&["a", "b", "c"]).await;
    c.add(job("d").run_at(NOON + MINUTE * 90)).await;
    let taken = c.take(2).await;
    c.end(&taken[0], End::Retry { at: NOON + MINUTE * 90, fault: fault("down") }).await;
    c.clock.advance(MINUTE * 60);
    let nothing = Retention { jobs_max: 0, completed_age_max: MINUTE, dead_age_max: MINUTE };
    assert_eq!(c.store.prune(nothing).await.unwrap(), 0);
    assert_eq!(c.counts().await.live(), 4);
}

async fn a_pruned_id_can_be_used_again(c: &Carrier) {
    complete(c, &["a"]).await;
    c.store.prune(Retention { jobs_max: 0, ..keep() }).await.unwrap();
    c.add_all(&["a"]).await;
    assert_eq!(c.take_one().await.attempt, 1);
}

async fn states_are_told_in_the_order_of_the_ids(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    c.take_one().await;
    let states = c.store.states(vec![id_of("b"), id_of("nobody"), id_of("a")]).await.unwrap();
    assert_eq!(states, [Some(State::Ready), None, Some(State::Running)]);
}
