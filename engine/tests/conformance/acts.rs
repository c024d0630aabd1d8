//! What an operator does to a job, in every state.

use windlass_engine::store::{Acted, Action, Delivery, End, FaultCause, Settled};
use windlass_engine::{State, Unique};

use crate::carrier::*;

on_every_store![
    a_waiting_job_is_cancelled_at_once,
    a_running_job_is_asked_to_stop_and_says_so_itself,
    a_job_that_completes_though_asked_to_stop_is_completed,
    no_end_brings_back_a_job_that_was_asked_to_stop,
    a_finished_job_cannot_be_cancelled,
    a_dead_job_is_retried_from_its_first_attempt,
    a_cancelled_job_can_be_retried,
    a_retry_by_hand_outlives_the_deadline,
    a_retry_by_hand_does_not_break_a_unique_key,
    only_dead_and_cancelled_jobs_are_retried,
    a_scheduled_and_a_retrying_job_are_promoted,
    a_promoted_job_stands_behind_those_who_wait,
    only_jobs_for_later_are_promoted,
    a_finished_job_is_deleted_and_counted_as_pruned,
    a_live_job_is_not_deleted,
    a_deleted_id_can_be_used_again_and_old_tokens_cannot,
    answers_come_in_the_order_of_the_ids,
];

async fn act(c: &Carrier, action: Action, id: &str) -> Acted {
    c.store.act(action, vec![id_of(id)]).await.unwrap()[0]
}

/// Adds a job and brings it into the state.
async fn in_state(c: &Carrier, id: &str, state: State) -> Option<Delivery> {
    if state == State::Scheduled {
        c.add(job(id).run_at(c.clock.now() + MINUTE)).await;
        return None;
    }
    c.add_all(&[id]).await;
    if state == State::Ready {
        return None;
    }
    let delivery = c.take_one().await;
    let end = match state {
        State::Retrying => End::Retry { at: c.clock.now() + MINUTE, fault: fault("down") },
        State::Completed => completed(),
        State::Dead => End::Dead { fault: fault("broken") },
        State::Cancelled => End::Cancelled { fault: fault("unwanted") },
        _ => return Some(delivery),
    };
    c.end(&delivery, end).await;
    Some(delivery)
}

const TERMINAL: [State; 3] = [State::Completed, State::Dead, State::Cancelled];

/// Does the action to a job of each state; all of them answer that it does not apply.
async fn assert_refused(c: &Carrier, action: Action, states: &[State]) {
    for state in states {
        let id = format!("refused-{}", state.as_str());
        in_state(c, &id, *state).await;
        assert_eq!(act(c, action, &id).await, Acted::NotIn(*state));
        assert_eq!(c.state(&id).await, Some(*state));
    }
}

async fn a_waiting_job_is_cancelled_at_once(c: &Carrier) {
    for state in [State::Scheduled, State::Retrying, State::Ready] {
        let id = state.as_str();
        in_state(c, id, state).await;
        assert_eq!(act(c, Action::Cancel, id).await, Acted::Done);
        let view = c.view(id).await;
        assert_eq!((view.state, view.finished_at), (State::Cancelled, Some(NOON)));
        assert_eq!(view.faults.last().unwrap().cause, FaultCause::Cancelled);
    }
    c.clock.advance(MINUTE * 2);
    assert!(c.take(10).await.is_empty());
}

async fn a_running_job_is_asked_to_stop_and_says_so_itself(c: &Carrier) {
    let delivery = in_state(c, "a", State::Running).await.unwrap();
    assert_eq!(act(c, Action::Cancel, "a").await, Acted::Asked);
    let view = c.view("a").await;
    assert!(view.state == State::Running && view.cancelling);
    assert_eq!(c.end(&delivery, End::Cancelled { fault: fault("stopped") }).await, Settled::Done);
    let view = c.view("a").await;
    assert!(view.state == State::Cancelled && !view.cancelling);
}

async fn a_job_that_completes_though_asked_to_stop_is_completed(c: &Carrier) {
    let delivery = in_state(c, "a", State::Running).await.unwrap();
    act(c, Action::Cancel, "a").await;
    c.end(&delivery, completed()).await;
    let view = c.view("a").await;
    assert!(view.state == State::Completed && !view.cancelling);
}

async fn no_end_brings_back_a_job_that_was_asked_to_stop(c: &Carrier) {
    let ends = [
        End::Retry { at: NOON, fault: fault("down") },
        End::Snoozed { until: NOON, why: "later".into() },
        End::Released,
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let id = format!("j{n}");
        let delivery = in_state(c, &id, State::Running).await.unwrap();
        act(c, Action::Cancel, &id).await;
        assert_eq!(c.end(&delivery, end).await, Settled::Done);
        let view = c.view(&id).await;
        assert_eq!((view.state, view.cancelling), (State::Cancelled, false));
        assert_eq!(view.faults.last().unwrap().cause, FaultCause::Cancelled);
    }
}

async fn a_finished_job_cannot_be_cancelled(c: &Carrier) {
    assert_refused(c, Action::Cancel, &TERMINAL).await;
    assert_eq!(act(c, Action::Cancel, "nobody").await, Acted::Missing);
}

async fn a_dead_job_is_retried_from_its_first_attempt(c: &Carrier) {
    in_state(c, "a", State::Dead).await;
    c.clock.advance(MINUTE);
    assert_eq!(act(c, Action::Retry, "a").await, Acted::Done);
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.run_at), (State::Ready, 0, NOON + MINUTE));
    assert_eq!((view.finished_at, view.faults), (None, vec![fault("broken")]));
    let counts = c.counts().await;
    assert_eq!((counts.dead, counts.ready, counts.accepted), (0, 1, 1));
    assert_eq!(c.take_one().await.attempt, 1);
}

async fn a_cancelled_job_can_be_retried(c: &Carrier) {
    in_state(c, "a", State::Cancelled).await;
    assert_eq!(act(c, Action::Retry, "a").await, Acted::Done);
    assert_eq!(ids(&c.take(1).await), ["a"]);
}

async fn a_retry_by_hand_outlives_the_deadline(c: &Carrier) {
    let mut late = job("a");
    late.deadline_at = Some(NOON + MINUTE);
    c.add(late).await;
    c.clock.advance(MINUTE * 2);
    assert!(c.take(1).await.is_empty());
    assert_eq!(act(c, Action::Retry, "a").await, Acted::Done);
    assert_eq!(ids(&c.take(1).await), ["a"]);
}

async fn a_retry_by_hand_does_not_break_a_unique_key(c: &Carrier) {
    let unique = |id: &str| {
        let mut job = job(id);
        job.unique = Some(Unique { key: "k".into(), window: None });
        job
    };
    c.add(unique("a")).await;
    act(c, Action::Cancel, "a").await;
    c.add(unique("b")).await;
    assert_eq!(act(c, Action::Retry, "a").await, Acted::NotIn(State::Cancelled));
    act(c, Action::Cancel, "b").await;
    assert_eq!(act(c, Action::Retry, "a").await, Acted::Done);
}

async fn only_dead_and_cancelled_jobs_are_retried(c: &Carrier) {
    let others = [State::Scheduled, State::Running, State::Retrying, State::Completed, State::Ready];
    assert_refused(c, Action::Retry, &others).await;
    assert_eq!(act(c, Action::Retry, "nobody").await, Acted::Missing);
}

async fn a_scheduled_and_a_retrying_job_are_promoted(c: &Carrier) {
    for state in [State::Scheduled, State::Retrying] {
        in_state(c, state.as_str(), state).await;
        assert_eq!(act(c, Action::Promote, state.as_str()).await, Acted::Done);
        let delivery = c.take_one().await;
        assert_eq!((delivery.id.as_str(), delivery.due_at), (state.as_str(), NOON));
    }
}

async fn a_promoted_job_stands_behind_those_who_wait(c: &Carrier) {
    in_state(c, "later", State::Scheduled).await;
    c.add_all(&["now"]).await;
    c.clock.advance(MINUTE / 2);
    act(c, Action::Promote, "later").await;
    assert_eq!(ids(&c.take(2).await), ["now", "later"]);
}

async fn only_jobs_for_later_are_promoted(c: &Carrier) {
    let others = [State::Running, State::Completed, State::Dead, State::Cancelled, State::Ready];
    assert_refused(c, Action::Promote, &others).await;
}

async fn a_finished_job_is_deleted_and_counted_as_pruned(c: &Carrier) {
    for state in TERMINAL {
        in_state(c, state.as_str(), state).await;
        assert_eq!(act(c, Action::Delete, state.as_str()).await, Acted::Done);
        assert_eq!(c.state(state.as_str()).await, None);
        assert!(c.store.get(&id_of(state.as_str())).await.unwrap().is_none());
    }
    let counts = c.counts().await;
    assert_eq!((counts.accepted, counts.pruned, counts.sum()), (3, 3, 3));
}

async fn a_live_job_is_not_deleted(c: &Carrier) {
    let live = [State::Scheduled, State::Running, State::Retrying, State::Ready];
    assert_refused(c, Action::Delete, &live).await;
}

async fn a_deleted_id_can_be_used_again_and_old_tokens_cannot(c: &Carrier) {
    let old = in_state(c, "a", State::Completed).await.unwrap();
    act(c, Action::Delete, "a").await;
    c.add_all(&["a"]).await;
    assert_eq!(c.end(&old, completed()).await, Settled::FencedOut);
    c.take_one().await;
    assert_eq!(c.end(&old, completed()).await, Settled::FencedOut, "while another runs under its id");
    assert_eq!(c.state("a").await, Some(State::Running));
}

async fn answers_come_in_the_order_of_the_ids(c: &Carrier) {
    in_state(c, "done", State::Completed).await;
    c.add_all(&["a"]).await;
    let ids = vec![id_of("a"), id_of("nobody"), id_of("done")];
    let answers = c.store.act(Action::Cancel, ids).await.unwrap();
    assert_eq!(answers, [Acted::Done, Acted::Missing, Acted::NotIn(State::Completed)]);
}
