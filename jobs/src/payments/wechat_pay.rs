//! WeChat Pay APIv3 for a direct merchant (facts: wechat-pay.md).
//!
//! Every request is signed, every answer and callback is verified, and an answer that cannot be trusted is no
//! answer. Reading a bill's lines and deciding what a payment means for an order are not here.

mod bills;
mod calls;
mod certificates;
mod codes;
mod keys;
mod notice;
mod records;
mod resource;
mod settings;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Url};
use windlass_engine::Timestamp;

pub use bills::{BillAnswer, BillDownload, BillKind, BillLink, DownloadError, Packing};
pub use calls::{CloseAnswer, PaymentRef, RefundRequest};
pub use keys::{MerchantKey, PlatformKeys};
pub use notice::{Event, Notice, NoticeContent, RefundNotice, Refused};
pub use records::{Refund, RefundStatus, TradeState, Transaction};
pub use resource::{Resource, Undecryptable};
pub use settings::WechatPaySettings;
pub use signature::{CLOCK_WINDOW, Distrust, verify};

use crate::outside::{Answer, Call, Http, Manner, OutsideError, System};
use certificates::Refreshes;
use codes::ApiError;

/// The client of one merchant.
#[derive(Clone)]
pub struct WechatPay {
    http: Http,
    settings: Arc<WechatPaySettings>,
    key: Arc<MerchantKey>,
    platform: Arc<PlatformKeys>,
    refreshes: Arc<Refreshes>,
}

/// What WeChat said to a request: done (and verified), or no.
enum Reply {
    Done(Answer),
    No(ApiError),
}

impl WechatPay {
    /// # Errors
    /// When a key cannot be read, or the APIv3 key has not 32 bytes.
    pub fn new(http: Http, settings: WechatPaySettings) -> anyhow::Result<Self> {
        resource::check_key(&settings.api_v3_key)?;
        let key = MerchantKey::from_pem(&settings.merchant_serial_no, settings.merchant_key_pem.expose())?;
        let platform = PlatformKeys::default();
        for (id, pem) in &settings.platform_keys {
            platform.add_pem(id, pem)?;
        }
        let (key, platform) = (Arc::new(key), Arc::new(platform));
        Ok(Self { http, settings: Arc::new(settings), key, platform, refreshes: Arc::default() })
    }

    /// Checks, decrypts and reads a callback. A serial that we do not know makes us fetch WeChat's
    /// certificates, once.
    ///
    /// # Errors
    /// Why it is not to be acted on.
    pub async fn verify_callback(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Notice, Refused> {
        let mut checked = self.check(headers, body, now);
        if let Err(Distrust::UnknownSerial(serial)) = &checked
            && self.refresh_certificates_for(serial).await
        {
            checked = self.check(headers, body, now);
        }
        checked.map_err(|distrust| {
            distrust.count();
            Refused::Distrusted(distrust)
        })?;
        notice::read(body, &self.settings)
    }

    fn check(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Distrust> {
        verify(&self.platform, headers, body, now, self.window())
    }

    /// The window in the shop's time: where that runs faster than the wall's, what takes no time there takes
    /// some here.
    fn window(&self) -> Duration {
        CLOCK_WINDOW.mul_f64(self.http.clock().speed().max(1.0))
    }

    fn read(&self, name: &'static str) -> Call {
        self.hiding(Call::read(System::WechatPay, name, self.settings.call_timeout))
    }

    fn write(&self, name: &'static str) -> Call {
        self.hiding(Call::write(System::WechatPay, name, self.settings.call_timeout))
    }

    fn hiding(&self, call: Call) -> Call {
        call.hiding([self.settings.api_v3_key.expose()])
    }

    /// Sends a signed request and verifies the answer. A refused signature is tried once more with a fresh
    /// time (facts: wechat-pay.md 9).
    async fn ask(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Reply, OutsideError> {
        let mut answer = self.send(call, &method, path, body.as_deref()).await?;
        if answer.status == 401 {
            answer = self.send(call, &method, path, body.as_deref()).await?;
        }
        self.check_answer(call, &answer).await?;
        if (200..300).contains(&answer.status) {
            return Ok(Reply::Done(answer));
        }
        match ApiError::read(&answer) {
            Some(error) => Ok(Reply::No(error)),
            None => {
                call.judge_status(&answer, self.http.clock())?;
                Err(call.lost("a status that is no answer"))
            }
        }
    }

    async fn send(
        &self,
        call: &Call,
        method: &Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer, OutsideError> {
        let base = self.settings.base_url.trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path}"));
        let url = url.map_err(|error| call.misconfigured("bad_url", &error.to_string()))?;
        let authorization = self.authorization(method, &url, body.unwrap_or_default());
        let request =
            if *method == Method::GET { self.http.get(url.as_str()) } else { self.http.post(url.as_str()) };
        let mut request = request.header(ACCEPT, "application/json").header(AUTHORIZATION, authorization);
        if let Some(id) = &self.settings.answer_with_key {
            request = request.header("Wechatpay-Serial", id);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        self.http.exchange(call, request).await
    }

    /// Signs the URL as it will be sent, after all escaping.
    fn authorization(&self, method: &Method, url: &Url, body: &str) -> String {
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let timestamp = self.http.clock().now().secs();
        self.key.authorization(&self.settings.mchid, method.as_str(), &target, timestamp, body)
    }

    /// A 2xx must be signed. A refusal may be unsigned (a wrong signature of ours is), but not wrongly signed.
    async fn check_answer(&self, call: &Call, answer: &Answer) -> Result<(), OutsideError> {
        let check = || self.check(&answer.headers, &answer.body, self.http.clock().now());
        let mut checked = check();
        if let Err(Distrust::UnknownSerial(serial)) = &checked
            && self.refresh_certificates_for(serial).await
        {
            checked = check();
        }
        let Err(distrust) = checked else { return Ok(()) };
        if matches!(distrust, Distrust::MissingHeader(_)) && answer.status >= 300 {
            return Ok(());
        }
        distrust.count();
        let detail = format!("the answer (HTTP {}) cannot be trusted: {distrust}", answer.status);
        match (&distrust, call.manner) {
            // A read shows best that we lack a key; a write was made all the same.
            (Distrust::UnknownSerial(_), Manner::Read) => Err(call.misconfigured("unknown_serial", &detail)),
            _ => Err(call.doubtful(&detail)),
        }
    }
}
