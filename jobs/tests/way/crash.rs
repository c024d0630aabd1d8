//! The process dies at any instant, again and again, and goes on from what it wrote down.

use std::time::Duration;

use windlass_engine::store::CRASHES_MAX;
use windlass_jobs::orders::OrderState;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town};

on_every_engine! {
    a_process_that_dies_at_any_instant_goes_on_and_doubles_nothing,
    a_process_that_dies_in_a_storm_goes_on_and_doubles_nothing,
    a_carrier_that_is_wiped_in_the_middle_of_work_delays_orders_and_loses_none,
}

const ORDERS: i64 = 8;
/// How often the process dies. A job that outlives [`CRASHES_MAX`] workers is dead, and rightly: where a process takes
/// its time to start, one and the same job may be caught each time.
const CRASHES: u32 = CRASHES_MAX - 1;

/// Kills the process again and again at moments that `seed` picks, until every order ended.
async fn die_again_and_again(engine: Engine, plan: Plan, series: &str, seed: u64) {
    let mut town = Town::build(engine, plan).await;
    for n in 0..ORDERS {
        let product = if n % 4 == 3 { "FAIL0001" } else { "FAKE00001" };
        town.order(&format!("SO-{series}{n:02}"), &[product], Some(10)).await;
    }
    town.cancel(&format!("SO-{series}00")).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..CRASHES {
        // The instant is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(dice.u64(20..600))).await;
        town.crash().await;
    }
    town.until_ended(ORDERS).await;
    for n in 0..ORDERS {
        let view = town.view(&format!("SO-{series}{n:02}")).await.expect("there");
        let back: i64 = view.refunds.iter().map(|refund| refund.amount_fen).sum();
        let wanted = if view.order.state == OrderState::Completed { 0 } else { view.payment.paid_fen };
        assert_eq!(back, wanted, "{}: {}", view.order.order_no, view.order.state);
    }
    town.assert_books_agree().await;
}

async fn a_process_that_dies_at_any_instant_goes_on_and_doubles_nothing(engine: Engine) {
    die_again_and_again(engine, Plan::calm(), "60", 7).await;
}

async fn a_process_that_dies_in_a_storm_goes_on_and_doubles_nothing(engine: Engine) {
    die_again_and_again(engine, Plan::storm(4), "62", 8).await;
}

async fn a_carrier_that_is_wiped_in_the_middle_of_work_delays_orders_and_loses_none(engine: Engine) {
    let mut town = Town::build(engine, Plan::calm()).await;
    for n in 0..ORDERS {
        town.order(&format!("SO-61{n:02}"), &["FAKE00001"], Some(10)).await;
    }
    for state in [OrderState::Paid, OrderState::Confirmed] {
        town.until_view("SO-6100", state.as_str(), |view| view.order.state >= state).await;
        town.wipe_carrier().await;
    }
    town.until_ended(ORDERS).await;
    assert_eq!(town.tally().await.orders["completed"], ORDERS);
    town.assert_books_agree().await;
}
