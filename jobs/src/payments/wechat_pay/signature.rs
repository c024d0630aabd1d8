//! Whether an answer or a callback is WeChat's (facts: wechat-pay.md 3).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use windlass_engine::Timestamp;

use super::PlatformKeys;

/// How far a signature's time may be from now.
pub const CLOCK_WINDOW: Duration = Duration::from_secs(300);
/// WeChat signs wrongly on purpose, now and then, and marks it so.
const PROBE_MARK: &str = "WECHATPAY/SIGNTEST/";

/// Why a message is not taken for WeChat's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("{0} is missing")]
    MissingHeader(&'static str),
    #[error("its time is out of the window")]
    Stale,
    #[error("the key {0} is not known")]
    UnknownSerial(String),
    /// A test of whether we verify: no attack, and no fault.
    #[error("a probe signature")]
    Probe,
    #[error("the signature is wrong")]
    BadSignature,
}

impl Distrust {
    pub(super) fn count(&self) {
        let reason = match self {
            Distrust::Probe => {
                metrics::counter!("windlass_wechat_probe_signatures_total").increment(1);
                return;
            }
            Distrust::MissingHeader(_) => "missing_header",
            Distrust::Stale => "stale",
            Distrust::UnknownSerial(_) => "unknown_serial",
            Distrust::BadSignature => "bad_signature",
        };
        metrics::counter!("windlass_wechat_bad_signatures_total", "reason" => reason).increment(1);
    }
}

/// Verifies the signature in `headers` over the raw `body`; its time must be less than `window` from `now`.
///
/// # Errors
/// Why it is not trusted. Only the key that the message names is tried.
pub fn verify(
    keys: &PlatformKeys,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    window: Duration,
) -> Result<(), Distrust> {
    let header = |name: &'static str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
        value.ok_or(Distrust::MissingHeader(name))
    };
    let serial = header("Wechatpay-Serial")?;
    let timestamp = header("Wechatpay-Timestamp")?;
    let nonce = header("Wechatpay-Nonce")?;
    let signature = header("Wechatpay-Signature")?;
    if signature.starts_with(PROBE_MARK) {
        return Err(Distrust::Probe);
    }
    let at = Timestamp::from_secs(timestamp.parse().map_err(|_| Distrust::Stale)?);
    if now.since(at).max(at.since(now)) >= window {
        return Err(Distrust::Stale);
    }
    let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
    let signature = STANDARD.decode(signature).map_err(|_| Distrust::BadSignature)?;
    match keys.verifies(serial, &message, &signature) {
        Some(true) => Ok(()),
        Some(false) => Err(Distrust::BadSignature),
        None => Err(Distrust::UnknownSerial(serial.chars().take(64).collect())),
    }
}
