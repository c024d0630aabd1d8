//! Callbacks that come twice, late, out of order, forged, or about nothing: what is said once counts once.

use md5::{Digest, Md5};
use windlass_jobs::orders::{OrderState, OrderView};
use windlass_jobs::payments::{WechatCallback, receive_wechat_callback};
use windlass_jobs::suppliers::receive_ylh_callback;
use windlass_sandbox::{Span, credentials};
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town, fulfil, order};

on_every_engine! {
    confirmations_that_come_again_or_too_late_change_nothing,
    a_cancel_answer_before_the_confirmation_ends_the_order,
    goods_that_came_back_are_paid_back_once_however_often_it_is_said,
    an_order_that_turns_out_to_be_out_of_stock_is_cancelled_there_before_it_is_refused,
    an_order_that_the_supplier_keeps_goes_on_and_can_be_cancelled_later,
    forged_callbacks_and_those_about_unknown_orders_are_kept_and_not_acted_on,
    a_payment_that_is_asked_for_while_it_is_called_back_counts_once,
    a_payment_of_another_amount_is_left_to_a_person,
    an_order_that_waits_for_a_person_is_told_of_once_and_not_looked_at_again_and_again,
    callbacks_in_any_order_and_any_number_end_in_the_same_state,
    a_notice_that_wechat_did_not_sign_is_answered_401_and_kept,
}

/// A form as YLH sends it, signed (facts: ylh.md 9).
pub fn form(method: &str, stamp: &str, data: &str) -> Vec<u8> {
    signed(method, stamp, data, credentials().ylh.callback_secret)
}

fn signed(method: &str, stamp: &str, data: &str, secret: &str) -> Vec<u8> {
    let key = credentials().ylh.callback_app_key;
    let method = format!("hmm.scm_heorder.{method}");
    let text = format!("{secret}AppKey{key}Data{data}Method{method}TimeStamp{stamp}{secret}").to_lowercase();
    let sign: String = Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
    let escape = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs = [("AppKey", key), ("Data", data), ("Method", &method), ("TimeStamp", stamp), ("Sign", &sign)];
    let fields: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    fields.join("&").into_bytes()
}

impl Town {
    /// YLH calls; answers whether we took it.
    pub async fn ylh_says(&self, body: Vec<u8>) -> bool {
        let shop = self.house().shop.clone();
        let answer = self.house().on_runtime(async move { receive_ylh_callback(&shop, &body).await }).await;
        assert_eq!(answer.status, 200);
        answer.body["success"].as_bool().expect("an answer of YLH's form")
    }

    pub async fn heard(&self, no: &str, callbacks: usize) -> OrderView {
        self.until_view(no, "having heard the callbacks", |view| {
            view.events.iter().filter(|event| event.kind == "supplier_callback").count() == callbacks
        })
        .await
    }

    /// An order that YLH has and says nothing of by itself.
    pub async fn placed(&self, no: &str) {
        self.order(no, &["FAKE00001", "FAKE00002"], Some(5)).await;
        self.until(no, OrderState::Placed).await;
    }
}

pub async fn silent_town(engine: Engine) -> Town {
    let mut plan = Plan::calm();
    plan.pace.confirm = Span::hours(100, 101);
    plan.pace.cancel_answer = Span::hours(100, 101);
    Town::build(engine, plan).await
}

pub fn data(no: &str, state: i64, rest: &str) -> String {
    format!(r#"{{"ExtOrderNo":"SO.{no}","PlatformOrderNo":"{no}-1","State":{state}{rest}}}"#)
}

async fn confirmations_that_come_again_or_too_late_change_nothing(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7001").await;
    assert!(town.ylh_says(form("confirm", "20260105120000", &data("SO-7001", 1, ""))).await);
    assert!(
        town.ylh_says(form("confirm", "20260105120000", &data("SO-7001", 1, ""))).await,
        "the same again"
    );
    assert!(town.ylh_says(form("confirm", "20260105120100", &data("SO-7001", 1, ""))).await, "a repeat");
    let late = data("SO-7001", 0, r#","failMsg":"late"}"#).replace("}}", "}");
    assert!(town.ylh_says(form("confirm", "20260105120200", &late)).await, "an older refusal");
    // The second was the first, byte for byte.
    let view = town.heard("SO-7001", 3).await;
    assert_eq!(view.order.state, OrderState::Confirmed);
    assert_eq!(view.supplier_order.expect("placed").haier_no, "SO.SO-7001");
    assert!(view.refunds.is_empty());
}

async fn a_cancel_answer_before_the_confirmation_ends_the_order(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7002").await;
    let items = r#","itemList":"[{\"productCode\":\"FAKE00001\",\"totalQty\":1,\"receiveQty\":0,\"returnQty\":0,\"rejectQty\":1}]""#;
    assert!(town.ylh_says(form("cancel", "20260105120100", &data("SO-7002", 1, items))).await);
    assert!(town.ylh_says(form("confirm", "20260105120000", &data("SO-7002", 1, ""))).await);
    let view = town.until("SO-7002", OrderState::Refused).await;
    assert_eq!(view.supplier_order.expect("placed").state.as_str(), "cancelled");
    let view = town.heard("SO-7002", 2).await;
    assert_eq!(view.refunds.len(), 1);
    assert_eq!(view.order.state, OrderState::Refused);
}

async fn goods_that_came_back_are_paid_back_once_however_often_it_is_said(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7003").await;
    assert!(town.ylh_says(form("confirm", "20260105120000", &data("SO-7003", 1, ""))).await);
    town.until("SO-7003", OrderState::Confirmed).await;
    let back = |rejected: i64| {
        format!(
            r#","itemList":[{{"productCode":"FAKE00002","totalQty":2,"receiveQty":0,"returnQty":0,"rejectQty":{rejected}}}]"#
        )
    };
    for stamp in ["20260105120100", "20260105120200"] {
        assert!(town.ylh_says(form("cancel", stamp, &data("SO-7003", 2, &back(1)))).await);
    }
    let view = town.heard("SO-7003", 3).await;
    let amounts: Vec<i64> = view.refunds.iter().map(|refund| refund.amount_fen).collect();
    assert_eq!(amounts, [119_999], "one unit of the second line");
    assert!(town.ylh_says(form("cancel", "20260105120300", &data("SO-7003", 2, &back(2)))).await);
    let view = town.heard("SO-7003", 4).await;
    let amounts: Vec<i64> = view.refunds.iter().map(|refund| refund.amount_fen).collect();
    assert_eq!(amounts, [119_999, 119_999], "and the other");
    assert_eq!(view.order.state, OrderState::Confirmed);
}

async fn an_order_that_turns_out_to_be_out_of_stock_is_cancelled_there_before_it_is_refused(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7004").await;
    assert!(town.ylh_says(form("oostock", "20260105120000", &data("SO-7004", 1, ""))).await);
    town.until_view("SO-7004", "asking YLH to cancel", |view| {
        view.supplier_order.as_ref().is_some_and(|supplier| supplier.cancel.as_str() == "asked")
    })
    .await;
    assert!(town.view("SO-7004").await.expect("there").refunds.is_empty(), "YLH has not let go yet");
    assert!(town.ylh_says(form("cancel", "20260105120100", &data("SO-7004", 1, ""))).await);
    let view = town.until("SO-7004", OrderState::Refused).await;
    assert_eq!(view.refunds[0].amount_fen, view.order.total_fen);
}

async fn an_order_that_the_supplier_keeps_goes_on_and_can_be_cancelled_later(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7008").await;
    assert!(town.ylh_says(form("confirm", "20260105120000", &data("SO-7008", 1, ""))).await);
    town.until("SO-7008", OrderState::Confirmed).await;
    let asked = |times: i64| {
        move |view: &OrderView| {
            let supplier = view.supplier_order.as_ref().expect("placed");
            supplier.cancel.as_str() == "asked" && supplier.cancels == times
        }
    };
    town.cancel("SO-7008").await;
    town.until_view("SO-7008", "asking YLH to cancel", asked(1)).await;
    assert!(town.ylh_says(form("cancel", "20260105120100", &data("SO-7008", 0, ""))).await);
    let view = town.until("SO-7008", OrderState::Confirmed).await;
    assert!(view.refunds.is_empty(), "the customer gets the goods, not the money");

    town.cancel("SO-7008").await;
    town.until_view("SO-7008", "asking YLH again", asked(2)).await;
    assert!(town.ylh_says(form("cancel", "20260105120200", &data("SO-7008", 1, ""))).await);
    let view = town.until("SO-7008", OrderState::Cancelled).await;
    assert_eq!(view.refunds.len(), 1);
}

async fn forged_callbacks_and_those_about_unknown_orders_are_kept_and_not_acted_on(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-7005").await;
    let forged = signed("confirm", "20260105120000", &data("SO-7005", 0, ""), "guessed");
    assert!(!town.ylh_says(forged).await);
    assert!(!town.ylh_says(form("confirm", "20260105120000", &data("SO-9999", 0, ""))).await);
    assert!(!town.ylh_says(b"%%%".to_vec()).await);
    let ledger = town.house().shop.ledger.clone();
    let kept: (i64, i64) = town
        .house()
        .on_runtime(async move {
            let sql =
                "SELECT COUNT(*) AS n, COUNT(handled_at) AS handled FROM callbacks WHERE source = 'ylh'";
            sqlx::query_as(sql).fetch_one(ledger.reads()).await.expect("counted")
        })
        .await;
    assert_eq!(kept, (3, 0));
    assert_eq!(town.view("SO-7005").await.expect("there").order.state, OrderState::Placed);
}

async fn a_payment_that_is_asked_for_while_it_is_called_back_counts_once(engine: Engine) {
    let town = Town::calm(engine).await;
    // The customer pays at the very moment at which the shop asks for the first time.
    for n in 0..10 {
        town.order(&format!("SO-71{n:02}"), &["FAKE00001"], Some(5)).await;
    }
    town.until_ended(10).await;
    for n in 0..10 {
        let view = town.view(&format!("SO-71{n:02}")).await.expect("there");
        assert_eq!(view.events.iter().filter(|event| event.kind == "paid").count(), 1);
        assert_eq!(view.payment.paid_fen, view.order.total_fen);
    }
    town.assert_books_agree().await;
}

async fn a_payment_of_another_amount_is_left_to_a_person(engine: Engine) {
    let town = Town::calm(engine).await;
    let asked = order("SO-7006", &["FAKE00001"]);
    let mut paid = asked.clone();
    paid.total_fen -= 1;
    town.check_out(&paid, Some(5)).await;
    town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
    let view =
        town.until_view("SO-7006", "a dispute", |view| view.payment.state.as_str() == "disputed").await;
    assert_eq!(view.order.state, OrderState::Pending);
    assert!(view.events.iter().any(|event| event.kind == "finding"));
    assert_eq!(town.tally().await.needs_person, 1);
}

async fn an_order_that_waits_for_a_person_is_told_of_once_and_not_looked_at_again_and_again(engine: Engine) {
    let mut plan = Plan::calm();
    plan.settings.time_to_pay_s = 600;
    plan.settings.sweep_after_s = 60;
    let town = Town::build(engine, plan).await;
    let (first, other) = (order("SO-7301", &["FAKE00001"]), order("SO-7302", &["FAKE00001"]));
    let mut odd = order("SO-7303", &["FAKE00001"]);
    town.check_out(&first, Some(5)).await;
    town.house().accept(vec![fulfil(&first, &town.ground.clock)]).await;
    town.until("SO-7301", OrderState::Completed).await;
    town.check_out(&other, Some(5)).await;
    // The other's payment is in the books already, as the first order's.
    let paid = town.look(async || town.truth().await.1.payments["SO-7302"].transaction_id.clone()).await;
    let paid = paid.expect("the other order was not paid");
    town.write(&format!("UPDATE payments SET transaction_id = '{paid}' WHERE order_no = 'SO-7301'")).await;
    town.house().accept(vec![fulfil(&other, &town.ground.clock), fulfil(&odd, &town.ground.clock)]).await;
    odd.total_fen -= 1;
    town.check_out(&odd, Some(5)).await;
    for no in ["SO-7302", "SO-7303"] {
        town.until_view(no, "a dispute", |view| view.payment.state.as_str() == "disputed").await;
    }

    // Far beyond their time to pay, and as many looks as they would get in hours.
    let much_later = town.ground.clock.now() + std::time::Duration::from_secs(1_800);
    while town.ground.clock.now() < much_later {
        town.runs("sweep_orders", 1).await;
    }
    for no in ["SO-7302", "SO-7303"] {
        let view = town.view(no).await.expect("there");
        assert_eq!(view.events.iter().filter(|event| event.kind == "finding").count(), 1, "{no}");
        assert!(view.order.version < 5, "{}: {:#?}", view.order.version, view.events);
    }
    assert_eq!(town.view("SO-7302").await.expect("there").payment.paid_fen, 0, "it is the first order's");
    assert_eq!(town.tally().await.needs_person, 2);
}

async fn callbacks_in_any_order_and_any_number_end_in_the_same_state(engine: Engine) {
    let town = silent_town(engine).await;
    let back = |rejected: i64| {
        format!(
            r#","itemList":[{{"productCode":"FAKE00002","totalQty":2,"receiveQty":0,"returnQty":0,"rejectQty":{rejected}}}]"#
        )
    };
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (n, order) in orders.into_iter().enumerate() {
        let no = format!("SO-72{n:02}");
        town.placed(&no).await;
        let said = [
            form("confirm", "20260105120000", &data(&no, 1, "")),
            form("cancel", "20260105120100", &data(&no, 2, &back(1))),
            form("cancel", "20260105120200", &data(&no, 2, &back(2))),
        ];
        for (heard, which) in order.into_iter().enumerate() {
            assert!(town.ylh_says(said[which].clone()).await);
            town.heard(&no, heard + 1).await;
            assert!(town.ylh_says(said[which].clone()).await, "and again");
        }
        let view = town.until(&no, OrderState::Confirmed).await;
        let back: i64 = view.refunds.iter().map(|refund| refund.amount_fen).sum();
        assert_eq!(back, 2 * 119_999, "{order:?}");
    }
}

async fn a_notice_that_wechat_did_not_sign_is_answered_401_and_kept(engine: Engine) {
    let town = Town::calm(engine).await;
    let shop = town.house().shop.clone();
    let headers: Vec<(String, String)> = [
        ("Wechatpay-Serial", credentials().wechat_pay.platform_serial),
        ("Wechatpay-Timestamp", "1767585600"),
        ("Wechatpay-Nonce", "nonce"),
        ("Wechatpay-Signature", "WECHATPAY/SIGNTEST/bm90IGEgc2lnbmF0dXJl"),
        ("Authorization", "never kept"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let (status, kept) = town
        .house()
        .on_runtime(async move {
            let answer = receive_wechat_callback(&shop, WechatCallback::Payment, &headers, b"{}").await;
            let sql = "SELECT verdict, headers FROM callbacks WHERE source = 'wechat_pay.payment'";
            let kept: (String, String) =
                sqlx::query_as(sql).fetch_one(shop.ledger.reads()).await.expect("kept");
            (answer.status, kept)
        })
        .await;
    assert_eq!((status, kept.0.as_str()), (401, "refused"));
    assert!(kept.1.contains("SIGNTEST") && !kept.1.contains("never kept"), "{}", kept.1);
}
