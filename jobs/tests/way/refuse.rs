//! Orders that cannot be fulfilled: the customer gets the reason and the money.

use windlass_jobs::orders::OrderState;
use windlass_testing::{Engine, on_every_engine};

use crate::town::Town;

on_every_engine! {
    an_order_that_cannot_be_delivered_is_refused_before_the_supplier_hears_of_it,
    an_order_that_the_supplier_does_not_confirm_is_refused_and_paid_back,
}

async fn an_order_that_cannot_be_delivered_is_refused_before_the_supplier_hears_of_it(engine: Engine) {
    let town = Town::calm(engine).await;
    for (no, code) in [("SO-2001", "NONE0001"), ("SO-2002", "NOPRICE1"), ("SO-2003", "OUT00001")] {
        town.order(no, &["FAKE00001", code], Some(10)).await;
    }
    for (no, reason) in [("SO-2001", "not procurable"), ("SO-2002", "no price"), ("SO-2003", "out of stock")]
    {
        let view = town.until(no, OrderState::Refused).await;
        assert!(view.order.reason.contains(reason), "{no}: {}", view.order.reason);
        assert_eq!(view.refunds.len(), 1);
        assert_eq!(view.refunds[0].amount_fen, view.order.total_fen);
        assert_eq!(view.refunds[0].state.as_str(), "succeeded");
        assert!(view.supplier_order.is_none());
    }
    let tally = town.until_ended(3).await;
    assert_eq!(tally.refused.values().sum::<i64>(), 3);
    assert_eq!(town.truth().await.0.orders.accepted, 0);
    town.assert_books_agree().await;
}

async fn an_order_that_the_supplier_does_not_confirm_is_refused_and_paid_back(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-2004", &["FAIL0001"], Some(10)).await;
    let view = town.until("SO-2004", OrderState::Refused).await;
    assert_eq!(view.supplier_order.expect("placed").state.as_str(), "rejected");
    town.until_ended(1).await;
    let (truth, _) = town.truth().await;
    assert_eq!((truth.orders.accepted, truth.orders.refused), (1, 1));
    assert_eq!(truth.payments.refunded_fen, view.order.total_fen);
    town.assert_books_agree().await;
}
