//! Whom a process tells of its traces and errors. Nobody, unless an address is set.
//!
//! The names are OpenTelemetry's and Sentry's own, so that what an installation has for its other programs holds here.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use windlass_engine::trace::Sampler;

use super::Env;
use super::environment::Environment;
use crate::telemetry::Dsn;

/// How long a collector has for an answer where nothing is set, as in OpenTelemetry's SDKs.
const TIMEOUT_MS_DEFAULT: u64 = 10_000;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The collector of traces.
#[derive(Clone, Debug)]
pub struct Collector {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces` behind it; it is spoken to as
    /// `OTEL_EXPORTER_OTLP_PROTOCOL` has it, and not at all where `OTEL_SDK_DISABLED` says so.
    pub endpoint: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME`; None: the program's own.
    pub service: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: Sampler,
}

/// Where errors are gathered: Sentry, or what speaks like it.
#[derive(Clone, Debug)]
pub struct ErrorDesk {
    /// `SENTRY_DSN`.
    pub dsn: Dsn,
    /// `SENTRY_ENVIRONMENT`; by default what `WINDLASS_ENV` says.
    pub environment: String,
    /// `SENTRY_RELEASE`; by default this version.
    pub release: String,
}

impl Collector {
    pub(super) fn read(env: &mut Environment) -> Option<Self> {
        let of_all = endpoint(env, "OTEL_EXPORTER_OTLP_ENDPOINT").map(|mut base| {
            let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
            base.set_path(&path);
            base
        });
        let endpoint = endpoint(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or(of_all);
        let headers = headers(env);
        let resource = pairs(env, "OTEL_RESOURCE_ATTRIBUTES");
        let service = env.text("OTEL_SERVICE_NAME");
        let timeout = timeout(env);
        let sampler = sampler(env);
        protocol(env);
        let disabled = env.one_of("OTEL_SDK_DISABLED", &[("true", true), ("false", false)]).unwrap_or(false);
        let endpoint = endpoint.filter(|_| !disabled)?;
        Some(Self { endpoint, headers, timeout, service, resource, sampler })
    }
}

impl ErrorDesk {
    pub(super) fn read(env: &mut Environment, mode: Env) -> Option<Self> {
        let dsn = env.text("SENTRY_DSN");
        let environment = env.text("SENTRY_ENVIRONMENT").unwrap_or_else(|| mode.as_str().to_owned());
        let release = env.text("SENTRY_RELEASE");
        let release = release.unwrap_or_else(|| concat!("windlass@", env!("CARGO_PKG_VERSION")).to_owned());
        match Dsn::parse(&dsn?) {
            Ok(dsn) => Some(Self { dsn, environment, release }),
            Err(bad) => {
                env.problem("SENTRY_DSN", bad.to_string());
                None
            }
        }
    }
}

fn endpoint(env: &mut Environment, name: &str) -> Option<Url> {
    let text = env.text(name)?;
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        env.problem(name, "not an address such as http://127.0.0.1:4318");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        env.problem(name, "holds credentials: they belong into OTEL_EXPORTER_OTLP_HEADERS");
        return None;
    }
    Some(url)
}

/// What is spoken here: asking for another form must not look as if it were heeded.
fn protocol(env: &mut Environment) {
    const NAME: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    match env.text(NAME).as_deref() {
        None | Some("http/json") => {}
        Some("http/protobuf") => {
            env.warning("OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf; traces are sent as http/json, which collectors take at the same address");
        }
        Some(other) => {
            env.problem(
                NAME,
                format!("\"{other}\" is not spoken here: http/json, at the collector's HTTP port (4318)"),
            );
        }
    }
}

fn sampler(env: &mut Environment) -> Sampler {
    let (name, share) = (env.text(SAMPLER), env.text(SHARE));
    let Some(name) = name else {
        if share.is_some() {
            env.problem(
                SHARE,
                format!("{SAMPLER} is not set: parentbased_traceidratio keeps a share of the traces"),
            );
        }
        return Sampler::DEFAULT;
    };
    Sampler::named(&name, share.as_deref()).unwrap_or_else(|bad| {
        let of_share = matches!(bad, windlass_engine::trace::BadSampler::Share(_));
        env.problem(if of_share { SHARE } else { SAMPLER }, bad.to_string());
        Sampler::DEFAULT
    })
}

fn timeout(env: &mut Environment) -> Duration {
    const NAME: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
    let timeout_ms = env.parsed(NAME, "a whole number of milliseconds").unwrap_or(TIMEOUT_MS_DEFAULT);
    if !TIMEOUT_MS.contains(&timeout_ms) {
        let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
        env.problem(NAME, format!("{timeout_ms} is not from {least} to {most}"));
    }
    Duration::from_millis(timeout_ms)
}

fn headers(env: &mut Environment) -> Vec<(HeaderName, HeaderValue)> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let mut headers = Vec::new();
    for (name, value) in pairs(env, NAME) {
        match (HeaderName::try_from(&name), HeaderValue::try_from(&value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            // The value may be the secret.
            _ => env.problem(NAME, format!("the header {name:?}, or its value, is none")),
        }
    }
    headers
}

/// `name=value` with commas between; values may be percent-encoded.
fn pairs(env: &mut Environment, variable: &str) -> Vec<(String, String)> {
    let text = env.text(variable).unwrap_or_default();
    let mut pairs = Vec::new();
    for (nth, entry) in text.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty()) {
        match entry.split_once('=').map(|(name, value)| (name.trim(), unescaped(value.trim()))) {
            Some((name, Some(value))) if !name.is_empty() => pairs.push((name.to_owned(), value)),
            _ => env.problem(variable, format!("entry {} is not name=value", nth + 1)),
        }
    }
    pairs
}

/// None: what it is escaped from is no text.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}
