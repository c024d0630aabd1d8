//! The published and the made vectors for signatures and encryption, where they are at hand.

use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use windlass_engine::{Clock, Timestamp};
use windlass_jobs::outside::Secret;
use windlass_jobs::payments::wechat_pay::{
    CLOCK_WINDOW, Distrust, NoticeContent, PlatformKeys, Resource, WechatPay, WechatPaySettings, verify,
};

use crate::wechat_pay::MERCHANT_PKCS8;
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
        base_url: crate::script::nobody().await,
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
            assert_eq!(result.unwrap_err().http_status(), 401, "{}", case["case"]);
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
    let signed = vectors["request_signatures"].as_array().unwrap().iter().chain([&vectors["jsapi_pay_sign"]]);
    for case in signed {
        let signature = base64_decode(text(&case["signature_b64"]));
        for id in ["cert", "key"] {
            assert_eq!(keys.verifies(id, text(&case["message"]).as_bytes(), &signature), Some(true));
            assert_eq!(keys.verifies(id, b"other", &signature), Some(false));
        }
    }
    let empty = &vectors["response_204_empty_body"];
    let platform = PlatformKeys::default();
    platform.add_pem("PUB_KEY_ID_1", text(&vectors["platform"]["public_key_pem"])).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Wechatpay-Serial", HeaderValue::from_static("PUB_KEY_ID_1"));
    headers.insert("Wechatpay-Timestamp", HeaderValue::from_str(text(&empty["timestamp"])).unwrap());
    headers.insert("Wechatpay-Nonce", HeaderValue::from_str(text(&empty["nonce"])).unwrap());
    headers.insert("Wechatpay-Signature", HeaderValue::from_str(text(&empty["signature_b64"])).unwrap());
    let at = Timestamp::from_secs(text(&empty["timestamp"]).parse().unwrap());
    assert_eq!(verify(&platform, &headers, b"", at, CLOCK_WINDOW), Ok(()));
    assert_eq!(verify(&platform, &headers, b"", at + CLOCK_WINDOW, CLOCK_WINDOW), Err(Distrust::Stale));
    assert_eq!(verify(&platform, &headers, b"", at - CLOCK_WINDOW, CLOCK_WINDOW), Err(Distrust::Stale));
    assert_eq!(verify(&platform, &headers, b" ", at, CLOCK_WINDOW), Err(Distrust::BadSignature));
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
    for case in vectors["positive"].as_array().unwrap() {
        assert_eq!(open(case).unwrap(), text(&case["plaintext"]).as_bytes());
    }
    for case in vectors["negative"].as_array().unwrap() {
        assert!(open(case).is_err(), "{}", case["case"]);
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
