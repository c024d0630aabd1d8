//! Goods that come back: refused at the door, sent back unasked, asked to be stopped or taken back.

use windlass_jobs::findings::{FindingState, FindingType};
use windlass_jobs::orders::{OrderState, OrderView, RefundOrder, RequestReturn, ReturnedLine};
use windlass_sandbox::Span;
use windlass_testing::{Engine, on_every_engine};

use crate::callbacks::{data, form};
use crate::town::{Plan, Town};

on_every_engine! {
    goods_refused_at_the_door_are_paid_back_in_part_or_as_a_whole,
    goods_sent_back_after_completion_are_paid_back_and_the_order_stays_complete,
    returns_end_with_the_right_money_whatever_the_supplier_finds,
    goods_are_paid_back_once_whoever_speaks_of_them_next,
    a_delivery_is_announced_once_and_the_customer_reminded,
}

fn back_fen(view: &OrderView) -> i64 {
    view.refunds.iter().map(|refund| refund.amount_fen).sum()
}

fn is_paid_back(view: &OrderView) -> bool {
    !view.refunds.is_empty() && view.refunds.iter().all(|refund| refund.state.as_str() == "succeeded")
}

async fn goods_refused_at_the_door_are_paid_back_in_part_or_as_a_whole(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-B001", &["REJECT001"], Some(5)).await;
    town.order("SO-B002", &["FAKE00001", "PARTREJECT1"], Some(5)).await;
    let whole = town.until("SO-B001", OrderState::Refused).await;
    assert_eq!(back_fen(&whole), whole.order.total_fen);
    // Whether the shop had seen it leave by then is chance, and names the finding; the money ended it.
    let found = town.findings("SO-B001").await;
    assert!(
        !found.is_empty() && found.iter().all(|found| found.state == FindingState::Resolved),
        "{found:?}"
    );
    let part = town.until("SO-B002", OrderState::Completed).await;
    assert_eq!(back_fen(&part), 119_999, "one of two pieces");
    town.until_finding("SO-B002", FindingType::UnsolicitedReturn, FindingState::Resolved).await;
    town.until_ended(2).await;
    town.assert_books_agree().await;
}

async fn goods_sent_back_after_completion_are_paid_back_and_the_order_stays_complete(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.send_back = Span::hours(4, 5);
    let town = Town::build(engine, plan).await;
    town.order("SO-B101", &["FAKE00001", "RETURN001"], Some(5)).await;
    town.order("SO-B102", &["RETURN001"], Some(5)).await;
    for (no, fen) in [("SO-B101", 119_999), ("SO-B102", 119_999)] {
        town.until(no, OrderState::Completed).await;
        let view = town.until_view(no, "its money back", is_paid_back).await;
        assert_eq!((view.order.state, back_fen(&view)), (OrderState::Completed, fen), "{no}");
    }
    town.until_ended(2).await;
    town.assert_books_agree().await;
}

/// Stopped on the way or not, wholly or in part; passed or failed at inspection (facts: ylh.md 5).
async fn returns_end_with_the_right_money_whatever_the_supplier_finds(engine: Engine) {
    const ORDERS: i64 = 10;
    let mut plan = Plan::calm();
    plan.pace.deliver = Span::minutes(20, 25);
    plan.settings.complete_after_s = 3 * 3_600;
    let town = Town::build(engine, plan).await;
    let number = |n: i64| format!("SO-B2{n:02}");
    for n in 0..ORDERS {
        town.order(&number(n), &["FAKE00001", "FAKE00002"], Some(5)).await;
    }
    for n in 0..ORDERS {
        let state = if n % 2 == 0 { OrderState::Shipped } else { OrderState::Delivered };
        town.until_view(&number(n), state.as_str(), |view| view.order.state >= state).await;
        let asked =
            town.result_of(&RequestReturn { order_no: number(n), reason: "尺寸不合".to_owned() }).await;
        assert_eq!(asked["asked"], true, "{asked}");
    }
    town.until_ended(ORDERS).await;
    let (_, keys) = town.truth().await;
    let mut outcomes = std::collections::BTreeSet::new();
    for n in 0..ORDERS {
        let view = town.view(&number(n)).await.expect("there");
        assert_eq!(back_fen(&view), Town::worth_back(&view, &keys), "{}", view.order.order_no);
        outcomes.insert((view.order.state.as_str(), back_fen(&view).signum()));
    }
    assert!(outcomes.len() > 1, "all ended alike: {outcomes:?}");
    town.assert_books_agree().await;
}

async fn goods_are_paid_back_once_whoever_speaks_of_them_next(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.complete_after_s = 100 * 3_600;
    let town = Town::build(engine, plan).await;
    town.order("SO-B301", &["FAKE00001", "FAKE00002"], Some(5)).await;
    town.until("SO-B301", OrderState::Delivered).await;
    let refund = |units: i64| RefundOrder {
        order_no: "SO-B301".to_owned(),
        lines: vec![ReturnedLine { product_code: "FAKE00002".to_owned(), units }],
        amount_fen: None,
        reason: "破损".to_owned(),
    };
    assert_eq!(town.result_of(&refund(1)).await["amount_fen"], 119_999);
    let courtesy = RefundOrder { lines: Vec::new(), amount_fen: Some(500), ..refund(1) };
    assert_eq!(town.result_of(&courtesy).await["amount_fen"], 500);
    assert!(town.result_of(&refund(2)).await["because"].as_str().expect("why").contains("1 units"));
    // The supplier has that unit back, and then the other one, too.
    let said = |units: i64| {
        let rest = format!(
            r#","itemList":[{{"productCode":"FAKE00002","totalQty":2,"receiveQty":2,"returnQty":{units},"rejectQty":0}}]"#
        );
        data("SO-B301", 2, &rest).replace("SO.SO-B301", "SO.X")
    };
    for (stamp, units) in [("20260105120100", 1), ("20260105120200", 1), ("20260105120300", 2)] {
        assert!(town.ylh_says(form("cancel", stamp, &said(units))).await);
    }
    let view = town.until_view("SO-B301", "three refunds", |view| view.refunds.len() == 3).await;
    assert_eq!(back_fen(&view), 2 * 119_999 + 500);
    // Whatever is left, and not a fen more.
    let too_much = RefundOrder { lines: Vec::new(), amount_fen: Some(view.order.total_fen), ..refund(1) };
    assert!(town.result_of(&too_much).await["because"].is_string());
    assert_eq!(view.order.state, OrderState::Delivered);
    assert_eq!(town.violations().await, []);
}

async fn a_delivery_is_announced_once_and_the_customer_reminded(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.remind_receipt_after_s = 300;
    let town = Town::build(engine, plan).await;
    town.order("SO-B401", &["FAKE00001"], Some(5)).await;
    town.until("SO-B401", OrderState::Completed).await;
    let reminded =
        |view: &OrderView| view.notifications.iter().any(|told| told.template == "receipt_reminder");
    town.until_view("SO-B401", "a reminder", reminded).await;
    let announced = |view: &OrderView| view.events.iter().any(|event| event.kind == "receipt");
    town.until_view("SO-B401", "an announcement", announced).await;
    town.until_ended(1).await;
    let (_, keys) = town.truth().await;
    assert_eq!(keys.effects["mini.confirm_receive"]["SO-B401"], 1);
    town.assert_books_agree().await;
}
