//! Refunds that do not go well, payments that the shop places itself, callbacks that are spoiled.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_sandbox::{Faults, Span};

use crate::shop::Shop;
use crate::wechat_pay::{Asked, REFUNDS, ask, is_signed, open, query, refund};

const JSAPI: &str = "/v3/pay/transactions/jsapi";

async fn at_now(shop: &Shop, asked: Asked<'_>) -> (u16, Value) {
    ask(shop, Asked { stamp: shop.clock.now().secs(), ..asked }).await
}

fn placed(shop: &Shop, total: i64) -> Value {
    json!({"appid": shop.is.wechat_pay.appid, "mchid": shop.is.wechat_pay.mchid, "description": "冰箱",
        "out_trade_no": "T10001", "notify_url": "http://127.0.0.1/pay", "payer": {"openid": "oTEST"},
        "amount": {"total": total, "currency": "CNY"}})
}

#[tokio::test]
async fn a_payment_that_the_shop_placed_waits_for_its_customer() {
    let shop = Shop::open().await;
    let (status, first) = at_now(&shop, Asked::post(JSAPI, &placed(&shop, 1_000))).await;
    assert_eq!((status, first["prepay_id"].as_str().unwrap().starts_with("wx")), (200, true));
    assert_eq!(at_now(&shop, Asked::post(JSAPI, &placed(&shop, 1_000))).await.1, first);
    let other = at_now(&shop, Asked::post(JSAPI, &placed(&shop, 999))).await;
    assert_eq!((other.0, &other.1["code"]), (403, &json!("OUT_TRADE_NO_USED")));
    assert_eq!(at_now(&shop, Asked::get(&query("T10001"))).await.1["trade_state"], "NOTPAY");
    shop.be_paid("T10001", 1_000).await;
    assert_eq!(at_now(&shop, Asked::get(&query("T10001"))).await.1["trade_state"], "SUCCESS");
    assert_eq!(at_now(&shop, Asked::post(JSAPI, &placed(&shop, 1_000))).await.1["code"], "ORDER_PAID");
    assert_eq!(shop.truth().await.payments.offered, 1);
}

#[tokio::test]
async fn a_payment_that_is_placed_wrongly_is_refused_with_the_field() {
    let shop = Shop::open().await;
    let wrong = |pointer: &str, value: Value| {
        let mut body = placed(&shop, 1_000);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, told) in [
        (wrong("/out_trade_no", json!("T1")), "out_trade_no"),
        (wrong("/description", json!("")), "description"),
        (wrong("/amount/total", json!(0)), "total"),
        (wrong("/amount/currency", json!("USD")), "currency"),
        (wrong("/notify_url", json!("http://127.0.0.1/pay?a=b")), "notify_url"),
        (wrong("/payer/openid", json!("")), "openid"),
    ] {
        let (status, answer) = at_now(&shop, Asked::post(JSAPI, &body)).await;
        assert_eq!((status, &answer["code"]), (400, &json!("PARAM_ERROR")));
        assert!(answer["message"].as_str().unwrap().contains(told), "{answer}");
    }
    let (_, answer) = at_now(&shop, Asked::post(JSAPI, &wrong("/mchid", json!("1")))).await;
    assert_eq!(answer["code"], "APPID_MCHID_NOT_MATCH");
}

#[tokio::test]
async fn an_abnormal_refund_goes_to_another_account() {
    let shop = Shop::open_with(|config| config.pace.refunds.abnormal_per_mille = 1_000).await;
    shop.be_paid("T10001", 1_000).await;
    let (_, made) = at_now(&shop, Asked::post(REFUNDS, &refund("R1", 1_000))).await;
    let redirect = format!("{REFUNDS}/{}/apply-abnormal-refund", made["refund_id"].as_str().unwrap());
    let body = json!({"out_refund_no": "R1", "type": "MERCHANT_BANK_CARD"});
    assert_eq!(at_now(&shop, Asked::post(&redirect, &body)).await.1["code"], "INVALID_REQUEST");
    shop.clock.advance(Duration::from_secs(300));
    shop.until(|truth| truth.refunds.abnormal == 1).await;
    let (status, told) = at_now(&shop, Asked::post(&redirect, &body)).await;
    assert_eq!((status, &told["status"]), (200, &json!("PROCESSING")));
    shop.clock.advance(Duration::from_secs(300));
    shop.until(|truth| truth.refunds.succeeded == 1).await;
    assert_eq!(shop.effect("wechat.refund").await, (1, 0));
}

#[tokio::test]
async fn refunds_are_slow_and_the_balance_short_for_a_while() {
    let shop = Shop::open_with(|config| {
        config.pace.refunds.slow_per_mille = 1_000;
        config.pace.refunds.slow = Span::hours(30, 30);
        config.pace.refunds.short_per_mille = 1_000;
        config.pace.refunds.short = Span::minutes(5, 5);
    })
    .await;
    shop.be_paid("T10001", 1_000).await;
    let asked = refund("R1", 1_000);
    for minutes in [1, 4] {
        assert_eq!(at_now(&shop, Asked::post(REFUNDS, &asked)).await.1["code"], "NOT_ENOUGH");
        shop.clock.advance(Duration::from_secs(60 * minutes));
    }
    assert_eq!(at_now(&shop, Asked::post(REFUNDS, &asked)).await.1["status"], "PROCESSING");
    shop.clock.advance(Duration::from_secs(29 * 3_600));
    assert_eq!(at_now(&shop, Asked::get(&format!("{REFUNDS}/R1"))).await.1["status"], "PROCESSING");
    shop.clock.advance(Duration::from_secs(3_600));
    shop.until(|truth| truth.refunds.succeeded == 1).await;
}

#[tokio::test]
async fn spoiled_callbacks_come_before_the_right_ones_and_replays_after_them() {
    let shop = Shop::open_with(|config| config.faults = Faults::Storm).await;
    for nth in 0..250 {
        shop.check_out(&format!("T{nth:05}"), 100, Some(0)).await;
    }
    shop.in_time(Duration::from_secs(600), |truth| truth.callbacks.taken == 250).await;
    let key = shop.is.wechat_pay.api_v3_key.as_bytes();
    let (mut seen, mut ids, mut numbers) = (HashSet::new(), HashSet::new(), Vec::new());
    for taken in shop.desk.taken("/pay") {
        let letter: Value = serde_json::from_slice(&taken.body).unwrap();
        let header =
            |name: &str| taken.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let stamp: i64 = header("wechatpay-timestamp").parse().unwrap();
        let serial = header("wechatpay-serial");
        seen.insert(if shop.clock.now().secs() - stamp > 20 * 24 * 3_600 {
            "stale"
        } else if serial != shop.is.wechat_pay.platform_serial && !serial.starts_with("PUB_KEY_ID") {
            "unknown serial"
        } else if letter["resource_type"] == "encrypt-Resource" {
            assert!(!is_signed(&shop, &taken.headers, &taken.body));
            "changed"
        } else if header("wechatpay-signature").starts_with("WECHATPAY/SIGNTEST/") {
            "probe"
        } else if !taken.headers.contains_key("wechatpay-signature") {
            "unsigned"
        } else if !opens(key, &letter["resource"]) {
            "another's secret"
        } else if is_signed(&shop, &taken.headers, &taken.body) {
            ids.insert(letter["id"].as_str().unwrap().to_owned());
            numbers.push(open(&shop, &letter["resource"])["out_trade_no"].clone());
            "right"
        } else {
            "badly signed"
        });
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(ids.len() > 250 && numbers.len() > ids.len(), "no replays under new ids, or none twice");
}

fn opens(key: &[u8], resource: &Value) -> bool {
    use base64::Engine as _;
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let text = |field: &str| resource[field].as_str().unwrap();
    let nonce = Nonce::try_assume_unique_for_key(text("nonce").as_bytes()).unwrap();
    let mut sealed = base64::engine::general_purpose::STANDARD.decode(text("ciphertext")).unwrap();
    key.open_in_place(nonce, Aad::from(text("associated_data").as_bytes()), &mut sealed).is_ok()
}
