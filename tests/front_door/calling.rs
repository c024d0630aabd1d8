//! What the outside and the people of the shop see of the business through the door.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::json;
use windlass_jobs::callback::{CALLBACK_BODY_BYTES_MAX, CallbackVerdict, NewCallback, callback};
use windlass_jobs::effect::{Asked, Effect, EffectKind, perform};
use windlass_jobs::orders::FulfilOrder;
use windlass_jobs::outside::{Fault, OutsideError, System};
use windlass_jobs::payments::WechatCallback;
use windlass_jobs::suppliers::YLH_CALLBACK_SOURCE;
use windlass_sandbox::credentials;
use windlass_testing::attempt;

use crate::support::{Answer, TestDoor, normal};

#[tokio::test]
async fn a_callback_is_kept_byte_for_byte_although_it_is_refused() {
    let door = TestDoor::open().await;
    let serial = credentials().wechat_pay.platform_public_key_id;
    let body = b"{\"id\": \"\xe8\xae\xa2\",  \"x\":1}\r\n".to_vec();
    for (path, which) in [
        ("/callbacks/wechat-pay/payment", WechatCallback::Payment),
        ("/callbacks/wechat-pay/refund", WechatCallback::Refund),
    ] {
        let request = door
            .request(Method::POST, path)
            .header("Wechatpay-Serial", serial)
            .header("Wechatpay-Timestamp", "1767585600")
            .header("Wechatpay-Nonce", "n")
            .header("Wechatpay-Signature", "c2ln");
        let answer = Answer::of(request.body(body.clone())).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("FAIL")), "{}", answer.text);
        let kept =
            callback(&door.ledger, &NewCallback::content_id(which.source(), &body)).await.unwrap().unwrap();
        assert_eq!((kept.body, kept.verdict), (body.clone(), CallbackVerdict::Refused));
        assert_eq!(kept.headers["wechatpay-signature"], "c2ln");
    }
    assert_eq!(door.ledger.outbox_counts().await.unwrap().waiting, 0, "nothing is done about it");
}

#[tokio::test]
async fn a_supplier_is_answered_in_its_own_words() {
    let door = TestDoor::open().await;
    let body = b"AppKey=nobody&Sign=00&Method=x&TimeStamp=1&Data=%7B%7D".to_vec();
    let answer = Answer::of(door.request(Method::POST, "/callbacks/ylh").body(body.clone())).await;
    assert_eq!(answer.status, 200);
    assert_json_snapshot!("a_supplier_refused", normal(answer.json()));
    let id = NewCallback::content_id(YLH_CALLBACK_SOURCE, &body);
    assert_eq!(callback(&door.ledger, &id).await.unwrap().unwrap().body, body);
}

#[tokio::test]
async fn a_callback_over_the_bound_is_not_read() {
    let door = TestDoor::open().await;
    let body = vec![b'x'; CALLBACK_BODY_BYTES_MAX + 1];
    let answer = Answer::of(door.request(Method::POST, "/callbacks/ylh").body(body)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn an_order_is_told_with_its_story() {
    let door = TestDoor::open().await;
    assert_eq!(door.get("/v1/orders/SO-1001").await.problem(), "no-such-order");
    let job: FulfilOrder = serde_json::from_value(json!({"order": {
        "no": "SO-1001",
        "customer": {"openid": "o1", "name": "李雷", "mobile": "13000000001"},
        "address": {"province": "山东省", "city": "青岛市", "area": "崂山区", "detail": "海尔路1号", "county_code": "370212"},
        "lines": [{"product_code": "GA0001", "name": "冰箱", "quantity": 1, "unit_price_fen": 199_900}],
        "total_fen": 199_900,
    }}))
    .unwrap();
    attempt(&door.shop, job, 1).await.map_err(|e| e.cause().to_string()).unwrap();
    let told = door.get("/v1/orders/SO-1001").await.json();
    assert_json_snapshot!("an_order", normal(told));
}

#[tokio::test]
async fn effects_in_doubt_are_listed_for_people() {
    let door = TestDoor::open().await;
    let tell = |of: &'static str, lost: bool| {
        let effect = Effect { kind: EffectKind::MailSend, of, about: "1001" };
        let ask = || async { Ok(Asked::CannotTell) };
        let answer = if lost {
            Err(OutsideError::new(System::Mail, "send", Fault::InDoubt, "the connection broke"))
        } else {
            Ok(json!("sent"))
        };
        perform(&door.ledger, effect, ask, move || async move { answer })
    };
    tell("1001-paid", false).await.unwrap();
    tell("1001-shipped", true).await.unwrap();
    let told = door.get("/v1/effects?state=in_doubt").await.json();
    assert_json_snapshot!("effects_in_doubt", normal(told));
    assert_eq!(door.get("/v1/effects").await.json()["effects"].as_array().unwrap().len(), 2);
    for query in ["state=lost", "limit=501", "cursor=nonsense"] {
        assert_eq!(door.get(&format!("/v1/effects?{query}")).await.problem(), "invalid-request");
    }
    assert!(door.get("/metrics").await.text.contains("windlass_effects_in_doubt"));
}

#[tokio::test]
async fn an_effect_in_doubt_is_settled_by_whoever_found_out_and_only_once() {
    let door = TestDoor::open().await;
    let lost = || async { Err::<(), _>(OutsideError::new(System::Mail, "send", Fault::InDoubt, "it broke")) };
    for of in ["1001-paid", "1001/2"] {
        let effect = Effect { kind: EffectKind::MailSend, of, about: "1001" };
        perform(&door.ledger, effect, || async { Ok(Asked::CannotTell) }, lost).await.unwrap();
    }
    let settle = async |key: &str, body: serde_json::Value| {
        door.post(&format!("/v1/effects/{key}/settle"), &body).await
    };
    let done = json!({"outcome": "done", "reason": "the customer has it"});
    let settled = settle("mail.send:1001-paid", done.clone()).await;
    assert_eq!((settled.status, &settled.json()["outcome"]), (200, &json!("done")));
    assert_eq!(settle("mail.send:1001-paid", done.clone()).await.problem(), "not-open");
    assert_eq!(settle("mail.send:9999", done.clone()).await.problem(), "no-such-effect");
    let anew = json!({"outcome": "never_happened", "reason": "the server has no trace of it"});
    assert_eq!(settle("mail.send:1001%2F2", anew).await.status, 200);
    assert_eq!(door.get("/v1/effects?state=in_doubt").await.json()["effects"], json!([]));
    for (body, pointer) in [
        (json!({"outcome": "perhaps", "reason": "x"}), "/outcome"),
        (json!({"outcome": "done"}), "/reason"),
        (json!({"outcome": "done", "reason": " "}), "/reason"),
        (json!({"outcome": "done", "reason": "x", "who": "me"}), "/who"),
    ] {
        let refused = settle("mail.send:1001-paid", body).await.json();
        assert_eq!(refused["errors"][0]["pointer"], json!(pointer), "{refused}");
    }
}

#[tokio::test]
async fn decisions_about_what_is_not_open_are_refused_in_words() {
    let door = TestDoor::open().await;
    assert_eq!(door.get("/v1/refunds?state=needs_person").await.json()["refunds"], json!([]));
    for query in ["state=lost", "limit=501", "cursor=nonsense"] {
        assert_eq!(door.get(&format!("/v1/refunds?{query}")).await.problem(), "invalid-request");
    }
    let reason = json!({"reason": "x"});
    assert_eq!(door.post("/v1/refunds/SO-1-R1/replace", &reason).await.problem(), "no-such-refund");
    let accept = json!({"decision": "accept", "reason": "x"});
    assert_eq!(door.post("/v1/payments/SO-1001/settle", &accept).await.problem(), "no-such-order");
    let again = json!({"outcome": "again", "reason": "x"});
    assert_eq!(door.post("/v1/orders/SO-1001/upload/settle", &again).await.problem(), "no-such-order");
}
