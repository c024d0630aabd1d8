//! Spans as OTLP's JSON: the protobuf messages of opentelemetry-proto 1.x under the JSON mapping of the OTLP
//! specification (ids in hex, 64-bit numbers as texts, enums as numbers).

use serde_json::{Value as Json, json};
use windlass_engine::trace::{SpanKind, SpanRecord, Value};

use crate::config::{Collector, Env};
use crate::platform::{VERSION, host_name};

/// Who tells: the same for every span of a process.
pub(super) struct Resource(Json);

impl Resource {
    pub(super) fn of(collector: &Collector, program: &str, env: Env) -> Self {
        let (host, pid) = (host_name(), std::process::id());
        let service = collector.service.as_deref().unwrap_or(program);
        let mut attributes = vec![
            ("service.name", service.to_owned()),
            ("service.version", VERSION.to_owned()),
            ("service.instance.id", format!("{host}-{pid}")),
            ("deployment.environment.name", env.as_str().to_owned()),
            ("host.name", host),
            ("process.pid", pid.to_string()),
            ("telemetry.sdk.name", "windlass".to_owned()),
            ("telemetry.sdk.language", "rust".to_owned()),
            ("telemetry.sdk.version", VERSION.to_owned()),
        ];
        // What the installation says wins, but for the name, which has a variable of its own.
        let named = collector.service.is_some();
        let said = collector.resource.iter().filter(|(name, _)| !(named && name == "service.name"));
        attributes.retain(|(name, _)| !said.clone().any(|(other, _)| other == name));
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| (*name, value))
            .chain(said.map(|(name, value)| (name.as_str(), value)))
            .map(|(name, value)| json!({ "key": name, "value": { "stringValue": value } }))
            .collect();
        Self(json!({ "attributes": attributes }))
    }
}

/// The body of one request.
pub(super) fn encode(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let spans: Vec<_> = spans.iter().map(span).collect();
    let scope = json!({ "name": "windlass", "version": VERSION });
    let scope_spans = json!([{ "scope": scope, "spans": spans }]);
    json!({ "resourceSpans": [{ "resource": resource.0, "scopeSpans": scope_spans }] })
        .to_string()
        .into_bytes()
}

fn span(span: &SpanRecord) -> Json {
    let attributes: Vec<_> =
        span.attributes.iter().map(|(name, told)| json!({ "key": name, "value": value(told) })).collect();
    let nanos = |at: windlass_engine::Timestamp| format!("{}000", at.micros());
    let mut told = json!({
        "traceId": span.context.trace_id.to_string(),
        "spanId": span.context.span_id.to_string(),
        "flags": u8::from(span.context.sampled),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
        "status": if span.failed { json!({ "code": STATUS_ERROR }) } else { json!({}) },
    });
    if let Some(parent) = span.parent {
        told["parentSpanId"] = json!(parent.to_string());
    }
    told
}

const STATUS_ERROR: u8 = 2;

/// `SpanKind` of opentelemetry-proto; 0 is for "not said".
const fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Bool(yes) => json!({ "boolValue": yes }),
    }
}

#[cfg(test)]
mod tests {
    use windlass_engine::Timestamp;
    use windlass_engine::trace::TraceContext;

    use super::*;

    #[test]
    fn a_span_is_written_as_the_specification_maps_it() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let mut record = SpanRecord {
            context,
            parent: Some(context.span_id),
            kind: SpanKind::Consumer,
            name: "run noop".into(),
            began: Timestamp::from_micros(1_767_585_600_000_001),
            ended: Timestamp::from_micros(1_767_585_600_000_002),
            attributes: Vec::new(),
            failed: false,
        };
        record.set("windlass.job.attempt", 2_u32).set("again", true).fail("timeout");
        let told = span(&record);
        assert_eq!(told["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&told["spanId"], &told["parentSpanId"]), (&json!("00f067aa0ba902b7"), &told["spanId"]));
        assert_eq!(told["startTimeUnixNano"], "1767585600000001000");
        assert_eq!((&told["kind"], &told["status"]["code"]), (&json!(5), &json!(2)));
        assert_eq!(
            told["attributes"],
            json!([
                { "key": "windlass.job.attempt", "value": { "intValue": "2" } },
                { "key": "again", "value": { "boolValue": true } },
                { "key": "error.type", "value": { "stringValue": "timeout" } },
            ])
        );
    }
}
