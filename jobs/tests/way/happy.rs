//! Everything goes well.

use windlass_engine::State;
use windlass_engine::store::Store;
use windlass_jobs::orders::OrderState;
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Town, fulfil, order};

on_every_engine! {
    an_order_goes_all_the_way_and_each_effect_happens_once,
    the_same_order_again_changes_nothing_and_another_under_its_number_is_refused,
    a_payment_that_nobody_called_back_about_is_found_by_asking,
}

async fn an_order_goes_all_the_way_and_each_effect_happens_once(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-1001", &["FAKE00001", "FAKE00002"], Some(20)).await;
    town.until("SO-1001", OrderState::Completed).await;
    town.until_ended(1).await;

    let view = town.view("SO-1001").await.expect("it is there");
    assert_eq!(view.supplier_order.expect("placed").state.as_str(), "confirmed");
    assert!(!view.parcels.is_empty() && view.parcels.iter().all(|parcel| parcel.delivered_at.is_some()));
    assert_eq!(view.shipping_upload.expect("uploaded").state, "uploaded");
    assert!(view.notifications.iter().all(|told| told.state == "sent"), "{:?}", view.notifications);
    assert_eq!(view.notifications.len(), 6);
    let moves: Vec<&str> = view
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .filter(|kind| kind.parse::<OrderState>().is_ok())
        .collect();
    let way = ["pending", "paid", "checked", "placed", "confirmed", "shipped", "delivered", "completed"];
    assert_eq!(moves, way);

    let (truth, keys) = town.truth().await;
    assert_eq!(truth.orders.delivered, 1);
    assert_eq!(keys.effects["ylh.create"]["SO-1001-1"], 1);
    assert_eq!(keys.orders["SO-1001-1"].amount_fen, view.order.total_fen);
    assert_eq!(truth.payments.refunded_fen, 0);
    town.assert_books_agree().await;
}

async fn the_same_order_again_changes_nothing_and_another_under_its_number_is_refused(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-1002", &["FAKE00001"], None).await;
    town.until("SO-1002", OrderState::Pending).await;

    let again = fulfil(&order("SO-1002", &["FAKE00001"]), &town.ground.clock);
    let other = fulfil(&order("SO-1002", &["FAKE00009"]), &town.ground.clock);
    let again = again.id("again".parse().expect("an id"));
    let other = other.id("other".parse().expect("an id"));
    let ids = vec![again.id.clone(), other.id.clone()];
    town.house().accept(vec![again, other]).await;
    let store = town.house().store.clone();
    town.until_view("SO-1002", "both repeats being over", |_| true).await;
    while store
        .states(ids.clone())
        .await
        .expect("read")
        .iter()
        .any(|state| state.is_none_or(|state| !state.is_terminal()))
    {
        tokio::task::yield_now().await;
    }
    let states = store.states(ids.clone()).await.expect("read");
    assert_eq!(states, [Some(State::Completed), Some(State::Dead)]);
    let dead = store.get(&ids[1]).await.expect("read").expect("kept");
    assert!(dead.faults[0].message.contains("another order is recorded under the number SO-1002"));
    assert_eq!(town.view("SO-1002").await.expect("there").lines[0].product_code, "FAKE00001");
}

async fn a_payment_that_nobody_called_back_about_is_found_by_asking(engine: Engine) {
    let town = Town::calm(engine).await;
    town.deafen();
    town.order("SO-1003", &["FAKE00001"], Some(20)).await;
    let view = town.until("SO-1003", OrderState::Placed).await;
    assert_eq!(view.payment.known_by, "query");
    town.hear_again();
    town.until("SO-1003", OrderState::Completed).await;
    town.until_ended(1).await;
    town.assert_books_agree().await;
}
