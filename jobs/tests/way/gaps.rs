//! The gaps that shops of this kind were found to have (facts: commerce-states.md 2), as far as no other test here
//! closes them: docs/guides/gaps.md says which test closes which.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_jobs::findings::{FindingState, FindingType};
use windlass_jobs::orders::{OrderState, OrderView, RefundOrder};
use windlass_jobs::settings::LatePayment;
use windlass_sandbox::Span;
use windlass_testing::{Engine, on_every_engine};

use crate::callbacks::{data, form, silent_town};
use crate::town::{Plan, Town, fulfil, order};

on_every_engine! {
    money_that_comes_too_late_revives_the_order_where_the_shop_wants_that,
    a_payment_that_was_refunded_at_wechat_counts_as_paid,
    a_trade_state_that_nobody_knows_changes_nothing_and_is_a_finding,
    a_refused_confirmation_is_a_finding_that_ends_with_the_refund,
    refunds_asked_for_at_once_never_exceed_the_payment_and_keep_their_distance,
    a_card_that_takes_no_refund_is_a_finding,
    money_for_an_order_that_nobody_handed_in_is_a_finding_and_not_lost,
    an_order_out_of_stock_after_its_confirmation_is_cancelled_there_and_paid_back,
    a_storm_of_callbacks_applies_each_once_in_whatever_order,
    books_that_are_wrong_are_told,
}

async fn money_that_comes_too_late_revives_the_order_where_the_shop_wants_that(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.time_to_pay_s = 60;
    plan.settings.late_payment = LatePayment::Revive;
    let town = Town::build(engine, plan).await;
    let (late, unwanted) = (order("SO-A001", &["FAKE00001"]), order("SO-A002", &["FAKE00001"]));
    town.house().accept(vec![fulfil(&late, &town.ground.clock), fulfil(&unwanted, &town.ground.clock)]).await;
    town.until("SO-A002", OrderState::Pending).await;
    // Given up by its customer, not by time.
    town.cancel("SO-A002").await;
    for no in ["SO-A001", "SO-A002"] {
        town.until(no, OrderState::Cancelled).await;
    }
    let cancelled = town.view("SO-A002").await.expect("there").order.reason;
    town.check_out(&late, Some(10)).await;
    town.check_out(&unwanted, Some(10)).await;
    let view = town.until("SO-A001", OrderState::Completed).await;
    assert_eq!(view.payment.state.as_str(), "succeeded");
    assert!(view.refunds.is_empty());
    // Which of the two gave it up first is chance; only time may be undone.
    if cancelled == "不想要了" {
        let back = |view: &OrderView| view.refunds.iter().any(|refund| refund.state.as_str() == "succeeded");
        let view = town.until_view("SO-A002", "its money back", back).await;
        assert_eq!(view.order.state, OrderState::Cancelled);
    }
    town.until_ended(2).await;
    town.assert_books_agree().await;
}

async fn a_payment_that_was_refunded_at_wechat_counts_as_paid(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-A101").await;
    let courtesy = RefundOrder {
        order_no: "SO-A101".to_owned(),
        lines: Vec::new(),
        amount_fen: Some(100),
        reason: "迟到".to_owned(),
    };
    town.result_of(&courtesy).await;
    let made = |view: &OrderView| view.refunds.iter().any(|refund| refund.state.as_str() == "succeeded");
    town.until_view("SO-A101", "a refund", made).await;
    // As if nobody had told us of the payment: WeChat says REFUND from now on.
    town.write("UPDATE payments SET state = 'paying', paid_fen = 0, transaction_id = NULL, known_by = ''")
        .await;
    town.write("UPDATE orders SET state = 'pending', touched_at = 0").await;
    let paid = |view: &OrderView| view.payment.known_by == "query";
    let view = town.until_view("SO-A101", "its payment", paid).await;
    assert_eq!((view.payment.state.as_str(), view.payment.paid_fen), ("succeeded", view.order.total_fen));
    assert_ne!(view.order.state, OrderState::Pending);
}

async fn a_trade_state_that_nobody_knows_changes_nothing_and_is_a_finding(engine: Engine) {
    let town = Town::calm(engine).await;
    let mut odd = order("SO-A201", &["FAKE00001"]);
    odd.customer.openid = "openid-ODDSTATE".to_owned();
    town.check_out(&odd, Some(1_200)).await;
    town.house().accept(vec![fulfil(&odd, &town.ground.clock)]).await;
    let found = town.until_finding("SO-A201", FindingType::Status, FindingState::Open).await;
    assert_eq!(found.evidence["trade_state"], "HELD");
    // Neither failed nor given up: it goes on when it is paid.
    town.until("SO-A201", OrderState::Completed).await;
    town.until_ended(1).await;
    assert_eq!(town.findings("SO-A201").await.len(), 1);
    town.assert_books_agree().await;
}

async fn a_refused_confirmation_is_a_finding_that_ends_with_the_refund(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-A301", &["FAIL0001"], Some(10)).await;
    let view = town.until("SO-A301", OrderState::Refused).await;
    assert_eq!(view.refunds[0].amount_fen, view.order.total_fen);
    let found = town.until_finding("SO-A301", FindingType::SupplierRejected, FindingState::Resolved).await;
    assert_eq!(
        (found.settled_by.as_deref(), found.amount_fen),
        (Some("windlass"), Some(view.order.total_fen))
    );
    town.until_ended(1).await;
    town.assert_books_agree().await;
}

async fn refunds_asked_for_at_once_never_exceed_the_payment_and_keep_their_distance(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-A401").await;
    let total_fen = town.view("SO-A401").await.expect("there").order.total_fen;
    let asked = RefundOrder {
        order_no: "SO-A401".to_owned(),
        lines: Vec::new(),
        amount_fen: Some(total_fen * 3 / 10),
        reason: "补偿".to_owned(),
    };
    let (one, two, three, four, five) = tokio::join!(
        town.result_of(&asked),
        town.result_of(&asked),
        town.result_of(&asked),
        town.result_of(&asked),
        town.result_of(&asked)
    );
    let made = [one, two, three, four, five].iter().filter(|result| result["refund_no"].is_string()).count();
    assert_eq!(made, 3, "the fourth would be more than was paid");
    let view = town
        .until_view("SO-A401", "its refunds", |view| {
            view.refunds.len() == 3 && view.refunds.iter().all(|refund| refund.state.as_str() == "succeeded")
        })
        .await;
    assert_eq!(view.order.state, OrderState::Placed, "a courtesy moves no order");
    let mut accepted: Vec<_> =
        town.truth().await.1.refunds.values().map(|refund| refund.accepted_at).collect();
    accepted.sort_unstable();
    assert!(accepted.windows(2).all(|pair| pair[1].since(pair[0]).as_secs() >= 60), "{accepted:?}");
    assert_eq!(town.violations().await, []);
}

async fn a_card_that_takes_no_refund_is_a_finding(engine: Engine) {
    let town = Town::calm(engine).await;
    let mut asked = order("SO-A501", &["NONE0001"]);
    asked.customer.openid = "openid-ABNORMAL".to_owned();
    town.check_out(&asked, Some(10)).await;
    town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
    let found = town.until_finding("SO-A501", FindingType::RefundAbnormal, FindingState::Open).await;
    assert_eq!((found.key.as_str(), found.amount_fen), ("SO-A501-R1", Some(asked.total_fen)));
    let view = town.view("SO-A501").await.expect("there");
    assert_eq!(view.order.state, OrderState::Refusing, "it is not over: the customer has no money");
    assert_eq!(town.tally().await.needs_person, 1);
    assert_eq!(town.violations().await, []);
}

async fn money_for_an_order_that_nobody_handed_in_is_a_finding_and_not_lost(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.unknown_order_after_s = 120;
    let town = Town::build(engine, plan).await;
    let lost = order("SO-A601", &["FAKE00001"]);
    // Its fulfil_order is dead, or was never handed in.
    town.check_out(&lost, Some(5)).await;
    let found = town.until_finding("SO-A601", FindingType::Long, FindingState::Open).await;
    assert_eq!(found.amount_fen, Some(lost.total_fen));
    // Somebody mends it: the money is found without its callback.
    town.house().accept(vec![fulfil(&lost, &town.ground.clock)]).await;
    let view = town.until("SO-A601", OrderState::Completed).await;
    assert_eq!(view.payment.known_by, "query");
    town.until_finding("SO-A601", FindingType::Long, FindingState::Resolved).await;
    town.until_ended(1).await;
    town.assert_books_agree().await;
}

async fn an_order_out_of_stock_after_its_confirmation_is_cancelled_there_and_paid_back(engine: Engine) {
    let town = Town::calm(engine).await;
    town.order("SO-A701", &["FAKE00001", "LACK00001"], Some(10)).await;
    let view = town.until("SO-A701", OrderState::Refused).await;
    assert!(view.order.reason.contains("仓库缺货"), "{}", view.order.reason);
    assert_eq!(view.refunds[0].amount_fen, view.order.total_fen);
    town.until_ended(1).await;
    let (truth, _) = town.truth().await;
    assert_eq!((truth.orders.cancelled, truth.orders.shipped), (1, 0));
    town.assert_books_agree().await;
}

const STORMED: usize = 30;

/// Confirmations and two stages of a rejection for each order, a third of them twice, in an order that chance makes.
async fn a_storm_of_callbacks_applies_each_once_in_whatever_order(engine: Engine) {
    let town = Arc::new(silent_town(engine).await);
    let numbers: Vec<String> = (0..STORMED).map(|n| format!("SO-S{n:03}")).collect();
    for no in &numbers {
        town.order(no, &["FAKE00001", "FAKE00002"], Some(5)).await;
    }
    for no in &numbers {
        town.until(no, OrderState::Placed).await;
    }
    let back = |rejected: i64| {
        format!(
            r#","itemList":[{{"productCode":"FAKE00002","totalQty":2,"receiveQty":0,"returnQty":0,"rejectQty":{rejected}}}]"#
        )
    };
    let mut storm: Vec<Vec<u8>> = Vec::new();
    for no in &numbers {
        storm.push(form("confirm", "20260105120000", &data(no, 1, "")));
        storm.push(form("cancel", "20260105120100", &data(no, 2, &back(1))));
        storm.push(form("cancel", "20260105120200", &data(no, 2, &back(2))));
    }
    let again: Vec<_> = storm.iter().step_by(2).cloned().collect();
    storm.extend(again);
    fastrand::Rng::with_seed(11).shuffle(&mut storm);
    let door = town.house().door;
    let sent = storm.into_iter().map(|body| tokio::spawn(async move { post(door, &body).await }));
    for answer in sent.collect::<Vec<_>>() {
        let answer = answer.await.expect("sent");
        assert!(answer.contains(r#""success":true"#), "{answer}");
    }
    for no in &numbers {
        let view = town.heard(no, 3).await;
        let back: i64 = view.refunds.iter().map(|refund| refund.amount_fen).sum();
        assert_eq!((view.order.state, back), (OrderState::Confirmed, 2 * 119_999), "{no}");
    }
    assert_eq!(town.violations().await, []);
}

async fn post(door: std::net::SocketAddr, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(door).await.expect("the door is open");
    let head = format!("POST /ylh HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

async fn books_that_are_wrong_are_told(engine: Engine) {
    let mut plan = Plan::calm();
    plan.pace.confirm = Span::hours(100, 101);
    let town = Town::build(engine, plan).await;
    town.order("SO-A801", &["FAKE00001"], Some(5)).await;
    town.until("SO-A801", OrderState::Placed).await;
    assert_eq!(town.violations().await, []);
    town.write("UPDATE payments SET paid_fen = 0, state = 'closed'").await;
    town.write(
        "INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, requested_at, touched_at) \
         VALUES ('SO-A801-R9', 'SO-A801', 9, 1, '', 'abnormal', 0, 9000000000000000)",
    )
    .await;
    let rules: Vec<String> = town.violations().await.into_iter().map(|violation| violation.rule).collect();
    assert_eq!(
        rules,
        [
            "no more goes back than was paid",
            "an order that goes on was paid",
            "a refund that came to nothing is a finding",
        ]
    );
}
