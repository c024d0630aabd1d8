//! Handing out: order, shares, due times, waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_engine::store::{Ask, End, FaultCause};
use windlass_engine::{NewJob, Priority, State};

use crate::carrier::*;

on_every_store![
    jobs_of_one_priority_start_in_the_order_they_came,
    a_delivery_carries_what_was_stored,
    a_large_ask_tells_of_each_job_what_was_stored_and_the_attempts_it_has_used,
    an_ask_takes_no_more_than_it_wants,
    an_ask_of_an_unknown_queue_gets_nothing,
    twenty_jobs_taken_one_by_one_are_shared_ten_five_three_two,
    many_jobs_taken_at_once_are_shared_ten_five_three_two,
    what_a_priority_leaves_goes_to_the_highest_that_has_jobs,
    jobs_come_due_in_the_order_of_their_times,
    a_job_is_not_handed_out_before_it_is_due,
    a_waiting_ask_is_woken_by_an_enqueue,
    a_waiting_ask_is_woken_by_a_due_time,
    a_due_job_becomes_ready_though_nobody_asks,
    a_waiting_ask_gives_up_when_its_time_is_over,
    a_job_goes_to_one_of_many_that_wait,
    jobs_handed_to_somebody_who_has_gone_are_ready_again,
    a_job_past_its_deadline_dies_expired_without_an_attempt,
    a_job_that_started_is_retried_past_its_deadline,
    more_jobs_than_one_slice_come_due_at_once,
];

fn of(priority: Priority, n: usize) -> Vec<NewJob> {
    (0..n).map(|n| job(&format!("{}-{n}", priority.as_str())).priority(priority)).collect()
}

fn waiting(wait: Duration) -> Ask {
    Ask { wait, ..ask(10) }
}

async fn jobs_of_one_priority_start_in_the_order_they_came(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    c.add_all(&["c"]).await;
    assert_eq!(ids(&c.take(2).await), ["a", "b"]);
    assert_eq!(ids(&c.take(2).await), ["c"]);
}

async fn a_delivery_carries_what_was_stored(c: &Carrier) {
    let mut new = job("a");
    new.deadline_at = Some(NOON + MINUTE);
    let envelope = new.envelope.to_json();
    c.add(new).await;
    c.clock.advance(Duration::from_secs(1));
    let delivery = c.take_one().await;
    assert_eq!((delivery.attempt, delivery.crashes), (1, 0));
    assert_eq!((delivery.due_at, delivery.created_at), (NOON, NOON));
    assert_eq!(delivery.deadline_at, Some(NOON + MINUTE));
    assert_eq!(delivery.envelope, envelope);
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.worker.as_deref()), (State::Running, 1, Some("w1")));
}

async fn a_large_ask_tells_of_each_job_what_was_stored_and_the_attempts_it_has_used(c: &Carrier) {
    let jobs: Vec<NewJob> = (0..40).map(|n| job(&format!("j{n}")).tag(format!("tag-{n}"))).collect();
    let envelopes: Vec<_> = jobs.iter().map(|job| job.envelope.to_json()).collect();
    c.store.enqueue(jobs).await.unwrap();
    let first = c.take(40).await;
    assert_eq!(first.iter().map(|job| job.envelope.as_str()).collect::<Vec<_>>(), envelopes);
    assert!(first.iter().all(|job| (job.attempt, job.crashes) == (1, 0)));
    for (n, delivery) in first.iter().enumerate() {
        let retry = End::Retry { at: NOON, fault: fault("down") };
        c.end(delivery, if n % 2 == 0 { retry } else { End::Released }).await;
    }
    let second = c.take(40).await;
    let attempts: HashMap<_, _> = second.iter().map(|job| (job.id.as_str(), job.attempt)).collect();
    assert_eq!(attempts.len(), 40);
    for n in 0..40 {
        assert_eq!(attempts[format!("j{n}").as_str()], if n % 2 == 0 { 2 } else { 1 }, "of j{n}");
    }
}

async fn an_ask_takes_no_more_than_it_wants(c: &Carrier) {
    c.add_all(&["a", "b", "c"]).await;
    assert_eq!(c.take(2).await.len(), 2);
    let counts = c.counts().await;
    assert_eq!((counts.ready, counts.running), (1, 2));
}

async fn an_ask_of_an_unknown_queue_gets_nothing(c: &Carrier) {
    let reserved = c.ask(Ask { queue: "nowhere".into(), ..ask(1) }).await;
    assert!(reserved.deliveries.is_empty() && reserved.hold.is_none());
    assert!(c.store.stats().await.unwrap().is_empty(), "asking makes no queue");
}

async fn add_of_each(c: &Carrier, n: usize) {
    for priority in Priority::ALL {
        c.store.enqueue(of(priority, n)).await.unwrap();
    }
}

fn share(taken: &[String]) -> Vec<usize> {
    let mut shares: HashMap<&str, usize> = HashMap::new();
    for id in taken {
        *shares.entry(id.split('-').next().unwrap()).or_default() += 1;
    }
    Priority::ALL.map(|p| shares.get(p.as_str()).copied().unwrap_or(0)).to_vec()
}

async fn twenty_jobs_taken_one_by_one_are_shared_ten_five_three_two(c: &Carrier) {
    add_of_each(c, 20).await;
    let mut taken = Vec::new();
    for _ in 0..20 {
        taken.push(c.take_one().await.id.to_string());
    }
    assert_eq!(share(&taken), [10, 5, 3, 2]);
}

async fn many_jobs_taken_at_once_are_shared_ten_five_three_two(c: &Carrier) {
    add_of_each(c, 500).await;
    let taken: Vec<String> = c.take(500).await.iter().map(|d| d.id.to_string()).collect();
    assert_eq!(share(&taken), [250, 125, 75, 50]);
}

async fn what_a_priority_leaves_goes_to_the_highest_that_has_jobs(c: &Carrier) {
    c.store.enqueue(of(Priority::High, 15)).await.unwrap();
    c.store.enqueue(of(Priority::Low, 15)).await.unwrap();
    let taken: Vec<String> = c.take(20).await.iter().map(|d| d.id.to_string()).collect();
    assert_eq!(share(&taken), [0, 15, 0, 5]);
    assert_eq!(c.take(20).await.len(), 10);
}

async fn jobs_come_due_in_the_order_of_their_times(c: &Carrier) {
    c.add(job("third").run_at(NOON + MINUTE * 3)).await;
    c.add(job("first").run_at(NOON + MINUTE)).await;
    c.add(job("second").run_at(NOON + MINUTE * 2)).await;
    c.clock.advance(MINUTE * 5);
    c.add(job("now")).await;
    let taken = c.take(10).await;
    let due: Vec<&str> = ids(&taken).into_iter().filter(|id| *id != "now").collect();
    assert_eq!(due, ["first", "second", "third"]);
    if c.orders_by_due_time {
        assert_eq!(taken.last().unwrap().id.as_str(), "now");
    }
}

async fn a_job_is_not_handed_out_before_it_is_due(c: &Carrier) {
    c.add(job("a").run_at(NOON + MINUTE)).await;
    c.clock.advance(MINUTE - Duration::from_micros(1));
    assert!(c.take(1).await.is_empty());
    c.clock.advance(Duration::from_micros(1));
    assert_eq!(c.take_one().await.due_at, NOON + MINUTE);
}

async fn a_waiting_ask_is_woken_by_an_enqueue(c: &Carrier) {
    let store = Arc::clone(&c.store);
    let waiter = tokio::spawn(async move { store.reserve(waiting(LONG)).await });
    c.add_all(&["a"]).await;
    let reserved = tokio::time::timeout(MINUTE, waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(ids(&reserved.deliveries), ["a"]);
}

async fn a_waiting_ask_is_woken_by_a_due_time(c: &Carrier) {
    c.add(job("a").run_at(NOON + MINUTE)).await;
    let store = Arc::clone(&c.store);
    let waiter = tokio::spawn(async move { store.reserve(waiting(LONG)).await });
    assert!(c.take(1).await.is_empty());
    c.clock.advance(MINUTE);
    let reserved = tokio::time::timeout(MINUTE, waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(ids(&reserved.deliveries), ["a"]);
}

async fn a_due_job_becomes_ready_though_nobody_asks(c: &Carrier) {
    c.add(job("a").run_at(NOON + MINUTE)).await;
    c.clock.advance(MINUTE);
    eventually("the job is ready", || async { c.state("a").await == Some(State::Ready) }).await;
    assert_eq!(c.stats().await.oldest_ready_at, Some(NOON + MINUTE));
}

async fn a_waiting_ask_gives_up_when_its_time_is_over(c: &Carrier) {
    let started = c.clock.wall();
    let reserved = c.ask(waiting(Duration::from_millis(30))).await;
    assert!(reserved.deliveries.is_empty() && reserved.hold.is_none());
    assert!(c.clock.wall().since(started) >= Duration::from_millis(30));
}

async fn a_job_goes_to_one_of_many_that_wait(c: &Carrier) {
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&c.store);
            tokio::spawn(async move { store.reserve(waiting(Duration::from_millis(200))).await })
        })
        .collect();
    c.add_all(&["a", "b"]).await;
    let mut taken = Vec::new();
    for waiter in waiters {
        taken.extend(waiter.await.unwrap().unwrap().deliveries.into_iter().map(|d| d.id.to_string()));
    }
    taken.sort();
    assert_eq!(taken, ["a", "b"]);
}

async fn jobs_handed_to_somebody_who_has_gone_are_ready_again(c: &Carrier) {
    for round in 0..20 {
        let id = format!("j{round}");
        let store = Arc::clone(&c.store);
        let waiter = tokio::spawn(async move { store.reserve(waiting(LONG)).await });
        let adding = c.add(job(&id));
        let (_, ()) = tokio::join!(adding, async { waiter.abort() });
        if let Ok(taken) = waiter.await {
            // It had got the job before it was stopped.
            for delivery in taken.unwrap().deliveries {
                c.end(&delivery, End::Released).await;
            }
        }
        let taken = c.ask(Ask { wait: LONG, ..ask(10) }).await.deliveries;
        assert_eq!((ids(&taken), taken[0].attempt), (vec![id.as_str()], 1));
        c.end(&taken[0], completed()).await;
    }
}

async fn a_job_past_its_deadline_dies_expired_without_an_attempt(c: &Carrier) {
    let mut late = job("late");
    late.deadline_at = Some(NOON + MINUTE);
    c.add(late).await;
    c.add_all(&["fine"]).await;
    c.clock.advance(MINUTE + Duration::from_micros(1));
    assert_eq!(ids(&c.take(1).await), ["fine"], "the late job took nobody's place");
    let view = c.view("late").await;
    assert_eq!((view.state, view.attempt), (State::Dead, 0));
    assert_eq!(view.faults[0].cause, FaultCause::Expired);
    assert_eq!(view.finished_at, Some(c.clock.now()));
}

async fn a_job_that_started_is_retried_past_its_deadline(c: &Carrier) {
    let mut new = job("a");
    new.deadline_at = Some(NOON + MINUTE);
    c.add(new).await;
    let delivery = c.take_one().await;
    c.end(&delivery, End::Retry { at: NOON + MINUTE * 2, fault: fault("down") }).await;
    c.clock.advance(MINUTE * 2);
    assert_eq!(c.take_one().await.attempt, 2);
}

async fn more_jobs_than_one_slice_come_due_at_once(c: &Carrier) {
    let jobs = (0..2_500).map(|n| job(&format!("j{n}")).run_at(NOON + MINUTE)).collect();
    c.store.enqueue(jobs).await.unwrap();
    c.clock.advance(MINUTE);
    let mut taken = 0;
    while taken < 2_500 {
        let n = c.ask(Ask { jobs_max: 500, ..waiting(MINUTE) }).await.deliveries.len();
        assert!(n > 0, "{taken} jobs came, then none");
        taken += n;
    }
    assert_eq!(c.counts().await.scheduled, 0);
}
