//! What metrics and traces are told of a call to the outside, and what the outside is told of our traces: nothing,
//! unless the shop says so.

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Request, Url};
use windlass_engine::Clock;
use windlass_engine::trace::{self, Span, SpanKind};

use super::http::Call;
use super::{OutsideError, System};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Stands in a path for what is not the same in every call.
const NUMBER: &str = "{}";
/// Parts of paths behind which a number of ours stands (facts: wechat-pay.md 6, 8).
const BEFORE_NUMBERS: [&str; 3] = ["id", "out-trade-no", "refunds"];

/// Records the duration (wall time) and the outcome of a whole call, its repetition included.
pub(crate) async fn measured<T>(
    clock: &Clock,
    call: &Call,
    work: impl Future<Output = Result<T, OutsideError>>,
) -> Result<T, OutsideError> {
    let (system, name) = (call.system.name(), call.name);
    let span = Span::child(SpanKind::Client, || format!("{system}.{name}"));
    span.note(|record| {
        record.set("peer.service", system).set("windlass.outside.call", name);
    });
    let began = clock.wall();
    let result = span.within(work).await;
    let outcome = result.as_ref().map_or_else(|error| error.fault.name(), |_| "ok");
    metrics::histogram!("windlass_outside_request_seconds",
        "system" => system, "call" => name, "outcome" => outcome)
    .record(clock.wall().since(began).as_secs_f64());
    span.note(|record| {
        record.set("windlass.outside.outcome", outcome);
        if result.is_err() {
            record.fail(outcome);
        }
    });
    result
}

/// Notes in the span of the call what is sent, and sends our context along where the system is `told` of it.
pub(crate) fn leaves(call: &Call, request: &mut Request, told: bool) {
    trace::note(|record| {
        let again = record.attribute("http.request.method").is_some();
        record.set("http.request.method", request.method().to_string());
        record.set("server.address", request.url().host_str().unwrap_or_default().to_owned());
        if let Some(port) = request.url().port_or_known_default() {
            record.set("server.port", port);
        }
        if let Some(template) = template(call.system, request.url()) {
            record.set("url.template", template);
        }
        if again {
            record.set("http.request.resend_count", 1_u32);
        }
    });
    if told
        && let Some(context) = trace::current()
        && let Ok(value) = HeaderValue::from_str(&context.to_traceparent())
    {
        request.headers_mut().insert(TRACEPARENT, value);
    }
}

pub(crate) fn answered(status: u16) {
    trace::note(|record| {
        record.set("http.response.status_code", status);
    });
}

/// The path without what differs from call to call, and without the query, which may hold a token. None for an address
/// that somebody else chose: its path may be a secret.
fn template(system: System, url: &Url) -> Option<String> {
    if system == System::Webhook {
        return None;
    }
    let (mut template, mut before) = (String::new(), "");
    for part in url.path().split('/').skip(1) {
        let is_version =
            part.strip_prefix('v').is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit());
        let is_number = BEFORE_NUMBERS.contains(&before)
            || part.bytes().any(|b| !(b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.')));
        template.push('/');
        template.push_str(if is_number && !is_version { NUMBER } else { part });
        before = part;
    }
    Some(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_holds_no_number_of_ours_and_no_query() {
        for (path, template_of_it) in [
            (
                "/v3/pay/transactions/out-trade-no/SO-1001/close?mchid=19",
                "/v3/pay/transactions/out-trade-no/{}/close",
            ),
            ("/v3/pay/transactions/out-trade-no/SPECIALORDER", "/v3/pay/transactions/out-trade-no/{}"),
            ("/v3/refund/domestic/refunds/R%7C1", "/v3/refund/domestic/refunds/{}"),
            ("/v3/refund/domestic/refunds", "/v3/refund/domestic/refunds"),
            ("/wxa/sec/order/upload_shipping_info?access_token=abc", "/wxa/sec/order/upload_shipping_info"),
            ("/billdownload/4f2a9c/file.csv", "/billdownload/{}/file.csv"),
        ] {
            let url = Url::parse(&format!("https://api.example{path}")).unwrap();
            assert_eq!(template(System::WechatPay, &url).as_deref(), Some(template_of_it));
        }
        let hook = Url::parse("https://hooks.example/services/secret").unwrap();
        assert_eq!(template(System::Webhook, &hook), None);
    }
}
