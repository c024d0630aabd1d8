//! Accepting jobs: once by id, once by key, no more than the backlog bears.

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::gate::GateRules;
use windlass_engine::store::{Action, End, Enqueued};
use windlass_engine::{State, Unique};

use crate::carrier::*;

on_every_store![
    a_new_job_is_ready_and_reads_back_whole,
    a_job_for_later_is_scheduled,
    enqueueing_twice_under_one_id_is_enqueueing_once,
    an_id_named_twice_in_one_batch_is_stored_once,
    a_finished_job_still_holds_its_id,
    a_repeat_is_told_the_fingerprint_of_the_first,
    a_unique_key_is_held_while_its_job_is_live,
    a_unique_key_named_twice_in_one_batch_is_stored_once,
    a_unique_key_is_of_one_kind,
    of_two_callers_at_once_one_gets_the_key,
    a_windowed_key_is_held_after_its_job_is_done_until_the_window_ends,
    a_plain_key_and_a_windowed_key_are_one_key,
    a_full_queue_refuses_new_jobs_and_still_knows_the_old,
    jobs_that_run_do_not_fill_the_backlog,
    a_uuid_and_a_chosen_id_read_back_as_they_were,
];

fn unique(id: &str, key: &str, window: Option<Duration>) -> windlass_engine::NewJob {
    let mut job = job(id);
    job.unique = Some(Unique { key: key.into(), window });
    job
}

fn duplicate(of: &str) -> Enqueued {
    Enqueued::Duplicate { of: id_of(of) }
}

fn exists(state: State) -> Enqueued {
    Enqueued::Exists { state, fingerprint: None }
}

async fn a_new_job_is_ready_and_reads_back_whole(c: &Carrier) {
    let mut new = unique("a", "key-1", None).tag("order:1001");
    new.deadline_at = Some(NOON + MINUTE);
    assert_eq!(c.add(new.clone()).await, Enqueued::New);

    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.crashes), (State::Ready, 0, 0));
    assert_eq!((view.run_at, view.created_at, view.finished_at), (NOON, NOON, None));
    assert_eq!((view.deadline_at, view.unique_key.as_deref()), (new.deadline_at, Some("key-1")));
    assert_eq!((view.queue.as_str(), view.priority), (QUEUE, new.priority));
    assert_eq!(view.envelope.to_json(), new.envelope.to_json());
    assert!(view.result.is_none() && view.faults.is_empty() && view.worker.is_none() && !view.cancelling);
}

async fn a_job_for_later_is_scheduled(c: &Carrier) {
    c.add(job("later").run_at(NOON + MINUTE)).await;
    c.add(job("past").run_at(NOON - MINUTE)).await;
    assert_eq!(c.state("later").await, Some(State::Scheduled));
    assert_eq!(c.state("past").await, Some(State::Ready));
    assert_eq!(c.view("later").await.run_at, NOON + MINUTE);
}

async fn enqueueing_twice_under_one_id_is_enqueueing_once(c: &Carrier) {
    assert_eq!(c.add(job("a")).await, Enqueued::New);
    assert_eq!(c.add(job("a")).await, exists(State::Ready));
    assert_eq!(c.counts().await.accepted, 1);
}

async fn an_id_named_twice_in_one_batch_is_stored_once(c: &Carrier) {
    let answers = c.store.enqueue(vec![job("a"), job("b"), job("a")]).await.unwrap();
    assert_eq!(answers, [Enqueued::New, Enqueued::New, exists(State::Ready)]);
    assert_eq!(c.take(10).await.len(), 2);
}

async fn a_finished_job_still_holds_its_id(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    c.end(&delivery, completed()).await;
    assert_eq!(c.add(job("a")).await, exists(State::Completed));
    assert!(c.take(1).await.is_empty());
}

async fn a_repeat_is_told_the_fingerprint_of_the_first(c: &Carrier) {
    let mut first = job("a");
    first.envelope.fingerprint = Some("f1".into());
    c.add(first).await;
    let mut second = job("a");
    second.envelope.fingerprint = Some("f2".into());
    let answer = Enqueued::Exists { state: State::Ready, fingerprint: Some("f1".into()) };
    assert_eq!(c.add(second).await, answer);
}

async fn a_unique_key_is_held_while_its_job_is_live(c: &Carrier) {
    assert_eq!(c.add(unique("a", "k", None)).await, Enqueued::New);
    assert_eq!(c.add(unique("b", "k", None)).await, duplicate("a"));
    let delivery = c.take_one().await;
    assert_eq!(c.add(unique("b", "k", None)).await, duplicate("a"));
    c.end(&delivery, End::Retry { at: NOON + MINUTE, fault: fault("down") }).await;
    assert_eq!(c.add(unique("b", "k", None)).await, duplicate("a"));

    c.store.act(Action::Cancel, vec![id_of("a")]).await.unwrap();
    assert_eq!(c.add(unique("b", "k", None)).await, Enqueued::New);
    let delivery = c.take_one().await;
    c.end(&delivery, completed()).await;
    assert_eq!(c.add(unique("c", "k", None)).await, Enqueued::New);
    let delivery = c.take_one().await;
    c.end(&delivery, End::Dead { fault: fault("broken") }).await;
    assert_eq!(c.add(unique("d", "k", None)).await, Enqueued::New);
}

async fn a_unique_key_named_twice_in_one_batch_is_stored_once(c: &Carrier) {
    let answers = c.store.enqueue(vec![unique("a", "k", None), unique("b", "k", None)]).await.unwrap();
    assert_eq!(answers, [Enqueued::New, duplicate("a")]);
}

async fn a_unique_key_is_of_one_kind(c: &Carrier) {
    c.add(unique("a", "k", None)).await;
    let mut other = unique("b", "k", None);
    other.envelope.kind = "other_toy".into();
    assert_eq!(c.add(other).await, Enqueued::New);
}

async fn of_two_callers_at_once_one_gets_the_key(c: &Carrier) {
    let callers: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&c.store);
            tokio::spawn(async move { store.enqueue(vec![unique(&format!("j{n}"), "k", None)]).await })
        })
        .collect();
    let mut stored = 0;
    for caller in callers {
        match &caller.await.unwrap().unwrap()[0] {
            Enqueued::New => stored += 1,
            answer => assert!(matches!(answer, Enqueued::Duplicate { .. }), "{answer:?}"),
        }
    }
    assert_eq!(stored, 1);
}

async fn a_windowed_key_is_held_after_its_job_is_done_until_the_window_ends(c: &Carrier) {
    let window = Some(MINUTE);
    assert_eq!(c.add(unique("a", "k", window)).await, Enqueued::New);
    let delivery = c.take_one().await;
    c.end(&delivery, completed()).await;
    c.clock.advance(Duration::from_secs(59));
    assert_eq!(c.add(unique("b", "k", window)).await, duplicate("a"));
    assert_eq!(c.add(unique("a", "k", window)).await, exists(State::Completed));
    c.clock.advance(Duration::from_secs(1));
    assert_eq!(c.add(unique("b", "k", window)).await, Enqueued::New);
    assert_eq!(c.view("b").await.unique_key.as_deref(), Some("k"));
    assert_eq!(c.add(unique("c", "k", window)).await, duplicate("b"));
}

async fn a_plain_key_and_a_windowed_key_are_one_key(c: &Carrier) {
    c.add(unique("plain", "k1", None)).await;
    assert_eq!(c.add(unique("b", "k1", Some(MINUTE))).await, duplicate("plain"));
    c.add(unique("windowed", "k2", Some(MINUTE))).await;
    assert_eq!(c.add(unique("b", "k2", None)).await, duplicate("windowed"));
}

async fn a_full_queue_refuses_new_jobs_and_still_knows_the_old(c: &Carrier) {
    let rules = GateRules { backlog_max: Some(2), ..GateRules::default() };
    c.store.set_gate(QUEUE, rules).await.unwrap();
    let jobs = vec![unique("a", "k", None), job("b").run_at(NOON + MINUTE), job("c")];
    let answers = c.store.enqueue(jobs).await.unwrap();
    assert_eq!(answers, [Enqueued::New, Enqueued::New, Enqueued::Full]);
    assert_eq!(c.add(job("a")).await, exists(State::Ready));
    assert_eq!(c.add(unique("d", "k", None)).await, duplicate("a"));
    assert_eq!(c.add(job("e").queue("mail")).await, Enqueued::New);
    assert_eq!(c.state("c").await, None);
    assert_eq!(c.counts().await.accepted, 2);
}

async fn jobs_that_run_do_not_fill_the_backlog(c: &Carrier) {
    let rules = GateRules { backlog_max: Some(1), ..GateRules::default() };
    c.store.set_gate(QUEUE, rules).await.unwrap();
    c.add_all(&["a"]).await;
    c.take_one().await;
    assert_eq!(c.add(job("b")).await, Enqueued::New);
}

async fn a_uuid_and_a_chosen_id_read_back_as_they_were(c: &Carrier) {
    let uuid = "0191d3a4-2f6b-7c3e-8d51-0a1b2c3d4e5f";
    let upper = uuid.to_uppercase();
    let like_bytes = "sixteen-bytes-id";
    c.add_all(&[uuid, &upper, like_bytes, "SO-1001/a:b"]).await;
    assert_eq!(ids(&c.take(10).await), [uuid, &upper, like_bytes, "SO-1001/a:b"]);
    for id in [uuid, &upper, like_bytes] {
        assert_eq!(c.view(id).await.id.as_str(), id);
    }
}
