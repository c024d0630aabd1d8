//! Cancelling in each state.

use windlass_jobs::orders::OrderState;
use windlass_sandbox::Span;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town};

on_every_engine! {
    an_unpaid_order_is_closed_and_cancelled,
    an_order_at_the_supplier_is_cancelled_there_before_the_money_goes_back,
    a_confirmed_order_is_either_cancelled_and_paid_back_or_goes_on_and_is_delivered,
    a_shipped_order_cannot_be_cancelled_and_says_so,
    orders_cancelled_at_any_moment_end_with_the_right_money,
}

async fn an_unpaid_order_is_closed_and_cancelled(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-4001", &["FAKE00001"], None).await;
    town.until("SO-4001", OrderState::Pending).await;
    town.cancel("SO-4001").await;
    let view = town.until("SO-4001", OrderState::Cancelled).await;
    assert!(view.refunds.is_empty() && view.supplier_order.is_none());
    assert!(town.truth().await.1.payments["SO-4001"].closed_at.is_some());
    town.until_ended(1).await;
    town.assert_books_agree().await;
}

async fn an_order_at_the_supplier_is_cancelled_there_before_the_money_goes_back(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.confirm = Span::hours(1, 2);
    let town = Town::build(engine, plan).await;
    town.order("SO-4002", &["FAKE00001"], Some(10)).await;
    town.until("SO-4002", OrderState::Placed).await;
    town.cancel("SO-4002").await;
    let view = town.until("SO-4002", OrderState::Cancelled).await;
    assert_eq!(view.supplier_order.as_ref().expect("placed").state.as_str(), "cancelled");
    assert_eq!(view.refunds.iter().map(|refund| refund.amount_fen).sum::<i64>(), view.order.total_fen);
    town.until_ended(1).await;
    let (truth, _) = town.truth().await;
    assert_eq!(truth.orders.cancelled, 1);
    assert_eq!(truth.orders.shipped, 0);
    town.assert_books_agree().await;
}

async fn a_confirmed_order_is_either_cancelled_and_paid_back_or_goes_on_and_is_delivered(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.ship = Span::minutes(20, 30);
    let town = Town::build(engine, plan).await;
    for n in 0..6 {
        town.order(&format!("SO-41{n:02}"), &["FAKE00001"], Some(10)).await;
    }
    for n in 0..6 {
        let no = format!("SO-41{n:02}");
        town.until(&no, OrderState::Confirmed).await;
        town.cancel(&no).await;
    }
    town.until_ended(6).await;
    for n in 0..6 {
        let view = town.view(&format!("SO-41{n:02}")).await.expect("there");
        let back: i64 = view.refunds.iter().map(|refund| refund.amount_fen).sum();
        match view.order.state {
            OrderState::Cancelled => assert_eq!(back, view.order.total_fen),
            OrderState::Completed => assert_eq!(back, 0),
            other => panic!("{other}"),
        }
    }
    town.assert_books_agree().await;
}

async fn a_shipped_order_cannot_be_cancelled_and_says_so(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.deliver = Span::hours(1, 2);
    let town = Town::build(engine, plan).await;
    town.order("SO-4003", &["FAKE00001"], Some(10)).await;
    town.until("SO-4003", OrderState::Shipped).await;
    town.cancel("SO-4003").await;
    let refused = |view: &windlass_jobs::orders::OrderView| {
        view.events.iter().any(|event| event.kind == "cancel_refused")
    };
    let view = town.until_view("SO-4003", "a refusal", refused).await;
    assert_eq!(view.order.state, OrderState::Shipped);
    assert!(view.refunds.is_empty());
}

async fn orders_cancelled_at_any_moment_end_with_the_right_money(engine: Engine) {
    let town = Town::calm(engine).await;
    for n in 0..12_u64 {
        town.order(&format!("SO-42{n:02}"), &["FAKE00001"], Some(5)).await;
    }
    let states = [
        OrderState::Pending,
        OrderState::Paid,
        OrderState::Checked,
        OrderState::Placed,
        OrderState::Confirmed,
        OrderState::Shipped,
    ];
    for n in 0..12 {
        let no = format!("SO-42{n:02}");
        // From that state on, whichever it has reached when the cancel comes.
        let from = states[n % states.len()];
        town.until_view(&no, from.as_str(), |view| view.order.state >= from).await;
        town.cancel(&no).await;
    }
    town.until_ended(12).await;
    town.assert_books_agree().await;
}
