//! What a trace is told of a request: the method, the route and the status; never the path, the query or the body.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use windlass_engine::trace::{Span, SpanKind, TraceContext};

use super::{METRICS_PATHS, READY_PATHS};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Names the trace of the request, where there is one.
pub const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// Monitors ask all day long, and their questions are no work.
const LIVE_PATH: &str = "/livez";
const CALLBACKS: &str = "/callbacks/";

/// Begins the span of a request. A caller's own trace goes on here; a callback begins a new one, since who sends it is
/// not known before its signature is looked at.
pub(super) fn begin(
    headers: &HeaderMap,
    method: &'static str,
    route: Option<&str>,
    request_id: &str,
) -> Span {
    if route.is_some_and(is_of_monitors) {
        return Span::default();
    }
    let parent = route.filter(|route| !route.starts_with(CALLBACKS)).and_then(|_| sent(headers));
    let span = Span::begin(SpanKind::Server, parent, || match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    });
    span.note(|record| {
        record.set("http.request.method", method).set("windlass.request_id", request_id.to_owned());
        if let Some(route) = route {
            record.set("http.route", route.to_owned());
        }
    });
    span
}

/// Notes the answer, and tells the caller under which name to look for it.
pub(super) fn answered(span: &Span, status: u16, headers: &mut HeaderMap) {
    span.note(|record| {
        record.set("http.response.status_code", status);
        if status >= 500 {
            record.fail(status.to_string());
        }
    });
    if let Some(context) = span.context()
        && let Ok(id) = HeaderValue::from_str(&context.trace_id.to_string())
    {
        headers.insert(TRACE_ID, id);
    }
}

fn is_of_monitors(route: &str) -> bool {
    route == LIVE_PATH || READY_PATHS.contains(&route) || METRICS_PATHS.contains(&route)
}

/// The context that the caller sent: one header, well formed. Anything else is as if there were none.
fn sent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (sent.next()?, sent.next());
    TraceContext::parse(first.to_str().ok()?).filter(|_| second.is_none())
}
