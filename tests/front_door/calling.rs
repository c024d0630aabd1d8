//! What the outside and the people of the shop see of the business through the door.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::json;
use windlass::front_door::business::Caller;
use windlass_jobs::callback::CALLBACK_BODY_BYTES_MAX;
use windlass_jobs::effect::{Asked, Effect, EffectKind, perform};
use windlass_jobs::outside::{Fault, OutsideError, System};

use crate::support::{Answer, TestDoor, normal};

#[tokio::test]
async fn a_callback_is_handed_over_byte_for_byte() {
    let door = TestDoor::open().await;
    let body = b"{\"id\": \"\xe8\xae\xa2\",  \"x\":1}\r\n".to_vec();
    for (path, from) in [
        ("/callbacks/ylh", Caller::Ylh),
        ("/callbacks/wechat-pay/payment", Caller::WechatPayment),
        ("/callbacks/wechat-pay/refund", Caller::WechatRefund),
    ] {
        let request =
            door.request(Method::POST, path).header("Wechatpay-Signature", "c2ln").body(body.clone());
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"code": "SUCCESS"})));
        let call = door.business.calls().pop().unwrap();
        assert_eq!((call.from, &call.body), (from, &body));
        assert!(call.headers.contains(&("wechatpay-signature".to_owned(), "c2ln".to_owned())));
    }
}

#[tokio::test]
async fn a_refused_callback_is_answered_as_the_business_says() {
    let door = TestDoor::open().await;
    let answer = Answer::of(door.request(Method::POST, "/callbacks/wechat-pay/payment").body("refuse")).await;
    assert_eq!((answer.status, answer.json()), (401, json!({"code": "FAIL"})));
}

#[tokio::test]
async fn a_callback_over_the_bound_never_reaches_the_business() {
    let door = TestDoor::open().await;
    let body = vec![b'x'; CALLBACK_BODY_BYTES_MAX + 1];
    let answer = Answer::of(door.request(Method::POST, "/callbacks/ylh").body(body)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    assert!(door.business.calls().is_empty());
}

#[tokio::test]
async fn an_order_is_told_and_a_fault_of_ours_is_not() {
    let door = TestDoor::open().await;
    let order = door.get("/v1/orders/1001").await;
    assert_eq!(order.json()["created_at"], "2026-01-05T04:00:00.000Z");
    assert_eq!(door.get("/v1/orders/1002").await.problem(), "no-such-order");
    let broken = door.get("/v1/orders/broken").await;
    assert_eq!((broken.status, broken.problem().as_str()), (500, "internal"));
    assert!(!broken.text.contains("10.0.0.7"));
}

#[tokio::test]
async fn effects_in_doubt_are_listed_for_people() {
    let door = TestDoor::open().await;
    let tell = |key: &'static str, lost: bool| {
        let effect = Effect { kind: EffectKind::MailSend, key, about: "1001" };
        let ask = || async { Ok(Asked::CannotTell) };
        let answer = if lost {
            Err(OutsideError::new(System::Mail, "send", Fault::InDoubt, "the connection broke"))
        } else {
            Ok(json!("sent"))
        };
        perform(&door.ledger, effect, ask, move || async move { answer })
    };
    tell("mail.send:1001-paid", false).await.unwrap();
    tell("mail.send:1001-shipped", true).await.unwrap();
    let told = door.get("/v1/effects?state=in_doubt").await.json();
    assert_json_snapshot!("effects_in_doubt", normal(told));
    assert_eq!(door.get("/v1/effects").await.json()["effects"].as_array().unwrap().len(), 2);
    for query in ["state=lost", "limit=501", "cursor=nonsense"] {
        assert_eq!(door.get(&format!("/v1/effects?{query}")).await.problem(), "invalid-request");
    }
    assert!(door.get("/metrics").await.text.contains("windlass_effects_in_doubt"));
}
