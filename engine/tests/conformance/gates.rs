//! What holds a queue back, and lets it go again.

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::gate::{Breaker, BreakerRules, GateRules, HoldReason, Pause, Rate};
use windlass_engine::store::{Ask, Delivery, End, Reserved, Settled};

use crate::carrier::*;

on_every_store![
    a_paused_queue_gives_nothing_and_says_so,
    a_resumed_queue_wakes_those_who_wait,
    a_pause_holds_one_queue_only,
    a_cap_holds_over_all_workers,
    the_end_of_a_job_makes_room_under_the_cap,
    a_rate_lets_a_burst_through_and_then_spaces,
    outages_in_a_row_open_the_breaker,
    an_answer_in_between_keeps_the_breaker_closed,
    a_cooled_breaker_lets_one_probe_through,
    drains_and_snoozes_say_nothing_to_the_breaker,
    a_fenced_out_end_says_nothing_to_the_breaker,
    new_rules_leave_what_was_counted,
];

async fn rules(c: &Carrier, rules: GateRules) {
    c.store.set_gate(QUEUE, rules).await.unwrap();
}

fn breaker(cool_ms: u64) -> GateRules {
    let breaker = BreakerRules { failures: 2, cool_ms, cool_max_ms: cool_ms };
    GateRules { breaker: Some(breaker), ..GateRules::default() }
}

fn paused() -> Pause {
    Pause { by: "ops".into(), reason: "stocktaking".into(), at: NOON }
}

fn reason(reserved: &Reserved) -> Option<HoldReason> {
    assert!(reserved.deliveries.is_empty());
    reserved.hold.map(|hold| hold.reason)
}

async fn end_in_outage(c: &Carrier, delivery: &Delivery) -> Settled {
    let end = End::Retry { at: NOON + MINUTE, fault: fault("connection refused") };
    let mut settlement = settlement(delivery, end);
    settlement.outage = true;
    c.settle(settlement).await
}

async fn a_paused_queue_gives_nothing_and_says_so(c: &Carrier) {
    c.add_all(&["a"]).await;
    c.store.pause(QUEUE, Some(paused())).await.unwrap();
    assert_eq!(reason(&c.ask(ask(1)).await), Some(HoldReason::Paused));
    let stats = c.stats().await;
    assert_eq!(stats.gate.paused, Some(paused()));
    assert_eq!(stats.hold.map(|hold| hold.reason), Some(HoldReason::Paused));
    c.store.pause(QUEUE, None).await.unwrap();
    assert_eq!(c.take_one().await.attempt, 1, "waiting used no attempt");
}

async fn a_resumed_queue_wakes_those_who_wait(c: &Carrier) {
    c.store.pause(QUEUE, Some(paused())).await.unwrap();
    c.add_all(&["a"]).await;
    let store = Arc::clone(&c.store);
    let waiter = tokio::spawn(async move { store.reserve(Ask { wait: LONG, ..ask(1) }).await });
    assert!(c.take(1).await.is_empty());
    c.store.pause(QUEUE, None).await.unwrap();
    assert_eq!(ids(&waiter.await.unwrap().unwrap().deliveries), ["a"]);
}

async fn a_pause_holds_one_queue_only(c: &Carrier) {
    c.store.pause("mail", Some(paused())).await.unwrap();
    c.add_all(&["a"]).await;
    assert_eq!(c.take(1).await.len(), 1);
}

async fn a_cap_holds_over_all_workers(c: &Carrier) {
    rules(c, GateRules { concurrency_max: Some(3), ..GateRules::default() }).await;
    c.add_all(&["a", "b", "c", "d"]).await;
    assert_eq!(c.take(2).await.len(), 2);
    let other = c.ask(Ask { worker: "w2".into(), ..ask(10) }).await;
    assert_eq!(other.deliveries.len(), 1);
    assert_eq!(reason(&c.ask(ask(1)).await), Some(HoldReason::Concurrency));
}

async fn the_end_of_a_job_makes_room_under_the_cap(c: &Carrier) {
    rules(c, GateRules { concurrency_max: Some(1), ..GateRules::default() }).await;
    c.add_all(&["a", "b"]).await;
    let first = c.take_one().await;
    let store = Arc::clone(&c.store);
    let waiter = tokio::spawn(async move { store.reserve(Ask { wait: LONG, ..ask(1) }).await });
    assert_eq!(reason(&c.ask(ask(1)).await), Some(HoldReason::Concurrency));
    c.end(&first, completed()).await;
    assert_eq!(ids(&waiter.await.unwrap().unwrap().deliveries), ["b"]);
}

async fn a_rate_lets_a_burst_through_and_then_spaces(c: &Carrier) {
    let rate = Rate { jobs: 1, per_ms: 50, burst: 2 };
    rules(c, GateRules { rate: Some(rate), ..GateRules::default() }).await;
    c.add_all(&["a", "b", "c"]).await;
    let started = c.clock.wall();
    assert_eq!(c.take(10).await.len(), 2);
    let third = c.ask(Ask { wait: LONG, ..ask(10) }).await;
    assert_eq!(third.deliveries.len(), 1, "the gate's own time wakes the ask");
    assert!(c.clock.wall().since(started) >= Duration::from_millis(50));
}

async fn outages_in_a_row_open_the_breaker(c: &Carrier) {
    rules(c, breaker(600_000)).await;
    c.add_all(&["a", "b", "c"]).await;
    for delivery in c.take(2).await {
        assert_eq!(end_in_outage(c, &delivery).await, Settled::Done);
    }
    let held = c.ask(ask(1)).await;
    assert_eq!(reason(&held), Some(HoldReason::Breaker));
    assert!(held.hold.unwrap().until.unwrap() > c.clock.wall());
    assert_eq!(c.view("c").await.attempt, 0);
}

async fn an_answer_in_between_keeps_the_breaker_closed(c: &Carrier) {
    rules(c, breaker(600_000)).await;
    c.add_all(&["a", "b", "c", "d"]).await;
    let taken = c.take(3).await;
    end_in_outage(c, &taken[0]).await;
    c.end(&taken[1], End::Dead { fault: fault("the other side said no") }).await;
    end_in_outage(c, &taken[2]).await;
    assert_eq!(c.take(1).await.len(), 1);
}

async fn a_cooled_breaker_lets_one_probe_through(c: &Carrier) {
    rules(c, breaker(20)).await;
    c.add_all(&["a", "b", "c", "d", "e"]).await;
    for delivery in c.take(2).await {
        end_in_outage(c, &delivery).await;
    }
    let probe = c.ask(Ask { wait: LONG, ..ask(10) }).await.deliveries;
    assert_eq!(probe.len(), 1);
    assert_eq!(reason(&c.ask(ask(10)).await), Some(HoldReason::Breaker), "one probe at a time");
    c.end(&probe[0], completed()).await;
    assert_eq!(c.take(10).await.len(), 2, "twice as many after a success");
}

async fn drains_and_snoozes_say_nothing_to_the_breaker(c: &Carrier) {
    rules(c, breaker(600_000)).await;
    c.add_all(&["a", "b", "c", "d"]).await;
    let taken = c.take(4).await;
    end_in_outage(c, &taken[0]).await;
    c.end(&taken[1], End::Released).await;
    c.end(&taken[2], End::Snoozed { until: NOON + MINUTE, why: "not yet".into() }).await;
    assert_eq!(c.stats().await.gate.breaker, Breaker::Closed { failures: 1 });
}

async fn a_fenced_out_end_says_nothing_to_the_breaker(c: &Carrier) {
    rules(c, breaker(600_000)).await;
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    end_in_outage(c, &delivery).await;
    assert_eq!(end_in_outage(c, &delivery).await, Settled::FencedOut);
    assert_eq!(c.stats().await.gate.breaker, Breaker::Closed { failures: 1 });
}

async fn new_rules_leave_what_was_counted(c: &Carrier) {
    rules(c, breaker(600_000)).await;
    c.add_all(&["a"]).await;
    let delivery = c.take_one().await;
    end_in_outage(c, &delivery).await;
    rules(c, breaker(500_000)).await;
    let gate = c.stats().await.gate;
    assert_eq!(gate.breaker, Breaker::Closed { failures: 1 });
    assert_eq!(gate.rules, breaker(500_000));
}
