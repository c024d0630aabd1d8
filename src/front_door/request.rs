//! What every request passes through: its id, its time limit, its metrics, the headers of every answer.
//!
//! The one place that writes problems out and logs what is inside them. Who may come in is not decided here.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use windlass_engine::JobId;

use super::caller::Caller;
use super::problem::{Kind, Problem, Unwritten};
use super::{Door, traced};
use crate::telemetry::{ACCESS_TARGET, said_by_panic};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that a caller may choose; a longer or stranger one is replaced by ours.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The outermost layer.
pub async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let began = door.clock.wall();
    let id = request_id(request.headers()).unwrap_or_else(|| JobId::new(began).to_string());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());

    let span = traced::begin(request.headers(), method, route.as_ref().map(MatchedPath::as_str), &id);
    let answer = span.within(AssertUnwindSafe(next.run(request)).catch_unwind()).await;
    let _in_trace = span.enter();
    let mut response = match answer {
        Ok(response) => response,
        Err(panic) => Problem::internal(anyhow::anyhow!("panic: {}", said_by_panic(&*panic))).into_response(),
    };
    if let Some(Unwritten(problem)) = response.extensions_mut().remove::<Unwritten>() {
        let bare = std::mem::replace(&mut response, problem.answer(&id));
        // What axum itself had to say, such as `Allow`.
        for (name, value) in bare.headers() {
            if name != header::CONTENT_LENGTH && !response.headers().contains_key(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    dress(response.headers_mut(), &id);
    let status = response.status().as_u16();
    traced::answered(&span, status, response.headers_mut());
    if door.closing.is_cancelled() {
        // Whoever keeps the connection would meet its end in the middle of the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }

    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let took_s = door.clock.wall().since(began).as_secs_f64();
    // The route, not the path, which may name an order or a customer; the id of the key, not the key.
    let key = response.extensions().get::<Caller>().and_then(Caller::id);
    let status = response.status().as_u16();
    tracing::debug!(target: ACCESS_TARGET, request_id = id, method, route, status, took_s, key, "request");
    metrics::counter!("windlass_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => response.status().as_u16().to_string())
    .increment(1);
    metrics::histogram!("windlass_http_request_seconds", "method" => method, "route" => route).record(took_s);
    response
}

/// Ends a request that takes longer than the door allows.
pub async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            Kind::TookTooLong,
            "It is not known whether the request took effect: send it again under the same id or Idempotency-Key.",
        )
        .inside(anyhow::anyhow!("no answer within {limit:?}"))
        .into_response(),
    }
}

pub async fn no_such_route(request: Request) -> Problem {
    Problem::new(Kind::NoSuchRoute, format!("Nothing is at {}.", shown(request.uri().path())))
}

pub async fn wrong_method(request: Request) -> Problem {
    let detail =
        format!("{} does not take {}; see `Allow`.", shown(request.uri().path()), request.method().as_str());
    Problem::new(Kind::WrongMethod, detail)
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(&REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

fn dress(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The page for people has a policy of its own.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}

/// A label out of a bounded set: anybody may send any method.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// A path as it may be repeated to whoever sent it.
fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}
