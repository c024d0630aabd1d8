//! Orders that are not paid in time, and money that comes all the same.

use windlass_jobs::orders::OrderState;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town, order};

on_every_engine! {
    an_unpaid_order_expires_and_its_payment_is_closed_at_wechat,
    an_order_that_was_paid_in_the_last_moment_goes_on,
    money_for_an_order_that_was_given_up_goes_back,
}

fn impatient() -> Plan {
    let mut plan = Plan::calm();
    plan.settings.time_to_pay_s = 600;
    plan
}

async fn an_unpaid_order_expires_and_its_payment_is_closed_at_wechat(engine: Engine) {
    let town = Town::build(engine, impatient()).await;
    town.order("SO-3001", &["FAKE00001"], None).await;
    let view = town.until("SO-3001", OrderState::Cancelled).await;
    assert_eq!(view.payment.state.as_str(), "closed");
    town.until_ended(1).await;
    let (_, keys) = town.truth().await;
    assert!(keys.payments["SO-3001"].closed_at.is_some());
    assert_eq!(keys.effects["wechat.close"]["SO-3001"], 1);
    town.assert_books_agree().await;
}

async fn an_order_that_was_paid_in_the_last_moment_goes_on(engine: Engine) {
    let town = Town::build(engine, impatient()).await;
    town.deafen();
    let late = order("SO-3002", &["FAKE00001"]);
    // After the last question before the expiry, and before the expiry.
    town.check_out(&late, Some(590)).await;
    town.house().accept(vec![crate::town::fulfil(&late, &town.ground.clock)]).await;
    // How far it has come when it is looked at is chance: it is paid, and on its way.
    let goes_on = |state: OrderState| state != OrderState::Pending && !state.wants_no_money();
    let view = town.until_view("SO-3002", "its way", |view| goes_on(view.order.state)).await;
    assert_eq!(view.payment.state.as_str(), "succeeded");
}

async fn money_for_an_order_that_was_given_up_goes_back(engine: Engine) {
    let mut plan = impatient();
    // Nobody went to the till before the order was given up: there is nothing to close.
    plan.settings.time_to_pay_s = 60;
    let town = Town::build(engine, plan).await;
    let late = order("SO-3003", &["FAKE00001"]);
    town.house().accept(vec![crate::town::fulfil(&late, &town.ground.clock)]).await;
    town.until("SO-3003", OrderState::Cancelled).await;
    town.check_out(&late, Some(10)).await;

    let back = |view: &windlass_jobs::orders::OrderView| {
        view.refunds.iter().any(|refund| refund.state.as_str() == "succeeded")
    };
    let view = town.until_view("SO-3003", "its money back", back).await;
    assert_eq!(view.payment.state.as_str(), "late");
    assert_eq!(view.order.state, OrderState::Cancelled);
    assert_eq!(view.refunds.len(), 1);
    assert_eq!(view.refunds[0].amount_fen, view.order.total_fen);
    town.until_ended(1).await;
    town.assert_books_agree().await;
}
