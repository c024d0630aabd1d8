//! Everything that can fail does, a quarter of the time: every order still ends, nothing happens twice, and
//! of nothing but messages it stays unknown whether it happened.

use windlass_jobs::orders::OrderState;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town};

on_every_engine! {
    a_storm_ends_every_order_and_leaves_no_effect_doubled_or_in_doubt,
}

const ORDERS: i64 = 12;

async fn weather(engine: Engine, seed: u64) {
    let mut plan = Plan::storm(seed);
    plan.settings.time_to_pay_s = 3_600;
    let town = Town::build(engine, plan).await;
    for n in 0..ORDERS {
        let products: &[&str] = match n % 6 {
            4 => &["FAKE00001", "NONE0001"],
            5 => &["FAIL0001"],
            _ => &["FAKE00001", "FAKE00002"],
        };
        // Who does not pay is closed out.
        let pays_after_s = (n % 6 != 3).then_some(10);
        town.order(&format!("SO-5{seed}{n:02}"), products, pays_after_s).await;
    }
    for n in (0..ORDERS).step_by(4) {
        town.cancel(&format!("SO-5{seed}{n:02}")).await;
    }
    town.until_ended(ORDERS).await;
    let (_, truth) = town.truth().await;
    for n in 0..ORDERS {
        let view = town.view(&format!("SO-5{seed}{n:02}")).await.expect("there");
        let back: i64 = view.refunds.iter().map(|refund| refund.amount_fen).sum();
        let kept = view.payment.paid_fen - back;
        // What the supplier let go of, or took back at the door, is not kept.
        let goods = view.order.total_fen - Town::worth_back(&view, &truth);
        let wanted = if view.order.state == OrderState::Completed { goods } else { 0 };
        assert_eq!(kept, wanted, "{}: {}", view.order.order_no, view.order.state);
    }
    town.assert_books_agree().await;
}

async fn a_storm_ends_every_order_and_leaves_no_effect_doubled_or_in_doubt(engine: Engine) {
    weather(engine, 1).await;
}

// One storm on PostgreSQL says as much of it as three would; they take their time.
#[tokio::test(flavor = "multi_thread")]
async fn another_storm_ends_every_order_and_leaves_no_effect_doubled_or_in_doubt() {
    weather(Engine::Sqlite, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_storm_ends_every_order_and_leaves_no_effect_doubled_or_in_doubt() {
    weather(Engine::Sqlite, 3).await;
}
