//! Every bound has a name, and who exceeds it is told the name.

use serde_json::value::to_raw_value;
use windlass_engine::StoreError;
use windlass_engine::store::{
    Action, Ask, ENQUEUE_ITEMS_MAX, ENVELOPE_BYTES_MAX, End, Filter, LIST_ROWS_MAX, RESERVE_JOBS_MAX,
};

use crate::carrier::*;

on_every_store![
    a_batch_has_a_bound,
    an_envelope_has_a_bound_and_one_over_it_stores_nothing,
    an_ask_has_bounds,
    a_page_has_bounds,
    a_made_up_cursor_is_refused,
    acting_and_asking_for_states_have_a_bound,
    an_over_long_follow_up_is_refused_and_the_job_still_runs,
];

fn assert_names<T: std::fmt::Debug>(bound: &str, answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Invalid(message)) => assert!(message.contains(bound), "{message}"),
        other => panic!("expected a refusal that names {bound}, got {other:?}"),
    }
}

fn huge(id: &str) -> windlass_engine::NewJob {
    let mut job = job(id);
    job.envelope.payload = to_raw_value(&"x".repeat(ENVELOPE_BYTES_MAX)).unwrap();
    job
}

async fn a_batch_has_a_bound(c: &Carrier) {
    let jobs = (0..=ENQUEUE_ITEMS_MAX).map(|n| job(&format!("j{n}"))).collect();
    assert_names("ENQUEUE_ITEMS_MAX", c.store.enqueue(jobs).await);
}

async fn an_envelope_has_a_bound_and_one_over_it_stores_nothing(c: &Carrier) {
    assert_names("ENVELOPE_BYTES_MAX", c.store.enqueue(vec![job("a"), huge("b")]).await);
    assert_eq!(c.state("a").await, None);
}

async fn an_ask_has_bounds(c: &Carrier) {
    for jobs_max in [0, RESERVE_JOBS_MAX + 1] {
        assert_names("RESERVE_JOBS_MAX", c.store.reserve(Ask { jobs_max, ..ask(1) }).await);
    }
}

async fn a_page_has_bounds(c: &Carrier) {
    for limit in [0, LIST_ROWS_MAX + 1] {
        assert_names("LIST_ROWS_MAX", c.store.list(Filter { limit, ..Filter::default() }).await);
    }
}

async fn a_made_up_cursor_is_refused(c: &Carrier) {
    c.add_all(&["a"]).await;
    let cursor = Some("yesterday".into());
    assert_names("cursor", c.store.list(Filter { limit: 1, cursor, ..Filter::default() }).await);
}

async fn acting_and_asking_for_states_have_a_bound(c: &Carrier) {
    let ids: Vec<_> = (0..=ENQUEUE_ITEMS_MAX).map(|n| id_of(&format!("j{n}"))).collect();
    assert_names("ENQUEUE_ITEMS_MAX", c.store.act(Action::Cancel, ids.clone()).await);
    assert_names("ENQUEUE_ITEMS_MAX", c.store.states(ids).await);
}

async fn an_over_long_follow_up_is_refused_and_the_job_still_runs(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    let end = End::Completed { result: None, follow_ups: vec![huge("b")] };
    assert_names("ENVELOPE_BYTES_MAX", c.store.settle(QUEUE, vec![settlement(&delivery, end)]).await);
    assert_eq!(c.state("a").await, Some(windlass_engine::State::Running));
    c.end(&delivery, completed()).await;
}
