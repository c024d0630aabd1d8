//! Spans as a collector has them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::receiver::Receiver;

pub const INTERNAL: u64 = 1;
pub const SERVER: u64 = 2;
pub const CLIENT: u64 = 3;
pub const PRODUCER: u64 = 4;
pub const CONSUMER: u64 = 5;

#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub kind: u64,
    pub began: u64,
    pub ended: u64,
    pub failed: bool,
    attributes: BTreeMap<String, String>,
}

impl Span {
    /// The attribute as text; empty: there is none.
    pub fn told(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Everything that was received, in the order in which it began.
pub fn of(receiver: &Receiver) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in receiver.received() {
        assert_eq!(request.path, "/v1/traces");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        for of_resource in body["resourceSpans"].as_array().unwrap() {
            let resource = attributes(&of_resource["resource"]["attributes"]);
            for scope in of_resource["scopeSpans"].as_array().unwrap() {
                spans.extend(scope["spans"].as_array().unwrap().iter().map(|span| read(span, &resource)));
            }
        }
    }
    spans.sort_by_key(|span| span.began);
    spans
}

fn read(span: &Value, resource: &BTreeMap<String, String>) -> Span {
    let text = |name: &str| span[name].as_str().unwrap().to_owned();
    let nanos = |name: &str| text(name).parse().unwrap();
    let span = Span {
        service: resource["service.name"].clone(),
        trace: text("traceId"),
        id: text("spanId"),
        parent: span["parentSpanId"].as_str().map(str::to_owned),
        name: text("name"),
        kind: span["kind"].as_u64().unwrap(),
        began: nanos("startTimeUnixNano"),
        ended: nanos("endTimeUnixNano"),
        failed: span["status"]["code"] == 2,
        attributes: attributes(&span["attributes"]),
    };
    assert!((span.trace.len(), span.id.len()) == (32, 16) && span.began <= span.ended, "{span:?}");
    span
}

fn attributes(list: &Value) -> BTreeMap<String, String> {
    let value = |told: &Value| match told.as_object().and_then(|told| told.values().next()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => panic!("an attribute without a value: {told}"),
    };
    let list = list.as_array().unwrap().iter();
    list.map(|one| (one["key"].as_str().unwrap().to_owned(), value(&one["value"]))).collect()
}

/// The one of that name; the first where there are more.
#[track_caller]
pub fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| {
        panic!("no span {name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())
    })
}
