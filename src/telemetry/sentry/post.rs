//! Sends events by Sentry's envelope interface, and keeps quiet for as long as the other side asks for.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use windlass_engine::{Clock, Timestamp};
use windlass_jobs::outside::Secret;

use super::dsn::Dsn;
use super::event::Event;
use crate::config::ErrorDesk;
use crate::platform::{VERSION, host_name};

const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a 429 without a time of its own is heeded, as Sentry's clients do.
const QUIET_DEFAULT: Duration = Duration::from_secs(60);
/// A longer time is not believed.
const QUIET_MAX: Duration = Duration::from_secs(3_600);
const AUTH: &str = "x-sentry-auth";
const RATE_LIMITS: &str = "x-sentry-rate-limits";
const CLIENT: &str = concat!("windlass/", env!("CARGO_PKG_VERSION"));

pub(super) struct Post {
    client: Client,
    dsn: Dsn,
    /// What every event of this process says.
    of_process: Value,
    clock: Clock,
    quiet_until: Timestamp,
    is_away: bool,
}

impl Post {
    pub(super) fn new(desk: &ErrorDesk, program: &str, clock: Clock) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .user_agent(CLIENT)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .context("no HTTP client for errors")?;
        let of_process = json!({
            "environment": desk.environment,
            "release": desk.release,
            "server_name": host_name(),
            "logger": program,
            "sdk": { "name": "windlass", "version": VERSION },
        });
        Ok(Self {
            client,
            dsn: desk.dsn.clone(),
            of_process,
            clock,
            quiet_until: Timestamp::default(),
            is_away: false,
        })
    }

    /// Sends the event; the answer is its outcome, to be counted. It is not tried again: the error will come again, or
    /// does not matter.
    pub(super) async fn send(&mut self, event: &Event) -> &'static str {
        if self.clock.wall() < self.quiet_until {
            return "held_back";
        }
        let request = self
            .client
            .post(self.dsn.envelopes.clone())
            .header(AUTH, auth(&self.dsn.key))
            .header(CONTENT_TYPE, "application/x-sentry-envelope")
            .body(self.envelope(event));
        let why = match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                if let Some(quiet) = quiet(status, response.headers()) {
                    self.quiet_until = self.clock.wall() + quiet;
                }
                if response.status().is_success() {
                    self.is_away = false;
                    return "sent";
                }
                format!("HTTP {status}")
            }
            Err(error) => format!("{:#}", anyhow::Error::from(error.without_url())),
        };
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(at = ?self.dsn, why, "an error could not be told");
        }
        "not_taken"
    }

    /// Three lines: whose envelope, what is in it, and the event.
    fn envelope(&self, event: &Event) -> String {
        let id = format!("{:032x}", fastrand::u128(1..));
        let mut told = event.told(&id);
        if let (Some(told), Some(of_process)) = (told.as_object_mut(), self.of_process.as_object()) {
            told.extend(of_process.clone());
        }
        let told = told.to_string();
        let head = json!({ "event_id": id, "sent_at": self.clock.wall().to_rfc3339() });
        let item = json!({ "type": "event", "content_type": "application/json", "length": told.len() });
        format!("{head}\n{item}\n{told}\n")
    }
}

fn auth(key: &Secret) -> String {
    format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={}", key.expose())
}

/// How long nothing more is wanted. Without a word in either header only a 429 says so.
fn quiet(status: u16, headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = match text(RATE_LIMITS) {
        Some(limits) => limits.split(',').filter_map(of_errors).max(),
        None if status == 429 => {
            let named = text(RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
            Some(named.unwrap_or(QUIET_DEFAULT.as_secs()))
        }
        None => None,
    };
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds).min(QUIET_MAX))
}

/// `SECONDS:CATEGORIES:SCOPE…`; the categories are divided by semicolons, none means all.
fn of_errors(limit: &str) -> Option<u64> {
    let mut parts = limit.trim().split(':');
    let seconds = parts.next()?.trim().parse().ok()?;
    let categories = parts.next().unwrap_or_default();
    let ours = categories.is_empty() || categories.split(';').any(|one| matches!(one, "error" | "default"));
    ours.then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_says_how_long_it_wants_nothing() {
        let quiet_s = |status, headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
            });
            quiet(status, &headers.collect()).map(|quiet| quiet.as_secs())
        };
        assert_eq!(quiet_s(200, &[]), None);
        assert_eq!(quiet_s(429, &[]), Some(60));
        assert_eq!(quiet_s(429, &[("retry-after", "7")]), Some(7));
        assert_eq!(
            quiet_s(200, &[(RATE_LIMITS, "60:transaction:key, 2700:default;error;security:organization")]),
            Some(2_700)
        );
        assert_eq!(quiet_s(429, &[(RATE_LIMITS, "60:transaction:key"), ("retry-after", "60")]), None);
        assert_eq!(quiet_s(200, &[(RATE_LIMITS, "30::organization")]), Some(30));
        assert_eq!(quiet_s(429, &[("retry-after", "9999999")]), Some(3_600));
    }
}
