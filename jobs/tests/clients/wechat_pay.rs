use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use windlass_engine::Clock;
use windlass_jobs::money::Fen;
use windlass_jobs::outside::{Fault, OutsideError};
use windlass_jobs::payments::wechat_pay::{
    CLOCK_WINDOW, CloseAnswer, Distrust, Event, MerchantKey, NoticeContent, PaymentRef, PlatformKeys, Refund,
    RefundRequest, RefundStatus, Refused, TradeState, WechatPay, WechatPaySettings,
};
use windlass_testing::script::{Reply, Request, Script, json, nobody, status};

use crate::{CALL_TIMEOUT, START, http};

pub const MERCHANT_PKCS8: &str = include_str!("keys/merchant_pkcs8.pem");
const MERCHANT_PKCS1: &str = include_str!("keys/merchant_pkcs1.pem");
pub const MERCHANT_PUBLIC: &str = include_str!("keys/merchant_public.pem");
const PLATFORM_PKCS1: &str = include_str!("keys/platform_pkcs1.pem");
const PLATFORM_CERTIFICATE: &str = include_str!("keys/platform_certificate.pem");
const SERIAL: &str = "5E000000000000000000000000000000FACADE77";
const API_V3_KEY: &str = "TESTONLYkey0123456789abcdefghijk";
const NONCE: &str = "CBNONCE0000000000000000000000001";

const TRANSACTION: &str = r#"{"appid":"wxfake0000000001","mchid":"1900000001","out_trade_no":"T20260105000001",
    "transaction_id":"4200000000202601050000000001","trade_state":"SUCCESS","success_time":"2026-01-05T10:00:00+08:00",
    "payer":{"openid":"oFAKE"},"amount":{"total":199998,"payer_total":199998,"currency":"CNY"}}"#;
pub const REFUND: &str = r#"{"refund_id":"50300000000202601050000000001","out_refund_no":"T20260105000001-R1",
    "transaction_id":"4200000000202601050000000001","out_trade_no":"T20260105000001","channel":"ORIGINAL",
    "create_time":"2026-01-05T10:59:57+08:00","status":"PROCESSING",
    "amount":{"total":199998,"refund":100,"payer_total":199998,"payer_refund":100,"currency":"CNY"}}"#;

fn pay_with(url: &str, platform_keys: BTreeMap<String, String>, clock: &Clock) -> WechatPay {
    let settings = WechatPaySettings {
        base_url: url.to_owned(),
        appid: "wxfake0000000001".into(),
        mchid: "1900000001".into(),
        merchant_serial_no: "MERCHANT01".into(),
        merchant_key_pem: MERCHANT_PKCS8.into(),
        api_v3_key: API_V3_KEY.into(),
        platform_keys,
        answer_with_key: None,
        call_timeout: CALL_TIMEOUT,
        bill_timeout: CALL_TIMEOUT,
    };
    WechatPay::new(http(clock), settings).unwrap()
}

pub fn pay(url: &str) -> WechatPay {
    let keys = [(SERIAL.to_owned(), PLATFORM_CERTIFICATE.to_owned())].into();
    pay_with(url, keys, &Clock::by_hand(START))
}

fn wechat_headers(body: &str) -> [(&'static str, String); 4] {
    let key = MerchantKey::from_pem(SERIAL, PLATFORM_PKCS1).unwrap();
    let timestamp = START.secs();
    [
        ("Wechatpay-Serial", SERIAL.to_owned()),
        ("Wechatpay-Timestamp", timestamp.to_string()),
        ("Wechatpay-Nonce", NONCE.to_owned()),
        ("Wechatpay-Signature", key.sign(&format!("{timestamp}\n{NONCE}\n{body}\n"))),
    ]
}

/// An answer signed by WeChat.
pub fn signed(code: u16, body: &str) -> Reply {
    let headers = wechat_headers(body);
    headers.into_iter().fold(status(code, body), |reply, (name, value)| reply.with(name, value))
}

/// An answer signed wrongly on purpose, and marked so.
pub fn probe() -> Reply {
    match signed(200, REFUND) {
        Reply::Answer { status, mut headers, body } => {
            headers[3].1 = format!("WECHATPAY/SIGNTEST/{}", headers[3].1);
            Reply::Answer { status, headers, body }
        }
        other => other,
    }
}

pub fn refusal(code: u16, error: &str) -> Reply {
    signed(code, &format!(r#"{{"code":"{error}","message":"x"}}"#))
}

fn request() -> RefundRequest {
    RefundRequest {
        payment: PaymentRef::TransactionId("4200000000202601050000000001".into()),
        out_refund_no: "T20260105000001-R1".into(),
        reason: Some("不要了".into()),
        notify_url: None,
        refund: Fen(100),
        total: Fen(199_998),
    }
}

async fn refund(reply: Reply) -> Result<Refund, OutsideError> {
    let server = Script::new(move |_| reply.clone()).await;
    pay(&server.url()).refund(&request()).await
}

/// Whether the request's `Authorization` is the merchant's over what was sent.
pub fn is_signed_by_merchant(request: &Request) -> bool {
    let keys = PlatformKeys::default();
    keys.add_pem("merchant", MERCHANT_PUBLIC).unwrap();
    let header = request.header("authorization").strip_prefix("WECHATPAY2-SHA256-RSA2048 ").unwrap();
    let part = |name: &str| {
        let start = header.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        header[start..].split('"').next().unwrap()
    };
    assert_eq!((part("mchid"), part("serial_no"), part("nonce_str").len()), ("1900000001", "MERCHANT01", 32));
    let (timestamp, nonce) = (part("timestamp"), part("nonce_str"));
    let message = format!("{}\n{}\n{timestamp}\n{nonce}\n{}\n", request.method, request.target, request.body);
    let signature = STANDARD.decode(part("signature")).unwrap();
    keys.verifies("merchant", message.as_bytes(), &signature).unwrap()
}

#[tokio::test]
async fn a_query_is_signed_over_what_is_sent_and_its_answer_is_read() {
    let server = Script::new(|_| signed(200, TRANSACTION)).await;
    let transaction = pay(&server.url()).query_by_out_trade_no("T20260105000001").await.unwrap().unwrap();
    assert_eq!((transaction.state, transaction.total), (TradeState::Success, Some(Fen(199_998))));
    let request = &server.requests()[0];
    assert_eq!(request.target, "/v3/pay/transactions/out-trade-no/T20260105000001?mchid=1900000001");
    assert!(is_signed_by_merchant(request));
    assert_eq!(request.header("accept"), "application/json");
}

#[tokio::test]
async fn a_number_that_would_leave_its_place_in_the_path_is_not_sent() {
    let server = Script::new(|_| signed(200, TRANSACTION)).await;
    let pay = pay(&server.url());
    for number in ["../../refund", "T1", "T2026?x=1", "T20260105 00001"] {
        assert_eq!(pay.query_by_out_trade_no(number).await.unwrap_err().code(), Some("invalid_number"));
    }
    assert!(server.requests().is_empty());
    let server = Script::new(|_| signed(200, REFUND)).await;
    self::pay(&server.url()).query_refund("R|1*2@3").await.unwrap();
    assert!(is_signed_by_merchant(&server.requests()[0]));
}

#[tokio::test]
async fn what_wechat_does_not_know_is_none_and_a_lost_page_is_not() {
    for error in ["ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"] {
        let server = Script::new(move |_| refusal(404, error)).await;
        assert_eq!(pay(&server.url()).query_by_out_trade_no("T20260105000001").await.unwrap(), None);
        assert_eq!(pay(&server.url()).query_refund("R1").await.unwrap(), None);
    }
    let server = Script::new(|_| status(404, "<html>nginx</html>")).await;
    let error = pay(&server.url()).query_refund("R1").await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured { code: "http_404".into() });
}

#[tokio::test]
async fn a_refund_is_read_or_classed() {
    let refund_made = refund(signed(200, REFUND)).await.unwrap();
    assert_eq!((refund_made.status, refund_made.refund), (RefundStatus::Processing, Fen(100)));
    for (reply, fault) in [
        (refusal(403, "NOT_ENOUGH"), Fault::Refused { code: "NOT_ENOUGH".into() }),
        (refusal(403, "NOTENOUGH"), Fault::Refused { code: "NOT_ENOUGH".into() }),
        (refusal(400, "INVALID_REQUEST"), Fault::Refused { code: "INVALID_REQUEST".into() }),
        (refusal(400, "MCH_NOT_EXISTS"), Fault::Misconfigured { code: "MCH_NOT_EXISTS".into() }),
        (refusal(429, "FREQUENCY_LIMITED"), Fault::Throttled { retry_after: None }),
        (refusal(500, "SYSTEM_ERROR"), Fault::InDoubt),
        (refusal(500, "OPENID_MISMATCH"), Fault::Refused { code: "OPENID_MISMATCH".into() }),
        (status(502, "<html>"), Fault::InDoubt),
        (Reply::Silence, Fault::InDoubt),
        (Reply::Cut, Fault::InDoubt),
        (signed(200, "{}"), Fault::InDoubt),
    ] {
        let what = format!("{reply:?}");
        assert_eq!(refund(reply).await.unwrap_err().fault, fault, "{what}");
    }
    assert_eq!(pay(&nobody().await).refund(&request()).await.unwrap_err().fault, Fault::NotSent);
}

#[tokio::test]
async fn a_refund_above_its_payment_is_not_sent() {
    let pay = pay(&nobody().await);
    for amount in [Fen(0), Fen(-1), Fen(199_999)] {
        let request = RefundRequest { refund: amount, ..request() };
        assert_eq!(pay.refund(&request).await.unwrap_err().code(), Some("invalid_refund"));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_trusted_is_no_answer() {
    let changed = match signed(200, REFUND) {
        Reply::Answer { status, headers, body } => {
            Reply::Answer { status, headers, body: body.replace("100", "900") }
        }
        other => other,
    };
    let unsigned = json(REFUND);
    for reply in [changed, unsigned, probe()] {
        let server = Script::new({
            let reply = reply.clone();
            move |_| reply.clone()
        })
        .await;
        let pay = pay(&server.url());
        let error = pay.refund(&request()).await.unwrap_err();
        assert_eq!(error.fault, Fault::InDoubt, "{error}");
        assert!(!error.is_outage());
        assert_eq!(pay.query_refund("R1").await.unwrap_err().fault, Fault::Unavailable);
    }
    // Even a refusal counts only when its signature, if it has one, is right.
    let forged = match refusal(404, "RESOURCE_NOT_EXISTS") {
        Reply::Answer { status, headers, body } => {
            Reply::Answer { status, headers, body: body.replace('x', "z") }
        }
        other => other,
    };
    let server = Script::new(move |_| forged.clone()).await;
    assert_eq!(pay(&server.url()).query_refund("R1").await.unwrap_err().fault, Fault::Unavailable);
}

#[tokio::test]
async fn a_refused_signature_is_tried_once_more() {
    let tries = AtomicU32::new(0);
    let server = Script::new(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => status(401, r#"{"code":"SIGN_ERROR","message":"x"}"#),
        _ => signed(200, REFUND),
    })
    .await;
    pay(&server.url()).refund(&request()).await.unwrap();
    let sent = server.requests();
    assert_eq!((sent.len(), &sent[0].body), (2, &sent[1].body));
    assert!(sent[0].header("authorization") != sent[1].header("authorization"));
    let error = refund(status(401, r#"{"code":"SIGN_ERROR","message":"x"}"#)).await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured { code: "SIGN_ERROR".into() });
}

#[tokio::test]
async fn a_close_says_what_it_knows() {
    for (reply, expected) in [
        (signed(204, ""), CloseAnswer::Taken),
        (refusal(400, "ORDERCLOSED"), CloseAnswer::AlreadyClosed),
        (refusal(400, "ORDER_PAID"), CloseAnswer::PerhapsPaid { code: "ORDER_PAID".into() }),
    ] {
        let server = Script::new(move |_| reply.clone()).await;
        assert_eq!(pay(&server.url()).close("T20260105000001").await.unwrap(), expected);
        assert_eq!(server.requests()[0].body, r#"{"mchid":"1900000001"}"#);
        assert!(is_signed_by_merchant(&server.requests()[0]));
    }
    let server = Script::new(|_| Reply::Silence).await;
    assert_eq!(pay(&server.url()).close("T20260105000001").await.unwrap_err().fault, Fault::InDoubt);
}

fn sealed(plain: &str, associated: &str) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, API_V3_KEY.as_bytes()).unwrap());
    let mut bytes = plain.as_bytes().to_vec();
    let nonce = Nonce::assume_unique_for_key(*b"abcdefghijkl");
    key.seal_in_place_append_tag(nonce, Aad::from(associated.as_bytes()), &mut bytes).unwrap();
    let ciphertext = STANDARD.encode(bytes);
    format!(
        r#"{{"algorithm":"AEAD_AES_256_GCM","nonce":"abcdefghijkl","associated_data":"{associated}","ciphertext":"{ciphertext}"}}"#
    )
}

fn certificates() -> Reply {
    let sealed = sealed(PLATFORM_CERTIFICATE, "certificate");
    signed(200, &format!(r#"{{"data":[{{"serial_no":"{SERIAL}","encrypt_certificate":{sealed}}}]}}"#))
}

#[tokio::test]
async fn an_unknown_serial_fetches_the_certificates_once() {
    let server = Script::new(|request| match request.path() {
        "/v3/certificates" => certificates(),
        _ => signed(200, TRANSACTION),
    })
    .await;
    let pay = pay_with(&server.url(), BTreeMap::new(), &Clock::by_hand(START));
    let queries = (0..20).map(|_| pay.query_by_out_trade_no("T20260105000001"));
    let all = futures_util::future::join_all(queries).await;
    assert!(all.iter().all(|result| matches!(result, Ok(Some(_)))), "{all:?}");
    assert_eq!(server.requests_to("/v3/certificates").len(), 1);
}

#[tokio::test]
async fn without_the_key_a_read_is_an_alarm_and_a_write_in_doubt() {
    let server = Script::new(|request| match request.path() {
        "/v3/certificates" => refusal(404, "RESOURCE_NOT_EXISTS"),
        "/v3/refund/domestic/refunds" => signed(200, REFUND),
        _ => signed(200, TRANSACTION),
    })
    .await;
    let pay = pay_with(&server.url(), BTreeMap::new(), &Clock::by_hand(START));
    let error = pay.query_by_out_trade_no("T20260105000001").await.unwrap_err();
    assert_eq!(error.code(), Some("unknown_serial"));
    assert_eq!(pay.refund(&request()).await.unwrap_err().fault, Fault::InDoubt);
}

#[tokio::test]
async fn a_serial_that_nobody_knows_does_not_make_us_ask_again_and_again() {
    let server = Script::new(|_| certificates()).await;
    let pay = pay(&server.url());
    let mut headers = callback_headers("{}");
    headers.insert("Wechatpay-Serial", HeaderValue::from_static("BAD"));
    for _ in 0..10 {
        let refused = pay.verify_callback(&headers, b"{}", START).await.unwrap_err();
        assert_eq!(refused, Refused::Distrusted(Distrust::UnknownSerial("BAD".into())));
    }
    assert_eq!(server.requests_to("/v3/certificates").len(), 1);
}

#[tokio::test]
async fn certificates_under_another_key_are_not_taken() {
    let other = certificates();
    let server = Script::new(move |_| match other.clone() {
        Reply::Answer { status, headers, body } => {
            // Encrypted for another nonce: it does not open.
            Reply::Answer { status, headers, body: body.replace("abcdefghijkl", "abcdefghijkm") }
        }
        other => other,
    })
    .await;
    let pay = pay_with(&server.url(), BTreeMap::new(), &Clock::by_hand(START));
    let error = pay.refresh_certificates().await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured { code: "api_v3_key".into() });
}

fn callback_headers(body: &str) -> HeaderMap {
    let headers = wechat_headers(body).into_iter();
    headers
        .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap()))
        .collect()
}

fn callback(event: &str, content: &str) -> String {
    let resource = sealed(content, "x");
    format!(
        r#"{{"id":"n1","create_time":"2026-01-05T10:00:05+08:00","event_type":"{event}","resource":{resource}}}"#
    )
}

#[tokio::test]
async fn a_callback_is_read_only_when_it_is_wechats_and_ours() {
    let pay = pay(&nobody().await);
    let receive = async |event: &str, content: &str| {
        let body = callback(event, content);
        pay.verify_callback(&callback_headers(&body), body.as_bytes(), START).await
    };
    let notice = receive("TRANSACTION.SUCCESS", TRANSACTION).await.unwrap();
    assert_eq!(notice.event, Event::TransactionSuccess);
    assert!(
        matches!(&notice.content, NoticeContent::Transaction(transaction) if transaction.state.is_paid())
    );
    let refund = r#"{"mchid":"1900000001","out_trade_no":"T1","out_refund_no":"R1","refund_status":"CLOSE"}"#;
    let notice = receive("REFUND.CLOSED", refund).await.unwrap();
    assert!(
        matches!(&notice.content, NoticeContent::Refund(refund) if refund.status == RefundStatus::Closed)
    );
    let other = TRANSACTION.replace("1900000001\"", "1900000002\"");
    assert_eq!(receive("TRANSACTION.SUCCESS", &other).await, Err(Refused::NotOurs));
    assert!(matches!(receive("PAYSCORE.USER", TRANSACTION).await, Err(Refused::UnknownEvent(_))));
    assert!(matches!(receive("REFUND.CLOSED", "[]").await, Err(Refused::Unreadable(_))));
    let body = callback("TRANSACTION.SUCCESS", TRANSACTION);
    let late = pay.verify_callback(&callback_headers(&body), body.as_bytes(), START + CLOCK_WINDOW).await;
    assert_eq!(late, Err(Refused::Distrusted(Distrust::Stale)));
}

#[test]
fn a_private_key_loads_in_both_forms_and_signs_alike() {
    let pkcs1 = MerchantKey::from_pem("S", MERCHANT_PKCS1).unwrap();
    let pkcs8 = MerchantKey::from_pem("S", MERCHANT_PKCS8).unwrap();
    assert_eq!(pkcs1.sign("x"), pkcs8.sign("x"));
    assert!(MerchantKey::from_pem("S", MERCHANT_PUBLIC).is_err());
}

#[tokio::test]
async fn where_the_shops_time_runs_faster_the_window_is_wider() {
    let keys = [(SERIAL.to_owned(), PLATFORM_CERTIFICATE.to_owned())].into();
    let pay = pay_with(&nobody().await, keys, &Clock::scaled(START, 100.0));
    let body = callback("TRANSACTION.SUCCESS", TRANSACTION);
    let headers = callback_headers(&body);
    assert!(pay.verify_callback(&headers, body.as_bytes(), START + CLOCK_WINDOW * 99).await.is_ok());
    let late = pay.verify_callback(&headers, body.as_bytes(), START + CLOCK_WINDOW * 100).await;
    assert_eq!(late, Err(Refused::Distrusted(Distrust::Stale)));
}
