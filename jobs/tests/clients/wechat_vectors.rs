//! The published and the made vectors for signatures and encryption, where they are at hand.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use windlass_engine::{Clock, Timestamp};
use windlass_jobs::outside::Secret;
use windlass_jobs::payments::wechat_pay::{
    CLOCK_WINDOW, Distrust, MerchantKey, NoticeContent, PlatformKeys, Refused, Resource, WechatPay,
    WechatPaySettings, verify,
};

use crate::wechat_pay::{MERCHANT_PKCS8, MERCHANT_PUBLIC};
use crate::{START, http};

/// Beside the project, or beside what it is checked out in.
fn vectors(name: &str) -> Option<Value> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found =
        above.skip(2).find_map(|folder| std::fs::read_to_string(folder.join("shared/data").join(name)).ok());
    if found.is_none() {
        eprintln!("skipped: no {name}");
    }
    found.map(|text| serde_json::from_str(&text).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn headers(value: &Value) -> HeaderMap {
    let pairs = value.as_object().unwrap().iter();
    pairs
        .map(|(name, value)| {
            (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::from_str(text(value)).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn callbacks_are_taken_and_refused_as_the_vectors_say() {
    let Some(vectors) = vectors("wechat-signature-vectors.json") else { return };
    let platform = &vectors["platform"];
    let settings = WechatPaySettings {
        base_url: windlass_testing::script::nobody().await,
        appid: "wxfake0000000001".into(),
        mchid: text(&vectors["merchant"]["mchid"]).into(),
        merchant_serial_no: "A".into(),
        merchant_key_pem: MERCHANT_PKCS8.into(),
        api_v3_key: text(&vectors["api_v3_key"]).into(),
        platform_keys: [(text(&platform["serial_no"]).into(), text(&platform["certificate_pem"]).into())]
            .into(),
        ..Default::default()
    };
    let pay = WechatPay::new(http(&Clock::by_hand(START)), settings).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for case in vectors["callbacks"].as_array().unwrap() {
        let now = Timestamp::from_secs(case["verify_at_unix"].as_i64().unwrap());
        let result =
            pay.verify_callback(&headers(&case["headers"]), text(&case["body"]).as_bytes(), now).await;
        if case["expect"] == "accept" {
            let notice = result.unwrap();
            assert_eq!(notice.plaintext, text(&case["plaintext"]));
            let number = match notice.content {
                NoticeContent::Transaction(transaction) => transaction.out_trade_no,
                NoticeContent::Refund(refund) => refund.out_trade_no,
            };
            assert_eq!(number, "T20260105000001");
            taken += 1;
        } else {
            let refusal = result.unwrap_err();
            assert_eq!(refusal.http_status(), 401, "{}", case["case"]);
            let expected = match text(&case["case"]) {
                "body_changed_by_one_space" | "timestamp_changed" => Distrust::BadSignature,
                "probe_signature" => Distrust::Probe,
                "stale_by_301_seconds" => Distrust::Stale,
                "unknown_serial" => {
                    Distrust::UnknownSerial(text(&case["headers"]["Wechatpay-Serial"]).into())
                }
                "signature_header_missing" => Distrust::MissingHeader("Wechatpay-Signature"),
                other => panic!("a case that nobody knows: {other}"),
            };
            assert_eq!(refusal, Refused::Distrusted(expected), "{}", case["case"]);
            refused += 1;
        }
    }
    assert_eq!((taken, refused), (2, 6));
}

#[test]
fn request_signatures_and_an_empty_answer_verify_with_either_kind_of_key() {
    let Some(vectors) = vectors("wechat-signature-vectors.json") else { return };
    let keys = PlatformKeys::default();
    keys.add_pem("cert", text(&vectors["merchant"]["certificate_pem"])).unwrap();
    keys.add_pem("key", text(&vectors["merchant"]["public_key_spki_pem"])).unwrap();
    let requests = vectors["request_signatures"].as_array().unwrap();
    assert_eq!(requests.len(), 4);
    for case in requests.iter().chain([&vectors["jsapi_pay_sign"]]) {
        let signature = base64_decode(text(&case["signature_b64"]));
        for id in ["cert", "key"] {
            assert_eq!(keys.verifies(id, text(&case["message"]).as_bytes(), &signature), Some(true));
            assert_eq!(keys.verifies(id, b"other", &signature), Some(false));
        }
    }
    let empty = &vectors["response_204_empty_body"];
    let platform = PlatformKeys::default();
    let id = text(&vectors["platform"]["public_key_id_form"]);
    platform.add_pem(id, text(&vectors["platform"]["public_key_pem"])).unwrap();
    platform.add_pem("spki", text(&vectors["platform"]["public_key_spki_pem"])).unwrap();
    let signature = base64_decode(text(&empty["signature_b64"]));
    assert_eq!(platform.verifies("spki", text(&empty["message"]).as_bytes(), &signature), Some(true));
    let mut headers = HeaderMap::new();
    headers.insert("Wechatpay-Serial", HeaderValue::from_str(id).unwrap());
    headers.insert("Wechatpay-Timestamp", HeaderValue::from_str(text(&empty["timestamp"])).unwrap());
    headers.insert("Wechatpay-Nonce", HeaderValue::from_str(text(&empty["nonce"])).unwrap());
    headers.insert("Wechatpay-Signature", HeaderValue::from_str(text(&empty["signature_b64"])).unwrap());
    let at = Timestamp::from_secs(text(&empty["timestamp"]).parse().unwrap());
    assert_eq!(verify(&platform, &headers, b"", at, CLOCK_WINDOW), Ok(()));
    assert_eq!(verify(&platform, &headers, b"", at + CLOCK_WINDOW, CLOCK_WINDOW), Err(Distrust::Stale));
    assert_eq!(verify(&platform, &headers, b"", at - CLOCK_WINDOW, CLOCK_WINDOW), Err(Distrust::Stale));
    assert_eq!(verify(&platform, &headers, b" ", at, CLOCK_WINDOW), Err(Distrust::BadSignature));
}

/// What is signed, and how the header is written, of each request; with the vectors' key, whose private half nobody
/// has, and with one of ours.
#[test]
fn requests_are_put_together_for_their_signature_as_the_vectors_are() {
    let Some(vectors) = vectors("wechat-signature-vectors.json") else { return };
    let ours = MerchantKey::from_pem(text(&vectors["merchant"]["serial_no"]), MERCHANT_PKCS8).unwrap();
    let public = PlatformKeys::default();
    public.add_pem("ours", MERCHANT_PUBLIC).unwrap();
    for case in vectors["request_signatures"].as_array().unwrap() {
        let part = |name: &str| text(&case[name]);
        let (method, target, body) = (part("method"), part("canonical_url"), part("body"));
        let (timestamp, nonce) = (part("timestamp"), part("nonce_str"));
        let message = format!("{method}\n{target}\n{timestamp}\n{nonce}\n{body}\n");
        assert_eq!(message, part("message"), "{}", part("case"));
        let mchid = text(&vectors["merchant"]["mchid"]);
        let header = ours.authorization(mchid, method, target, timestamp.parse().unwrap(), body);
        let (theirs, made) = (parts(part("authorization")), parts(&header));
        assert_eq!(theirs["nonce_str"], nonce);
        assert_eq!(theirs["signature"], part("signature_b64"));
        assert_eq!(theirs.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
        for same in ["scheme", "mchid", "timestamp", "serial_no"] {
            assert_eq!(theirs[same], made[same], "{same} of {}", part("case"));
        }
        let message = format!("{method}\n{target}\n{timestamp}\n{}\n{body}\n", made["nonce_str"]);
        let signature = base64_decode(&made["signature"]);
        assert_eq!(public.verifies("ours", message.as_bytes(), &signature), Some(true));
    }
}

/// The parts of an `Authorization` by their names.
fn parts(header: &str) -> BTreeMap<String, String> {
    let (scheme, rest) = header.split_once(' ').unwrap();
    let named = rest.split(',').map(|part| {
        let (name, value) = part.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    named.chain([("scheme".to_owned(), scheme.to_owned())]).collect()
}

#[test]
fn the_sdks_own_notice_verifies_with_its_certificate() {
    let Some(vectors) = vectors("wechat-signature-vectors.json") else { return };
    let vector = &vectors["sdk_notify_vector"];
    let keys = PlatformKeys::default();
    keys.add_pem("sdk", text(&vector["certificate_pem"])).unwrap();
    let message =
        format!("{}\n{}\n{}\n", text(&vector["timestamp"]), text(&vector["nonce"]), text(&vector["body"]));
    assert_eq!(
        keys.verifies("sdk", message.as_bytes(), &base64_decode(text(&vector["signature_b64"]))),
        Some(true)
    );
    // Its key has sixteen bytes, and ours must have 32: a wrong length is told at start.
    let settings = WechatPaySettings {
        merchant_key_pem: MERCHANT_PKCS8.into(),
        api_v3_key: text(&vector["api_v3_key_16_bytes"]).into(),
        ..Default::default()
    };
    assert!(WechatPay::new(http(&Clock::by_hand(START)), settings).is_err());
}

#[test]
fn what_is_encrypted_opens_as_the_vectors_say() {
    let Some(vectors) = vectors("wechat-aes-gcm-vectors.json") else { return };
    let open = |case: &Value| {
        let resource = Resource {
            algorithm: "AEAD_AES_256_GCM".into(),
            ciphertext: text(&case["ciphertext_b64"]).into(),
            associated_data: Some(text(&case["associated_data"]).into()),
            nonce: text(&case["nonce"]).into(),
            original_type: None,
        };
        resource.decrypt(&Secret::new(text(&case["key"])))
    };
    let (positive, negative) =
        (vectors["positive"].as_array().unwrap(), vectors["negative"].as_array().unwrap());
    assert_eq!((positive.len(), negative.len()), (2, 8));
    for case in positive {
        assert_eq!(open(case).unwrap(), text(&case["plaintext"]).as_bytes());
    }
    for case in negative {
        assert!(open(case).is_err(), "{}", case["case"]);
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
