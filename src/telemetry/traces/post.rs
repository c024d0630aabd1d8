//! One batch on its way to the collector: what is tried again, and what is given up (OTLP 1.x, "Failures").

use std::time::Duration;

use anyhow::Context;
use metrics::counter;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windlass_engine::retry::Backoff;
use windlass_engine::trace::SpanRecord;

use super::encode::{Resource, encode};
use crate::config::Collector;

/// Tries of one batch; while they go on the next spans gather, and then find no room.
const TRIES_MAX: u32 = 4;
/// Between two tries where the collector names no time.
const AGAIN: Backoff = Backoff { base_ms: 500, cap_ms: 8_000 };
/// A longer `Retry-After` is not waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes that are read of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Post {
    client: Client,
    endpoint: Url,
    resource: Resource,
    /// Said once, not at every batch.
    is_away: bool,
}

enum Sent {
    /// All but so many, which the collector did not want.
    Taken {
        rejected: u64,
    },
    /// Not taken, and another try may do.
    Again {
        after: Option<Duration>,
        why: String,
    },
    Refused {
        why: String,
    },
}

impl Post {
    pub(super) fn new(collector: &Collector, resource: Resource) -> anyhow::Result<Self> {
        let client = Client::builder()
            .default_headers(collector.headers.iter().cloned().collect::<HeaderMap>())
            .timeout(collector.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(collector.timeout))
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .context("no HTTP client for the collector of traces")?;
        Ok(Self { client, endpoint: collector.endpoint.clone(), resource, is_away: false })
    }

    /// Sends the batch, or gives it up. Whoever is `closing` waits for no second try.
    pub(super) async fn send(&mut self, spans: &[SpanRecord], closing: &CancellationToken) {
        let body = encode(&self.resource, spans);
        let all = spans.len() as u64;
        for attempt in 1..=TRIES_MAX {
            match self.post(body.clone()).await {
                Sent::Taken { rejected } => return self.taken(all, rejected),
                Sent::Refused { why } => return self.given_up(all, &why),
                Sent::Again { why, .. } if attempt == TRIES_MAX => return self.given_up(all, &why),
                Sent::Again { after, why } => {
                    let wait = after.unwrap_or_else(|| AGAIN.wait(attempt, fastrand::f64()));
                    if closing.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                        return self.given_up(all, &why);
                    }
                }
            }
        }
    }

    async fn post(&self, body: Vec<u8>) -> Sent {
        let request =
            self.client.post(self.endpoint.clone()).header(CONTENT_TYPE, "application/json").body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::from(error.without_url()));
                return Sent::Again { after: None, why };
            }
        };
        let (status, after) = (response.status(), retry_after(&response));
        let said = read(response).await;
        let why = format!("HTTP {}", status.as_u16());
        match status.as_u16() {
            200..=299 => Sent::Taken { rejected: rejected(&said) },
            429 | 502 | 503 | 504 => Sent::Again { after, why },
            _ => Sent::Refused { why },
        }
    }

    fn taken(&mut self, all: u64, rejected: u64) {
        let rejected = rejected.min(all);
        count("sent", all - rejected);
        count("not_taken", rejected);
        if std::mem::take(&mut self.is_away) {
            tracing::info!("the collector takes spans again");
        }
    }

    fn given_up(&mut self, all: u64, why: &str) {
        count("not_taken", all);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(endpoint = %self.endpoint, why, "the collector takes no spans: they are dropped");
        }
    }
}

fn count(outcome: &'static str, spans: u64) {
    counter!("windlass_trace_spans_total", "outcome" => outcome).increment(spans);
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

async fn read(mut response: Response) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        said.extend_from_slice(&chunk);
    }
    said
}

/// `ExportTraceServiceResponse.partial_success`: a 64-bit number, so a text; some write a number.
fn rejected(said: &[u8]) -> u64 {
    let said: Value = serde_json::from_slice(said).unwrap_or_default();
    let rejected = &said["partialSuccess"]["rejectedSpans"];
    rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_says_how_many_were_not_wanted() {
        assert_eq!(rejected(b"{}"), 0);
        assert_eq!(rejected(b"not JSON"), 0);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":2}}"#), 2);
    }
}
