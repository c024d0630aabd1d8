//! The net under the way: jobs that died or were taken away come back.

use windlass_engine::State;
use windlass_engine::gate::Pause;
use windlass_engine::store::{Action, Filter, Store};
use windlass_jobs::orders::{OrderState, OrderView};
use windlass_sandbox::Span;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town};

on_every_engine! {
    a_step_whose_job_was_taken_away_is_done_all_the_same,
    a_message_whose_job_was_taken_away_is_queued_again_behind_the_gate_of_its_channel,
    somebody_is_told_once_when_the_supplier_does_not_answer,
    an_effect_left_in_doubt_by_an_order_that_moved_on_is_settled_by_what_is_known,
}

async fn a_step_whose_job_was_taken_away_is_done_all_the_same(engine: Engine) {
    let town = Town::calm(engine).await;
    let store = town.house().store.clone();
    let pause =
        Pause { by: "test".to_owned(), reason: "to catch the job".to_owned(), at: town.ground.clock.now() };
    store.pause("haier", Some(pause)).await.expect("paused");
    town.order("SO-8001", &["FAKE00001"], Some(5)).await;
    town.until("SO-8001", OrderState::Paid).await;

    let filter = Filter { kind: Some("check_supply".to_owned()), limit: 10, ..Filter::default() };
    let waiting = loop {
        let jobs = store.list(filter.clone()).await.expect("listed").jobs;
        if !jobs.is_empty() {
            break jobs;
        }
        tokio::task::yield_now().await;
    };
    store.act(Action::Cancel, waiting.into_iter().map(|job| job.id).collect()).await.expect("cancelled");
    store.pause("haier", None).await.expect("resumed");

    town.until("SO-8001", OrderState::Completed).await;
    town.until_ended(1).await;
    town.assert_books_agree().await;
}

async fn a_message_whose_job_was_taken_away_is_queued_again_behind_the_gate_of_its_channel(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.sweep_after_s = 60;
    let town = Town::build(engine, plan).await;
    let store = town.house().store.clone();
    let pause =
        Pause { by: "test".to_owned(), reason: "to catch the job".to_owned(), at: town.ground.clock.now() };
    store.pause("wechat_mini", Some(pause)).await.expect("paused");
    town.order("SO-8005", &["FAKE00001"], Some(5)).await;
    let filter = Filter {
        queue: Some("wechat_mini".to_owned()),
        kind: Some("send_notification".to_owned()),
        state: Some(State::Ready),
        limit: 10,
        ..Filter::default()
    };
    let waiting = async || {
        let jobs = store.list(filter.clone()).await.expect("listed").jobs;
        jobs.into_iter().find(|job| job.envelope.payload.get().contains("order_paid")).map(|job| job.id)
    };
    let first = town.look(&waiting).await.expect("a message waits");
    store.act(Action::Cancel, vec![first.clone()]).await.expect("cancelled");
    let again = town.look(&waiting).await.expect("it waits again");
    assert_ne!(again, first);
    store.pause("wechat_mini", None).await.expect("resumed");
    town.until("SO-8005", OrderState::Completed).await;
    let view = town.view("SO-8005").await.expect("there");
    assert!(view.notifications.iter().any(|told| told.channel == "subscribe" && told.state == "sent"));
}

async fn somebody_is_told_once_when_the_supplier_does_not_answer(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.confirm = Span::hours(100, 101);
    plan.settings.confirm_overdue_s = 300;
    let town = Town::build(engine, plan).await;
    town.order("SO-8002", &["FAKE00001"], Some(5)).await;
    let alerts =
        |view: &OrderView| view.events.iter().filter(|event| event.kind == "confirm_overdue").count();
    town.until_view("SO-8002", "an alert", |view| alerts(view) == 1).await;

    town.runs("watch_supplier_orders", 2).await;
    let view = town.view("SO-8002").await.expect("there");
    assert_eq!((alerts(&view), view.order.state), (1, OrderState::Placed));
}

async fn an_effect_left_in_doubt_by_an_order_that_moved_on_is_settled_by_what_is_known(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.time_to_pay_s = 600;
    // Before it is confirmed, the supplier lets go of any order.
    plan.pace.confirm = Span::hours(100, 101);
    let town = Town::build(engine, plan).await;
    town.order("SO-8003", &["FAKE00001"], None).await;
    town.order("SO-8004", &["FAKE00001"], Some(5)).await;
    town.until("SO-8004", OrderState::Placed).await;
    town.cancel("SO-8004").await;
    town.until("SO-8004", OrderState::Cancelled).await;
    town.until("SO-8003", OrderState::Cancelled).await;
    town.until_ended(2).await;
    town.write(
        "UPDATE effects SET state = 'in_doubt', settled_at = NULL, answer = NULL \
         WHERE kind IN ('ylh.create', 'ylh.cancel', 'wechat.close', 'wechat.refund')",
    )
    .await;
    // Waits until none is in doubt, and compares with what happened.
    town.assert_books_agree().await;
    let (_, keys) = town.truth().await;
    for kind in ["ylh.create", "ylh.cancel", "wechat.close", "wechat.refund"] {
        assert_eq!(keys.effects[kind].len(), 1, "{kind}");
    }
}
