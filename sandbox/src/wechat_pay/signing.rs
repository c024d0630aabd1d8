//! The signatures on requests, answers and callbacks (facts: wechat-pay.md 2 and 3).

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use windlass_engine::{Clock, Timestamp};

use super::{Reply, spoiled};
use crate::credentials::credentials;
use crate::fault::Fault;
use crate::sealed::{CheckingKey, SigningKey};

/// How far a request's timestamp may be from now (facts: wechat-pay.md 2).
const TIMESTAMP_OFF_MAX: Duration = Duration::from_secs(5 * 60);
const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
const SERIAL: HeaderName = HeaderName::from_static("wechatpay-serial");

/// The merchant's key to check requests with, and the platform's two to sign with.
pub(crate) struct Keys {
    merchant: CheckingKey,
    certificate: SigningKey,
    public_key: SigningKey,
}

/// Which of the platform's keys signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Certificate,
    PublicKey,
}

impl Keys {
    pub(crate) fn load() -> Result<Self> {
        let merchant = SigningKey::from_pem(credentials().wechat_pay.merchant_private_key_pem)?;
        Ok(Self {
            merchant: merchant.checking_key(),
            certificate: SigningKey::from_pem(include_str!(
                "../../keys/TEST-ONLY-platform-certificate.key.pem"
            ))?,
            public_key: SigningKey::from_pem(include_str!(
                "../../keys/TEST-ONLY-platform-public-key.key.pem"
            ))?,
        })
    }

    /// Whether a request is signed by the merchant, and lately.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(
        &self,
        clock: &Clock,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), &'static str> {
        let given =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let parts = authorization(given).ok_or("Http头缺少Authorization或格式不正确")?;
        let part = |name: &str| parts.get(name).copied().unwrap_or_default();
        let ours = credentials().wechat_pay;
        if part("mchid") != ours.mchid || part("serial_no") != ours.merchant_serial {
            return Err("商户号或商户证书序列号不正确");
        }
        let stamp: i64 = part("timestamp").parse().map_err(|_| "时间戳格式不正确")?;
        if !is_recent(clock, stamp) {
            return Err("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut message = format!("{method}\n{path}\n{stamp}\n{}\n", part("nonce_str")).into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        if !self.merchant.is_signed(&message, part("signature")) {
            return Err("签名错误，请检查后再试");
        }
        Ok(())
    }

    /// The answer with the platform's signature; `fault` may spoil it.
    pub(super) fn signed(
        &self,
        clock: &Clock,
        asked: &HeaderMap,
        reply: Reply,
        fault: Option<Fault>,
    ) -> Response {
        let body = reply.body.map(|body| body.to_string()).unwrap_or_default();
        let wants_public_key = asked
            .get(SERIAL)
            .is_some_and(|id| id.as_bytes() == credentials().wechat_pay.platform_public_key_id.as_bytes());
        let with = if wants_public_key { Platform::PublicKey } else { Platform::Certificate };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        for (name, value) in self.headers(with, clock.now(), &body, fault) {
            let value =
                HeaderValue::from_str(&value).expect("serials, digits and base64 make a header value");
            headers.insert(HeaderName::from_static(name), value);
        }
        headers.insert("request-id", HeaderValue::from_static("08-SANDBOX-00000000-0"));
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
            *response.body_mut() = Body::from(body);
        }
        response
    }

    /// The headers that sign `body`.
    pub(super) fn headers(
        &self,
        with: Platform,
        now: Timestamp,
        body: &str,
        fault: Option<Fault>,
    ) -> Vec<(&'static str, String)> {
        let ours = credentials().wechat_pay;
        let (key, serial) = match with {
            Platform::Certificate => (&self.certificate, ours.platform_serial),
            Platform::PublicKey => (&self.public_key, ours.platform_public_key_id),
        };
        let stamp = now.secs().to_string();
        let nonce = crate::sealed::hex_upper(&now.micros().to_be_bytes());
        let message = format!("{stamp}\n{nonce}\n{body}\n");
        let signature = key.sign(message.as_bytes()).expect("a whole RSA key signs");
        let mut headers = vec![
            ("wechatpay-serial", serial.to_owned()),
            ("wechatpay-timestamp", stamp),
            ("wechatpay-nonce", nonce),
            ("wechatpay-signature-type", SCHEME.to_owned()),
        ];
        if let Some(signature) = spoiled(fault, signature) {
            headers.push(("wechatpay-signature", signature));
        }
        headers
    }
}

/// `name="value"` pairs after the scheme, in any order.
fn authorization(value: &str) -> Option<HashMap<&str, &str>> {
    value
        .strip_prefix(SCHEME)?
        .trim_start()
        .split(',')
        .map(|part| {
            let (name, quoted) = part.trim().split_once('=')?;
            Some((name, quoted.strip_prefix('"')?.strip_suffix('"')?))
        })
        .collect()
}

/// Within five minutes of real time of either clock: where the shop's time runs faster, more of it passes while a
/// request is under way.
fn is_recent(clock: &Clock, stamp: i64) -> bool {
    let off = |now: Timestamp| Duration::from_secs(now.secs().abs_diff(stamp));
    off(clock.wall()) <= TIMESTAMP_OFF_MAX
        || off(clock.now()) <= TIMESTAMP_OFF_MAX.mul_f64(clock.speed().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_authorization_may_come_in_any_order() {
        let parts =
            authorization(r#"WECHATPAY2-SHA256-RSA2048 nonce_str="n",mchid="1", signature="a+/=""#).unwrap();
        assert_eq!((parts["mchid"], parts["nonce_str"], parts["signature"]), ("1", "n", "a+/="));
        assert_eq!(authorization("Bearer x"), None);
        assert_eq!(authorization("WECHATPAY2-SHA256-RSA2048 mchid=1"), None);
    }

    #[test]
    fn a_stamp_is_recent_by_either_clock() {
        let shop = Timestamp::from_secs(1_767_585_600);
        let clock = Clock::by_hand(shop);
        assert!(is_recent(&clock, shop.secs() + 300));
        assert!(is_recent(&clock, clock.wall().secs()));
        assert!(!is_recent(&clock, shop.secs() - 301));
    }
}
