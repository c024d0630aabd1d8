//! WeChat's certificates, fetched and kept (facts: wechat-pay.md 3).

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use windlass_engine::Timestamp;

use super::{Resource, WechatPay, codes::ApiError, verify};
use crate::outside::{Call, OutsideError};

/// Wall time between two fetches that an unknown serial causes: anybody can send us one.
const UNKNOWN_SERIAL_PAUSE: Duration = Duration::from_secs(60);

/// When certificates were last fetched for an unknown serial (wall time), and one fetch at a time.
#[derive(Default)]
pub(super) struct Refreshes(tokio::sync::Mutex<Option<Timestamp>>);

#[derive(Deserialize)]
struct Wire {
    data: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    serial_no: String,
    encrypt_certificate: Resource,
}

impl WechatPay {
    /// Fetches WeChat's certificates and adds them to the keys that are known; how many there were. For a
    /// schedule: at least every twelve hours.
    ///
    /// # Errors
    /// As every read; keys that are known stay.
    pub async fn refresh_certificates(&self) -> Result<usize, OutsideError> {
        let call = self.read("certificates");
        self.http.measured(&call, self.fetch_certificates(&call)).await
    }

    /// As above for a key that a message named, but not more often than each minute. True when it is known now.
    pub(super) async fn refresh_certificates_for(&self, serial: &str) -> bool {
        let mut last = self.refreshes.0.lock().await;
        // Another may have fetched it while we waited for our turn.
        if self.platform.knows(serial) {
            return true;
        }
        let now = self.http.clock().wall();
        if last.is_some_and(|at| now.since(at) < UNKNOWN_SERIAL_PAUSE) {
            return false;
        }
        *last = Some(now);
        match self.refresh_certificates().await {
            Ok(_) => self.platform.knows(serial),
            Err(error) => {
                tracing::warn!(%error, "certificates for an unknown serial could not be fetched");
                false
            }
        }
    }

    async fn fetch_certificates(&self, call: &Call) -> Result<usize, OutsideError> {
        let answer = self.send(call, &Method::GET, "/v3/certificates", None).await?;
        if let Some(error) = ApiError::read(&answer).filter(|_| answer.status >= 300) {
            return Err(error.class(call, self.http.clock()));
        }
        call.judge_status(&answer, self.http.clock())?;
        let wire: Wire = answer.json(call)?;
        // The answer may be signed by a certificate that it brings. The encryption shows that it comes from
        // who has our APIv3 key; its signature is checked with what is known and what it brought.
        let brought = super::PlatformKeys::default();
        let mut pems = Vec::new();
        for certificate in &wire.data {
            let plain = certificate.encrypt_certificate.decrypt(&self.settings.api_v3_key);
            let plain = plain.map_err(|error| call.misconfigured("api_v3_key", &error.to_string()))?;
            let pem = String::from_utf8(plain).map_err(|_| call.lost("a certificate that is no text"))?;
            brought
                .add_pem(&certificate.serial_no, &pem)
                .map_err(|error| call.lost(&format!("{error:#}")))?;
            pems.push((&certificate.serial_no, pem));
        }
        let named = answer.header("Wechatpay-Serial").unwrap_or_default();
        let keys = if brought.knows(named) { &brought } else { &*self.platform };
        verify(keys, &answer.headers, &answer.body, self.http.clock().now(), self.window()).map_err(
            |distrust| {
                distrust.count();
                call.doubtful(&format!("the certificates cannot be trusted: {distrust}"))
            },
        )?;
        for (serial_no, pem) in &pems {
            self.platform.add_pem(serial_no, pem).map_err(|error| call.lost(&format!("{error:#}")))?;
        }
        Ok(pems.len())
    }
}
