//! facts: wechat-pay.md

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::shop::{NOON, Shop};

fn key(pem: &str) -> RsaKeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

/// The platform's public keys, taken from the private ones: a certificate is not parsed here.
fn platform_key(shop: &Shop, serial: &str) -> Vec<u8> {
    let pem = match serial {
        _ if serial == shop.is.wechat_pay.platform_serial => {
            include_str!("../../keys/TEST-ONLY-platform-certificate.key.pem")
        }
        _ if serial == shop.is.wechat_pay.platform_public_key_id => {
            include_str!("../../keys/TEST-ONLY-platform-public-key.key.pem")
        }
        _ => panic!("unknown serial {serial}"),
    };
    key(pem).public_key().as_ref().to_vec()
}

pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: String,
    pub stamp: i64,
    pub spoil: bool,
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> Asked<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: String::new(), stamp: NOON.secs(), spoil: false, headers: &[] }
    }

    pub fn post(path: &'a str, body: &Value) -> Self {
        Self { method: "POST", body: body.to_string(), ..Self::get(path) }
    }
}

pub fn is_signed(shop: &Shop, headers: &reqwest::header::HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers[name].to_str().unwrap();
    let mut message =
        format!("{}\n{}\n", header("wechatpay-timestamp"), header("wechatpay-nonce")).into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    let Ok(signature) = STANDARD.decode(header("wechatpay-signature")) else { return false };
    let key = platform_key(shop, header("wechatpay-serial"));
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(&message, &signature).is_ok()
}

/// Signs and sends.
pub async fn send(shop: &Shop, asked: &Asked<'_>) -> reqwest::Response {
    let is = &shop.is.wechat_pay;
    let Asked { method, path, body, stamp, spoil, headers } = asked;
    let nonce = "593BEC0C930BF1AFEB40B4A08C8FB242";
    let message = format!("{method}\n{path}\n{stamp}\n{nonce}\n{body}\n{}", if *spoil { "!" } else { "" });
    let key = key(is.merchant_private_key_pem);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    let authorization = format!(
        "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",timestamp=\"{stamp}\",serial_no=\"{}\",signature=\"{}\"",
        is.mchid,
        is.merchant_serial,
        STANDARD.encode(signature)
    );
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = shop.http.request(method, format!("{}{path}", shop.at().wechat_pay));
    for (name, value) in *headers {
        request = request.header(*name, *value);
    }
    request
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .body(body.clone())
        .send()
        .await
        .unwrap()
}

/// The same; the answer's signature is checked.
pub async fn ask(shop: &Shop, asked: Asked<'_>) -> (u16, Value) {
    let answer = send(shop, &asked).await;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    assert!(is_signed(shop, &headers, &body), "the answer is not signed");
    for (name, value) in asked.headers.iter().filter(|(name, _)| *name == "wechatpay-serial") {
        assert_eq!(headers[*name], *value);
    }
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

pub fn open(shop: &Shop, resource: &Value) -> Value {
    let text = |field: &str| resource[field].as_str().unwrap();
    let key = UnboundKey::new(&AES_256_GCM, shop.is.wechat_pay.api_v3_key.as_bytes()).unwrap();
    let nonce = Nonce::try_assume_unique_for_key(text("nonce").as_bytes()).unwrap();
    let mut sealed = STANDARD.decode(text("ciphertext")).unwrap();
    let plain = LessSafeKey::new(key)
        .open_in_place(nonce, Aad::from(text("associated_data").as_bytes()), &mut sealed)
        .unwrap();
    serde_json::from_slice(plain)
        .unwrap_or_else(|_| Value::String(String::from_utf8(plain.to_vec()).unwrap()))
}

pub fn query(out_trade_no: &str) -> String {
    format!("/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid=1900000001")
}

pub fn refund(out_refund_no: &str, refund: i64) -> Value {
    json!({"out_trade_no": "T10001", "out_refund_no": out_refund_no, "reason": "买家取消",
        "amount": {"refund": refund, "total": 1000, "currency": "CNY"}})
}

pub const REFUNDS: &str = "/v3/refund/domestic/refunds";

#[tokio::test]
async fn a_payment_is_told_by_a_signed_and_sealed_callback() {
    let shop = Shop::open().await;
    shop.check_out("T10001", 1000, Some(60)).await;
    let (status, before) = ask(&shop, Asked::get(&query("T10001"))).await;
    assert_eq!((status, &before["trade_state"], before.get("transaction_id")), (200, &json!("NOTPAY"), None));

    shop.clock.advance(Duration::from_secs(60));
    let taken = &shop.desk.wait("/pay", 1).await[0];
    assert!(is_signed(&shop, &taken.headers, &taken.body));
    let letter: Value = serde_json::from_slice(&taken.body).unwrap();
    assert_eq!(letter["event_type"], "TRANSACTION.SUCCESS");
    let told = open(&shop, &letter["resource"]);
    assert_eq!((&told["out_trade_no"], &told["amount"]["total"]), (&json!("T10001"), &json!(1000)));

    let stamp = shop.clock.now().secs();
    let (_, after) = ask(&shop, Asked { stamp, ..Asked::get(&query("T10001")) }).await;
    assert_eq!(after, told);
    let theirs = told["transaction_id"].as_str().unwrap();
    let path = format!("/v3/pay/transactions/id/{theirs}?mchid=1900000001");
    assert_eq!(ask(&shop, Asked { stamp, ..Asked::get(&path) }).await.1, told);
    assert_eq!(
        ask(&shop, Asked { stamp, ..Asked::get(&query("T99999")) }).await,
        (404, json!({"code": "ORDER_NOT_EXIST", "message": "订单不存在"}))
    );
}

#[tokio::test]
async fn a_request_that_is_signed_wrongly_or_too_long_ago_is_refused() {
    let shop = Shop::open().await;
    let spoiled = ask(&shop, Asked { spoil: true, ..Asked::get(&query("T10001")) }).await;
    let stale = ask(&shop, Asked { stamp: NOON.secs() - 301, ..Asked::get(&query("T10001")) }).await;
    for (status, body) in [spoiled, stale] {
        assert_eq!((status, &body["code"]), (401, &json!("SIGN_ERROR")));
    }
}

#[tokio::test]
async fn the_public_key_signs_for_who_asks_for_it() {
    let shop = Shop::open().await;
    let wanted = [("wechatpay-serial", shop.is.wechat_pay.platform_public_key_id)];
    let (status, _) = ask(&shop, Asked { headers: &wanted, ..Asked::get(&query("T99999")) }).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_platform_certificate_can_be_fetched() {
    let shop = Shop::open().await;
    let (status, body) = ask(&shop, Asked::get("/v3/certificates")).await;
    assert_eq!((status, &body["data"][0]["serial_no"]), (200, &json!(shop.is.wechat_pay.platform_serial)));
    let pem = open(&shop, &body["data"][0]["encrypt_certificate"]);
    assert_eq!(pem, json!(shop.is.wechat_pay.platform_certificate_pem));
}

#[tokio::test]
async fn a_closed_payment_is_never_paid_and_a_paid_one_never_closed() {
    let shop = Shop::open().await;
    shop.check_out("T10001", 1000, Some(60)).await;
    shop.be_paid("T10002", 1000).await;
    let close = |number: &str| format!("/v3/pay/transactions/out-trade-no/{number}/close");
    let body = json!({"mchid": "1900000001"});
    assert_eq!(ask(&shop, Asked::post(&close("T10001"), &body)).await, (204, Value::Null));
    assert_eq!(ask(&shop, Asked::post(&close("T10001"), &body)).await.1["code"], "ORDER_CLOSED");
    assert_eq!(ask(&shop, Asked::post(&close("T10002"), &body)).await.1["code"], "ORDER_PAID");
    assert_eq!(ask(&shop, Asked::post(&close("T99999"), &body)).await.0, 204);
    shop.clock.advance(Duration::from_secs(60));
    let (_, state) = ask(&shop, Asked::get(&query("T10001"))).await;
    assert_eq!(state["trade_state"], "CLOSED");
    assert_eq!(shop.effect("wechat.close").await, (1, 0));
}

#[tokio::test]
async fn one_refund_number_is_one_refund() {
    let shop = Shop::open().await;
    shop.be_paid("T10001", 1000).await;
    let first = ask(&shop, Asked::post(REFUNDS, &refund("R1", 400))).await;
    assert_eq!((first.0, &first.1["status"]), (200, &json!("PROCESSING")));
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R1", 400))).await, first);
    let other = ask(&shop, Asked::post(REFUNDS, &refund("R1", 500))).await;
    assert_eq!((other.0, &other.1["code"]), (400, &json!("INVALID_REQUEST")));
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R2", 100))).await.1["code"], "FREQUENCY_LIMITED");
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R2", 601))).await.1["code"], "INVALID_REQUEST");
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R3", 600))).await.0, 200);
    assert_eq!(ask(&shop, Asked::get(&format!("{REFUNDS}/R2"))).await.1["code"], "RESOURCE_NOT_EXISTS");
    let truth = shop.truth().await;
    assert_eq!(
        (truth.payments.refunded_fen, truth.refunds.accepted, truth.refunds.refused_over),
        (1000, 2, 1)
    );
    assert_eq!(shop.effect("wechat.refund").await, (2, 0));
}

#[tokio::test]
async fn a_refund_ends_with_a_callback() {
    let shop = Shop::open().await;
    shop.be_paid("T10001", 1000).await;
    ask(&shop, Asked::post(REFUNDS, &refund("R1", 1000))).await;
    shop.clock.advance(Duration::from_secs(300));
    let taken = &shop.desk.wait("/refund", 1).await[0];
    assert!(is_signed(&shop, &taken.headers, &taken.body));
    let letter: Value = serde_json::from_slice(&taken.body).unwrap();
    assert_eq!(letter["event_type"], "REFUND.SUCCESS");
    let told = open(&shop, &letter["resource"]);
    assert_eq!((&told["out_refund_no"], &told["refund_status"]), (&json!("R1"), &json!("SUCCESS")));
    let (_, state) = ask(&shop, Asked::get(&format!("{REFUNDS}/R1"))).await;
    assert_eq!((&state["status"], &state["success_time"]), (&json!("SUCCESS"), &told["success_time"]));
    assert_eq!(ask(&shop, Asked::get(&query("T10001"))).await.1["trade_state"], "REFUND");
}
