//! Leases: who renews keeps, who dies loses, and a job that kills its workers is stopped.

use std::time::Duration;

use windlass_engine::State;
use windlass_engine::context::Progress;
use windlass_engine::store::{
    Action, Ask, CRASHES_MAX, Delivery, End, FaultCause, Held, JobNotes, Reaped, Settled,
};

use crate::carrier::*;

on_every_store![
    a_job_under_a_live_lease_is_not_reaped,
    a_job_whose_worker_died_comes_again_and_the_attempt_counts,
    a_reaped_delivery_is_fenced_out,
    a_renewed_lease_is_not_reaped,
    a_lease_that_ran_out_is_not_revived,
    renewing_stores_the_notes,
    a_renewal_tells_what_is_lost,
    a_renewal_tells_who_must_stop,
    a_job_that_kills_every_worker_goes_dead,
    a_reaped_job_that_was_asked_to_stop_does_not_come_again,
    more_jobs_than_one_slice_are_reaped,
];

/// Takes what is ready under a lease that has ended when it begins.
async fn take_and_die(c: &Carrier, jobs_max: u32) -> Vec<Delivery> {
    let taken = c.ask(Ask { lease: Duration::ZERO, ..ask(jobs_max) }).await.deliveries;
    let taken_at = c.clock.wall();
    while c.clock.wall() == taken_at {
        std::hint::spin_loop();
    }
    taken
}

fn held(delivery: &Delivery) -> Held {
    Held { id: delivery.id.clone(), token: delivery.token, notes: None }
}

async fn reap(c: &Carrier) -> (u32, u32) {
    let Reaped { back_to_ready, poisoned } = c.store.reap().await.unwrap();
    (back_to_ready, poisoned)
}

async fn a_job_under_a_live_lease_is_not_reaped(c: &Carrier) {
    c.add_all(&["a"]).await;
    c.take_one().await;
    assert_eq!(reap(c).await, (0, 0));
    assert_eq!(c.state("a").await, Some(State::Running));
}

async fn a_job_whose_worker_died_comes_again_and_the_attempt_counts(c: &Carrier) {
    c.add_all(&["a"]).await;
    take_and_die(c, 1).await;
    assert_eq!(reap(c).await, (1, 0));
    let view = c.view("a").await;
    assert_eq!((view.state, view.attempt, view.crashes), (State::Ready, 1, 1));
    assert_eq!((view.faults[0].cause, view.faults[0].attempt), (FaultCause::Crashed, 1));
    let again = c.take_one().await;
    assert_eq!((again.attempt, again.crashes), (2, 1));
}

async fn a_reaped_delivery_is_fenced_out(c: &Carrier) {
    c.add_all(&["a"]).await;
    let dead = take_and_die(c, 1).await.remove(0);
    reap(c).await;
    assert_eq!(c.end(&dead, completed()).await, Settled::FencedOut, "while it is ready");
    let live = c.take_one().await;
    assert_eq!(c.end(&dead, completed()).await, Settled::FencedOut, "while another runs it");
    assert_eq!(c.end(&live, completed()).await, Settled::Done);
}

async fn a_renewed_lease_is_not_reaped(c: &Carrier) {
    c.add_all(&["a"]).await;
    let short = Ask { lease: Duration::from_millis(200), ..ask(1) };
    let delivery = c.ask(short).await.deliveries.remove(0);
    let taken_at = c.clock.wall();
    let renewed = c.store.renew(QUEUE, vec![held(&delivery)], LONG).await.unwrap();
    assert!(renewed.lost.is_empty() && renewed.cancelling.is_empty());
    eventually("the first lease is over", || async {
        c.clock.wall().since(taken_at) > Duration::from_millis(200)
    })
    .await;
    assert_eq!(reap(c).await, (0, 0));
    assert_eq!(c.end(&delivery, completed()).await, Settled::Done);
}

async fn a_lease_that_ran_out_is_not_revived(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = take_and_die(c, 1).await.remove(0);
    let renewed = c.store.renew(QUEUE, vec![held(&delivery)], LONG).await.unwrap();
    assert_eq!(renewed.lost, [(delivery.id, delivery.token)]);
    assert_eq!(reap(c).await, (1, 0));
}

async fn renewing_stores_the_notes(c: &Carrier) {
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    let progress = Progress { done: 1, total: 9, note: String::new() };
    let notes = JobNotes { progress: Some(progress), log: vec!["begun".into()] };
    let mut held = held(&delivery);
    held.notes = Some(notes.clone());
    c.store.renew(QUEUE, vec![held], LONG).await.unwrap();
    assert_eq!(c.view("a").await.notes, notes);
}

async fn a_renewal_tells_what_is_lost(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let taken = c.take(2).await;
    c.end(&taken[0], completed()).await;
    let both = taken.iter().map(held).collect();
    let renewed = c.store.renew(QUEUE, both, LONG).await.unwrap();
    assert_eq!(renewed.lost, [(taken[0].id.clone(), taken[0].token)]);
}

async fn a_renewal_tells_who_must_stop(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let taken = c.take(2).await;
    c.store.act(Action::Cancel, vec![taken[1].id.clone()]).await.unwrap();
    let both = taken.iter().map(held).collect();
    let renewed = c.store.renew(QUEUE, both, LONG).await.unwrap();
    assert_eq!(renewed.cancelling, [(taken[1].id.clone(), taken[1].token)]);
}

async fn a_job_that_kills_every_worker_goes_dead(c: &Carrier) {
    c.add_all(&["a"]).await;
    for _ in 1..CRASHES_MAX {
        take_and_die(c, 1).await;
        assert_eq!(reap(c).await, (1, 0));
    }
    take_and_die(c, 1).await;
    assert_eq!(reap(c).await, (0, 1));
    let view = c.view("a").await;
    assert_eq!((view.state, view.crashes), (State::Dead, CRASHES_MAX));
    assert_eq!(view.finished_at, Some(NOON));
}

async fn a_reaped_job_that_was_asked_to_stop_does_not_come_again(c: &Carrier) {
    c.add_all(&["a"]).await;
    take_and_die(c, 1).await;
    c.store.act(Action::Cancel, vec![id_of("a")]).await.unwrap();
    assert_eq!(reap(c).await, (0, 0));
    assert_eq!(c.state("a").await, Some(State::Cancelled));
}

async fn more_jobs_than_one_slice_are_reaped(c: &Carrier) {
    c.store.enqueue((0..1_200).map(|n| job(&format!("j{n}"))).collect()).await.unwrap();
    for _ in 0..3 {
        take_and_die(c, 400).await;
    }
    assert_eq!(reap(c).await, (1_200, 0));
    let delivery = c.take_one().await;
    c.end(&delivery, End::Released).await;
}
