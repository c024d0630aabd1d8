//! One HTTP exchange with the outside, and what is known when it fails.
//!
//! Speaks no system's dialect: headers, envelopes and codes belong to the clients. Never repeats a request and
//! never follows a redirect, because only the caller knows whether saying it twice is safe.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, redirect};
use serde::de::DeserializeOwned;
use windlass_engine::Clock;

use super::{Fault, OutsideError, System, redact, traced};

/// Longest body that is read of an answer, unless its call says otherwise (bill files have a bound of their own).
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// An idle connection is kept so long. Short, because a write on a connection that the other side is
/// closing just then ends in doubt.
const IDLE_MAX: Duration = Duration::from_secs(10);
const IDLE_PER_HOST_MAX: usize = 16;
/// A longer `Retry-After` is not believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug)]
pub struct HttpSettings {
    pub connect_timeout: Duration,
    pub user_agent: String,
    /// Whether `HTTPS_PROXY` and its kin are heeded.
    pub use_proxy_of_environment: bool,
    /// The systems that are told in which of our traces a call stands.
    pub traceparent_to: Vec<System>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            user_agent: concat!("windlass/", env!("CARGO_PKG_VERSION")).to_owned(),
            use_proxy_of_environment: false,
            traceparent_to: Vec::new(),
        }
    }
}

/// Chooses ring as the process's TLS provider, unless one was chosen before.
pub fn install_crypto() {
    // An error says that there is a provider already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The shared HTTP client: one pool of connections for all systems.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    clock: Clock,
    traceparent_to: Arc<[System]>,
}

impl Http {
    /// # Errors
    /// When the machine has no usable TLS set-up (no root certificates).
    pub fn new(settings: &HttpSettings, clock: Clock) -> anyhow::Result<Self> {
        install_crypto();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .user_agent(&settings.user_agent)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never());
        if !settings.use_proxy_of_environment {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build()?,
            clock,
            traceparent_to: settings.traceparent_to.as_slice().into(),
        })
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    pub fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    /// Sends one request and reads its answer, whatever its status.
    pub async fn exchange(&self, call: &Call, request: RequestBuilder) -> Result<Answer, OutsideError> {
        let response = self.open(call, request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(call, response, call.answer_bytes_max).await?;
        Ok(Answer { status, headers, body })
    }

    /// Sends one request; the body of the answer is left to the caller.
    pub async fn open(
        &self,
        call: &Call,
        request: RequestBuilder,
    ) -> Result<reqwest::Response, OutsideError> {
        let (client, request) = request.timeout(call.timeout).build_split();
        let mut request = request.map_err(|error| call.torn(error))?;
        traced::leaves(call, &mut request, self.traceparent_to.contains(&call.system));
        let response = client.execute(request).await.map_err(|error| call.torn(error))?;
        traced::answered(response.status().as_u16());
        Ok(response)
    }

    /// Records the duration (wall time) and the outcome of a whole call, its repetition included.
    pub async fn measured<T>(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, OutsideError>>,
    ) -> Result<T, OutsideError> {
        traced::measured(&self.clock, call, work).await
    }
}

async fn read_body(
    call: &Call,
    mut response: reqwest::Response,
    bytes_max: usize,
) -> Result<Vec<u8>, OutsideError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| call.torn(error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(call.lost(&format!("answer is longer than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether a call changes something outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Read,
    Write,
}

/// A call as its errors and metrics know it.
#[derive(Clone, Debug)]
pub struct Call {
    pub system: System,
    pub name: &'static str,
    pub manner: Manner,
    pub timeout: Duration,
    /// Values that must not come into an error: what was sent of secrets and personal data.
    pub hide: Vec<String>,
    /// Longest answer that is read.
    pub answer_bytes_max: usize,
}

impl Call {
    pub fn read(system: System, name: &'static str, timeout: Duration) -> Self {
        Self {
            system,
            name,
            manner: Manner::Read,
            timeout,
            hide: Vec::new(),
            answer_bytes_max: BODY_BYTES_MAX,
        }
    }

    pub fn write(system: System, name: &'static str, timeout: Duration) -> Self {
        Self {
            system,
            name,
            manner: Manner::Write,
            timeout,
            hide: Vec::new(),
            answer_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// For an answer that may be longer than others.
    pub fn up_to(mut self, answer_bytes_max: usize) -> Self {
        self.answer_bytes_max = answer_bytes_max;
        self
    }

    pub fn hiding<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.hide.extend(values.into_iter().map(str::to_owned));
        self
    }

    pub fn fail(&self, fault: Fault, detail: &str) -> OutsideError {
        OutsideError::new(self.system, self.name, fault, &redact(detail, &self.hide))
    }

    pub fn refused(&self, code: &str, detail: &str) -> OutsideError {
        self.fail(Fault::Refused { code: redact(code, &self.hide) }, detail)
    }

    /// Not done: the outside wants it later. It answered, so that is no outage.
    pub fn wanted_later(&self, detail: &str) -> OutsideError {
        self.fail(Fault::Throttled { retry_after: None }, detail).while_answering()
    }

    pub fn misconfigured(&self, code: &str, detail: &str) -> OutsideError {
        self.fail(Fault::Misconfigured { code: redact(code, &self.hide) }, detail)
    }

    /// The outside gave no answer that can be read: a write may have happened, a read failed in passing.
    pub fn lost(&self, detail: &str) -> OutsideError {
        match self.manner {
            Manner::Read => self.fail(Fault::Unavailable, detail),
            Manner::Write => self.fail(Fault::InDoubt, detail),
        }
    }

    /// As [`Call::lost`], but the outside did answer, only not so that it can be believed: no outage.
    pub fn doubtful(&self, detail: &str) -> OutsideError {
        self.lost(detail).while_answering()
    }

    /// The class of a status for which the system has no meaning of its own.
    ///
    /// # Errors
    /// For every status but 2xx.
    pub fn judge_status(&self, answer: &Answer, clock: &Clock) -> Result<(), OutsideError> {
        let status = answer.status;
        let code = format!("http_{status}");
        let detail = || format!("HTTP {status}: {}", answer.text());
        Err(match status {
            200..=299 => return Ok(()),
            429 => self.fail(Fault::Throttled { retry_after: answer.retry_after(clock) }, &detail()),
            408 | 500.. => self.lost(&detail()),
            300..=399 | 401 | 403 | 404 | 405 => self.misconfigured(&code, &detail()),
            _ => self.refused(&code, &detail()),
        })
    }

    /// The class of a failure in sending or reading.
    pub(crate) fn torn(&self, error: reqwest::Error) -> OutsideError {
        let (connecting, unbuildable) = (error.is_connect(), error.is_builder());
        let timed_out = error.is_timeout();
        // The URL may hold an access token.
        let detail = chain(&error.without_url());
        if unbuildable {
            self.misconfigured("bad_request", &detail)
        } else if connecting {
            self.fail(Fault::NotSent, &detail)
        } else if timed_out {
            self.lost(&format!("no answer within {} ms", self.timeout.as_millis()))
        } else {
            self.lost(&detail)
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// An answer of any status, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// # Errors
    /// [`Call::lost`] when the body is not that JSON: a gateway's page, a cut body.
    pub fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, OutsideError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| call.lost(&format!("unreadable answer ({error}): {}", self.text())))
    }

    /// The value of a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn retry_after(&self, clock: &Clock) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        let wait = match text.parse::<u64>() {
            Ok(secs) => Duration::from_secs(secs),
            Err(_) => {
                let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
                windlass_engine::Timestamp::from(at).since(clock.now())
            }
        };
        Some(wait.min(RETRY_AFTER_MAX))
    }
}
