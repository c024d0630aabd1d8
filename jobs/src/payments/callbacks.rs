//! WeChat Pay's callbacks: verified and stored at the door, answered at once, acted on by a job.
//!
//! The door reads nothing into them; the two jobs do (facts: wechat-pay.md 4).

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob, Outcome, Timestamp};

use super::wechat_pay::Notice;
use super::{HandlePaymentCallback, HandleRefundCallback};
use crate::answer::CallbackAnswer;
use crate::callback::{Callback, CallbackVerdict, NewCallback, callback};
use crate::findings::NewFinding;
use crate::ledger::LedgerError;
use crate::orders::{Change, ChangeError};
use crate::shop::Shop;

/// The headers that a signature is made of; nothing else of a request is kept.
const SIGNATURE_HEADERS: [&str; 5] = [
    "wechatpay-serial",
    "wechatpay-timestamp",
    "wechatpay-nonce",
    "wechatpay-signature",
    "wechatpay-signature-type",
];

/// Which of the two addresses that WeChat was given it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WechatCallback {
    Payment,
    Refund,
}

impl WechatCallback {
    /// The name of its callbacks in the ledger.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Payment => "wechat_pay.payment",
            Self::Refund => "wechat_pay.refund",
        }
    }
}

/// Verifies the raw body, stores it (also when it is refused, with the reason), enqueues its job in the same
/// transaction, and answers. A probe signature is refused like any other wrong one.
pub async fn receive_wechat_callback(
    shop: &Shop,
    which: WechatCallback,
    headers: &[(String, String)],
    body: &[u8],
) -> CallbackAnswer {
    if body.len() > shop.settings.callback_bytes_max {
        return fail(413, "too large");
    }
    let headers = signature_headers(headers);
    let verified = shop.wechat_pay.verify_callback(&headers, body, shop.clock.now()).await;
    let refusal = verified.as_ref().err().map(ToString::to_string);
    let status = verified.as_ref().err().map_or(200, super::wechat_pay::Refused::http_status);
    match store(shop, which, &headers, body, refusal.as_deref()).await {
        Err(error) => {
            tracing::error!(%error, "a callback of WeChat could not be stored");
            fail(500, "not stored")
        }
        Ok(()) if refusal.is_some() => fail(status, "refused"),
        Ok(()) => CallbackAnswer { status: 200, body: json!({ "code": "SUCCESS", "message": "成功" }) },
    }
}

fn fail(status: u16, message: &str) -> CallbackAnswer {
    CallbackAnswer { status, body: json!({ "code": "FAIL", "message": message }) }
}

async fn store(
    shop: &Shop,
    which: WechatCallback,
    headers: &HeaderMap,
    body: &[u8],
    refusal: Option<&str>,
) -> Result<(), LedgerError> {
    let new = NewCallback {
        id: NewCallback::content_id(which.source(), body),
        source: which.source().to_owned(),
        headers: headers_json(headers),
        body: body.to_vec(),
        received_at: shop.clock.now(),
        verdict: if refusal.is_some() { CallbackVerdict::Refused } else { CallbackVerdict::Accepted },
        reason: refusal.map(str::to_owned),
    };
    let mut tx = shop.ledger.begin().await?;
    let is_new = tx.store_callback(&new).await?;
    if is_new && refusal.is_none() {
        tx.enqueue(&job_for(shop, which, &new.id)).await?;
    }
    tx.commit().await
}

/// The job that acts on a stored callback; one id for one callback.
pub fn job_for(shop: &Shop, which: WechatCallback, callback_id: &str) -> NewJob {
    let callback_id = callback_id.to_owned();
    match which {
        WechatCallback::Payment => {
            let id = JobId::derived(&[HandlePaymentCallback::KIND, &callback_id]);
            NewJob::of(&HandlePaymentCallback { callback_id }, &shop.clock).id(id)
        }
        WechatCallback::Refund => {
            let id = JobId::derived(&[HandleRefundCallback::KIND, &callback_id]);
            NewJob::of(&HandleRefundCallback { callback_id }, &shop.clock).id(id)
        }
    }
}

/// A stored notice, read again.
pub(super) struct Heard {
    pub notice: Notice,
    /// None: nobody acted on it yet.
    pub handled_at: Option<Timestamp>,
    /// Its order should have been recorded by now.
    pub is_old: bool,
}

/// Reads the stored notice again, for its job. How fresh it was the door judged: here its own time is the time.
pub(super) async fn notice(shop: &Shop, callback_id: &str) -> Result<Heard, JobError> {
    let Some(stored) = callback(&shop.ledger, callback_id).await? else {
        return Err(JobError::fail(anyhow::anyhow!("no callback {callback_id} is stored")));
    };
    let headers = stored_headers(&stored);
    let stamp = headers.get("wechatpay-timestamp").and_then(|stamp| stamp.to_str().ok());
    let at = stamp.and_then(|stamp| stamp.parse().ok()).map_or(stored.received_at, Timestamp::from_secs);
    let notice = shop.wechat_pay.verify_callback(&headers, &stored.body, at).await.map_err(JobError::fail)?;
    let waited = shop.clock.now().since(stored.received_at);
    let is_old = waited >= Duration::from_secs(shop.settings.unknown_order_after_s);
    Ok(Heard { notice, handled_at: stored.handled_at, is_old })
}

/// Leaves a notice to a person that no order here can act on. The money is not lost with it: an order that is recorded
/// later asks WeChat for its payment itself.
pub(super) async fn leave_to_person(
    shop: &Shop,
    job: &JobContext,
    callback_id: &str,
    finding: &NewFinding<'_>,
) -> Result<Outcome, JobError> {
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    tx.raise(finding).await?;
    tx.callback_handled(callback_id).await?;
    tx.commit().await?;
    Ok(Outcome::result(json!({ "left_to_a_person": finding.kind })))
}

/// Notes that the callback was acted on, in the transaction that does so.
pub(super) async fn finish(mut change: Change<'_>, callback_id: &str) -> Result<Outcome, JobError> {
    let done: Result<(), ChangeError> = async {
        change.tx().callback_handled(callback_id).await?;
        change.commit().await
    }
    .await;
    done?;
    Ok(Outcome::done())
}

fn signature_headers(headers: &[(String, String)]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if let Some(known) = SIGNATURE_HEADERS.into_iter().find(|known| *known == name)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            kept.insert(HeaderName::from_static(known), value);
        }
    }
    kept
}

fn headers_json(headers: &HeaderMap) -> Value {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?)))
    };
    headers.iter().filter_map(pair).collect::<serde_json::Map<_, _>>().into()
}

fn stored_headers(stored: &Callback) -> HeaderMap {
    let texts = stored.headers.as_object().into_iter().flatten();
    let pairs: Vec<_> =
        texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    signature_headers(&pairs)
}
