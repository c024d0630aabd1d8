//! The control port.

use serde_json::{Value, json};
use windlass_sandbox::Truth;

use crate::shop::{Shop, json_of};

async fn get(shop: &Shop, path: &str) -> reqwest::Response {
    shop.http.get(format!("{}{path}", shop.at().control)).send().await.unwrap()
}

async fn post(shop: &Shop, path: &str, body: &Value) -> u16 {
    let url = format!("{}{path}", shop.at().control);
    shop.http.post(url).json(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_truth_told_over_the_port_is_the_truth() {
    let shop = Shop::open().await;
    assert_eq!(get(&shop, "/livez").await.status(), 200);
    shop.be_paid("T10001", 1000).await;
    shop.until(|truth| truth.callbacks.taken == 1).await;
    let told: Truth = serde_json::from_value(json_of(get(&shop, "/truth").await).await).unwrap();
    assert_eq!(told, shop.sandbox.truth().await);
    let told: Truth = serde_json::from_value(json_of(get(&shop, "/truth?keys=true").await).await).unwrap();
    assert_eq!(told, shop.truth().await);
    assert_eq!(told.keys.unwrap().payments["T10001"].total_fen, 1000);
}

#[tokio::test]
async fn a_checkout_that_is_wrong_is_refused_and_none_of_its_batch_is_taken() {
    let shop = Shop::open().await;
    let checkout = |number: &str, fen: i64| json!({"out_trade_no": number, "total_fen": fen, "openid": "o", "pays_after_s": 1});
    for wrong in [checkout("T1", 1), checkout("T10001", 0), checkout("T 1000", 1)] {
        assert_eq!(post(&shop, "/control/payments", &json!([checkout("T20001", 1), wrong])).await, 422);
    }
    let too_many: Vec<_> = (0..1_001).map(|n| checkout(&format!("T{n:06}"), 1)).collect();
    assert_eq!(post(&shop, "/control/payments", &json!(too_many)).await, 422);
    assert_eq!(post(&shop, "/control/faults", &json!({"faults": "gale"})).await, 422);
    assert_eq!(shop.truth().await.payments.offered, 0);
}

#[tokio::test]
async fn nothing_answers_after_a_stop() {
    let shop = Shop::open().await;
    let control = shop.at().control;
    shop.sandbox.stop().await;
    let again = crate::shop::client().get(format!("{control}/livez")).send().await;
    assert!(again.is_err());
}
