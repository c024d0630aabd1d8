//! How deliveries end, and that only their holder may end them.

use serde_json::json;
use windlass_engine::context::Progress;
use windlass_engine::gate::GateRules;
use windlass_engine::store::{End, Enqueued, FAULTS_MAX, JobNotes, Settled};
use windlass_engine::{State, Token};

use crate::carrier::*;

on_every_store![
    a_completed_job_keeps_its_result,
    a_retried_job_comes_again_with_its_next_attempt,
    a_retry_whose_time_has_come_stands_behind_those_who_waited,
    a_dead_job_keeps_its_fault,
    a_snooze_gives_the_attempt_back,
    a_released_job_gives_the_attempt_back_and_stands_where_it_stood,
    a_cancelled_end_is_final,
    an_end_counts_once,
    no_end_of_an_older_delivery_counts,
    a_made_up_token_ends_nothing,
    follow_ups_come_with_the_completion,
    a_fenced_out_worker_enqueues_nothing,
    follow_ups_pass_a_full_backlog,
    a_follow_up_that_is_there_already_is_there_once,
    answers_come_in_the_order_of_the_settlements,
    the_newest_faults_are_kept,
    the_last_notes_are_kept,
];

async fn a_completed_job_keeps_its_result(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    let end = End::Completed { result: Some(json!({ "sn": 7 })), follow_ups: Vec::new() };
    assert_eq!(c.end(&delivery, end).await, Settled::Done);
    let view = c.view("a").await;
    assert_eq!(
        (view.state, view.result, view.finished_at),
        (State::Completed, Some(json!({ "sn": 7 })), Some(NOON))
    );
}

async fn a_retried_job_comes_again_with_its_next_attempt(c: &Carrier) {
    c.add_all(&["a"]).await;
    let first = c.take_one().await;
    c.end(&first, End::Retry { at: NOON + MINUTE, fault: fault("down") }).await;
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.run_at), (State::Retrying, 1, NOON + MINUTE));
    assert_eq!(view.faults, [fault("down")]);
    assert!(c.take(1).await.is_empty());
    c.clock.advance(MINUTE);
    let second = c.take_one().await;
    assert_eq!((second.attempt, second.crashes), (2, 0));
    assert_ne!(second.token, first.token);
}

async fn a_retry_whose_time_has_come_stands_behind_those_who_waited(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.clock.advance(MINUTE);
    c.add_all(&["b"]).await;
    c.clock.advance(MINUTE);
    c.end(&delivery, End::Retry { at: NOON, fault: fault("down") }).await;
    assert_eq!(ids(&c.take(10).await), ["b", "a"]);
}

async fn a_dead_job_keeps_its_fault(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, End::Dead { fault: fault("no such article") }).await;
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.faults), (State::Dead, 1, vec![fault("no such article")]));
    assert!(c.take(1).await.is_empty());
}

async fn a_snooze_gives_the_attempt_back(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, End::Snoozed { until: NOON + MINUTE, why: "not shipped yet".into() }).await;
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.run_at), (State::Scheduled, 0, NOON + MINUTE));
    assert!(view.faults.is_empty());
    c.clock.advance(MINUTE);
    assert_eq!(c.take_one().await.attempt, 1);
}

async fn a_released_job_gives_the_attempt_back_and_stands_where_it_stood(c: &Carrier) {
    c.add_all(&["a"]).await;
    c.clock.advance(MINUTE);
    c.add_all(&["b"]).await;
    let delivery = c.take_one().await;
    assert_eq!(c.end(&delivery, End::Released).await, Settled::Done);
    assert_eq!((c.state("a").await, c.view("a").await.attempt), (Some(State::Ready), 0));
    let again = c.take(2).await;
    assert_eq!((ids(&again), again[0].attempt, again[0].crashes), (vec!["a", "b"], 1, 0));
}

async fn a_cancelled_end_is_final(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, End::Cancelled { fault: fault("no longer wanted") }).await;
    let view = c.view("a").await;
    assert_eq!((view.state, view.faults), (State::Cancelled, vec![fault("no longer wanted")]));
}

fn every_end() -> Vec<End> {
    vec![
        completed(),
        End::Retry { at: NOON + MINUTE, fault: fault("late") },
        End::Dead { fault: fault("late") },
        End::Snoozed { until: NOON + MINUTE, why: "late".into() },
        End::Cancelled { fault: fault("late") },
        End::Released,
    ]
}

async fn an_end_counts_once(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let taken = c.take(2).await;
    let twice = vec![settlement(&taken[0], completed()), settlement(&taken[0], completed())];
    assert_eq!(c.store.settle(QUEUE, twice).await.unwrap(), [Settled::Done, Settled::FencedOut]);
    for end in every_end() {
        assert_eq!(c.end(&taken[0], end).await, Settled::FencedOut);
    }
    let counts = c.counts().await;
    assert_eq!((counts.completed, counts.running), (1, 1));
}

async fn no_end_of_an_older_delivery_counts(c: &Carrier) {
    c.add_all(&["a"]).await;
    let older = c.take_one().await;
    c.end(&older, End::Released).await;
    let newer = c.take_one().await;
    for end in every_end() {
        assert_eq!(c.end(&older, end).await, Settled::FencedOut);
    }
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.faults.len()), (State::Running, 1, 0));
    assert_eq!(c.end(&newer, completed()).await, Settled::Done);
}

async fn a_made_up_token_ends_nothing(c: &Carrier) {
    c.add_all(&["a"]).await;
    let mut delivery = c.take_one().await;
    delivery.token = Token(delivery.token.0 + 1);
    assert_eq!(c.end(&delivery, completed()).await, Settled::FencedOut);
    delivery.id = id_of("nobody");
    assert_eq!(c.end(&delivery, completed()).await, Settled::FencedOut);
    assert_eq!(c.state("a").await, Some(State::Running));
}

async fn follow_ups_come_with_the_completion(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    let follow_ups = vec![job("b"), job("c").queue("mail").run_at(NOON + MINUTE)];
    c.end(&delivery, End::Completed { result: None, follow_ups }).await;
    assert_eq!((c.state("b").await, c.state("c").await), (Some(State::Ready), Some(State::Scheduled)));
}

async fn a_fenced_out_worker_enqueues_nothing(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, completed()).await;
    let end = End::Completed { result: Some(json!("late")), follow_ups: vec![job("b")] };
    assert_eq!(c.end(&delivery, end).await, Settled::FencedOut);
    assert_eq!((c.state("b").await, c.view("a").await.result), (None, None));
    assert_eq!(c.counts().await.accepted, 1);
}

async fn follow_ups_pass_a_full_backlog(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    c.store.set_gate(QUEUE, GateRules { backlog_max: Some(1), ..GateRules::default() }).await.unwrap();
    let delivery = c.take_one().await;
    assert_eq!(c.add(job("d")).await, Enqueued::Full);
    c.end(&delivery, End::Completed { result: None, follow_ups: vec![job("c")] }).await;
    assert_eq!(c.state("c").await, Some(State::Ready));
}

async fn a_follow_up_that_is_there_already_is_there_once(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, End::Completed { result: None, follow_ups: vec![job("b"), job("b")] }).await;
    assert_eq!(c.counts().await.accepted, 2);
}

async fn answers_come_in_the_order_of_the_settlements(c: &Carrier) {
    c.add_all(&["a", "b", "c"]).await;
    let taken = c.take(3).await;
    c.end(&taken[1], completed()).await;
    let all = taken.iter().map(|delivery| settlement(delivery, completed())).collect();
    let answers = c.store.settle(QUEUE, all).await.unwrap();
    assert_eq!(answers, [Settled::Done, Settled::FencedOut, Settled::Done]);
}

async fn the_newest_faults_are_kept(c: &Carrier) {
    c.add_all(&["a"]).await;
    for n in 0..FAULTS_MAX + 2 {
        let delivery = c.take_one().await;
        c.end(&delivery, End::Retry { at: NOON, fault: fault(&format!("fault {n}")) }).await;
    }
    let faults = c.view("a").await.faults;
    assert_eq!((faults.len(), faults[0].message.as_str()), (FAULTS_MAX, "fault 2"));
    assert_eq!(faults[FAULTS_MAX - 1].message, format!("fault {}", FAULTS_MAX + 1));
}

async fn the_last_notes_are_kept(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    let notes = JobNotes {
        progress: Some(Progress { done: 3, total: 3, note: "rows".into() }),
        log: vec!["read the bill".into()],
    };
    let mut settlement = settlement(&delivery, completed());
    settlement.notes = Some(notes.clone());
    c.settle(settlement).await;
    assert_eq!(c.view("a").await.notes, notes);
}
