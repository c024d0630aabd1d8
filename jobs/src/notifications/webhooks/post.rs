//! One request to an endpoint, and what its answer means: 2xx is "taken", 410 is "never again", everything else is "not
//! taken". Redirects are not followed, answers are hardly read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, redirect};
use serde::{Deserialize, Serialize};
use windlass_engine::Clock;

use super::address::{PRIVATE, PublicOnly, judge};
use super::signature::{SigningSecret, sign};
use crate::outside::{Call, Fault, OutsideError, System, answered, install_crypto, leaves, measured};

/// Bytes that are read of an answer: enough for a person to see what it was.
const ANSWER_BYTES_MAX: usize = 1_024;
/// A longer `Retry-After` is not believed.
const RETRY_AFTER_MAX_S: u64 = 24 * 3_600;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is kept so long.
const IDLE_MAX: Duration = Duration::from_secs(10);
const GONE: u16 = 410;

#[derive(Clone, Debug)]
pub struct PostSettings {
    /// Wall time that an endpoint has for its answer.
    pub timeout: Duration,
    /// Requests of one endpoint that this process has on the way at once.
    pub at_once: usize,
    /// Whether endpoints may be inside the network, and spoken to in the clear.
    pub private_addresses: bool,
    /// Whether receivers are told in which of our traces a message stands.
    pub traceparent: bool,
}

impl Default for PostSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), at_once: 4, private_addresses: false, traceparent: false }
    }
}

/// Sends webhooks. Clones share its connections and its count of what is on the way.
#[derive(Clone)]
pub struct Post {
    client: Client,
    settings: PostSettings,
    clock: Clock,
    under_way: UnderWay,
}

type UnderWay = Arc<Mutex<HashMap<String, usize>>>;

/// One message on its way to one endpoint.
pub(super) struct Letter<'a> {
    pub url: &'a str,
    /// The webhook-id.
    pub id: &'a str,
    pub body: &'a str,
    pub secrets: &'a [SigningSecret],
}

/// The endpoint took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub status: u16,
}

/// A place among the requests of one endpoint; given back when dropped.
pub(super) struct Place {
    under_way: UnderWay,
    endpoint: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.endpoint) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                under_way.remove(&self.endpoint);
            }
        }
    }
}

impl Post {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(settings: PostSettings, clock: Clock) -> anyhow::Result<Self> {
        install_crypto();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            .user_agent(concat!("windlass-webhooks/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE_MAX)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A proxy would look the name up itself, and not judge what it finds.
            .no_proxy();
        if !settings.private_addresses {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
        Ok(Self { client: builder.build()?, settings, clock, under_way: Arc::default() })
    }

    pub fn settings(&self) -> &PostSettings {
        &self.settings
    }

    /// None: the endpoint has as many requests under way as it may.
    pub(super) fn enter(&self, endpoint: &str) -> Option<Place> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.entry(endpoint.to_owned()).or_default();
        if *count >= self.settings.at_once {
            return None;
        }
        *count += 1;
        Some(Place { under_way: self.under_way.clone(), endpoint: endpoint.to_owned() })
    }

    /// # Errors
    /// `Refused` with the code 410 when the endpoint is gone; `Throttled` for every other answer, which says that it was
    /// not taken; `InDoubt` when there was none; `NotSent` and `Misconfigured` when nothing was sent.
    pub(super) async fn send(&self, letter: &Letter<'_>) -> Result<Receipt, OutsideError> {
        let call = Call::write(System::Webhook, "post", self.settings.timeout);
        measured(&self.clock, &call, self.sent(&call, letter)).await
    }

    async fn sent(&self, call: &Call, letter: &Letter<'_>) -> Result<Receipt, OutsideError> {
        let url = judge(letter.url, self.settings.private_addresses)
            .map_err(|why| call.misconfigured("address", &format!("the address {why}")))?;
        // Of this try, on the clock that the receiver has: it refuses what is too old or too new.
        let timestamp = self.clock.wall().secs();
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", letter.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign(letter.secrets, letter.id, timestamp, letter.body))
            .body(letter.body.to_owned());
        let mut request = request.build().map_err(|error| torn(call, error))?;
        leaves(call, &mut request, self.settings.traceparent);
        let response = self.client.execute(request).await.map_err(|error| torn(call, error))?;
        let status = response.status();
        answered(status.as_u16());
        if status.is_success() {
            return Ok(Receipt { status: status.as_u16() });
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|secs: u64| Duration::from_secs(secs.min(RETRY_AFTER_MAX_S)));
        let said = beginning(response).await;
        let detail = format!("HTTP {}: {said}", status.as_u16());
        Err(match status.as_u16() {
            GONE => call.refused("410", &detail),
            300..=399 => {
                call.fail(Fault::Throttled { retry_after }, &format!("{detail} (redirects are not followed)"))
            }
            _ => call.fail(Fault::Throttled { retry_after }, &detail),
        })
    }
}

fn torn(call: &Call, error: reqwest::Error) -> OutsideError {
    let is_private = std::iter::successors(std::error::Error::source(&error), |inner| inner.source())
        .any(|inner| inner.to_string() == PRIVATE);
    if is_private { call.misconfigured("address", PRIVATE) } else { call.torn(error) }
}

async fn beginning(mut response: reqwest::Response) -> String {
    let mut said = Vec::new();
    while said.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        said.extend_from_slice(&chunk);
    }
    said.truncate(ANSWER_BYTES_MAX);
    String::from_utf8_lossy(&said).replace('\0', " ")
}
