//! One error as it is told: redacted, bounded, and filed with its like.

use serde_json::{Map, Value, json};
use windlass_engine::Timestamp;
use windlass_engine::trace::{self, TraceContext};
use windlass_jobs::outside::redact;

/// Names and values beside the text.
const FIELDS_MAX: usize = 20;
/// What errors are looked for by: few values each. The rest is told beside them.
const TAGS: [&str; 8] = ["kind", "queue", "method", "route", "status", "system", "schedule", "problem"];
/// Which of them tell one error from another.
const TELLING: [&str; 4] = ["kind", "queue", "problem", "schedule"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    /// The process ends with it.
    Fatal,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub at: Timestamp,
    pub level: Level,
    /// What happened, in words that are the same each time.
    what: String,
    /// What was said of it this time.
    said: String,
    place: String,
    fields: Vec<(String, String)>,
    trace: Option<TraceContext>,
    /// How many of its like were not told since the last one.
    pub held_back: u64,
}

impl Event {
    pub(super) fn new(level: Level, what: &str, said: &str) -> Self {
        Self {
            at: Timestamp::default(),
            level,
            what: what.to_owned(),
            said: redact(said, &[]),
            place: String::new(),
            fields: Vec::new(),
            trace: trace::current(),
            held_back: 0,
        }
    }

    pub(super) fn with_place(self, place: String) -> Self {
        Self { place, ..self }
    }

    pub(super) fn with_fields(self, fields: Vec<(&'static str, String)>) -> Self {
        // The name stands before the value, so that a telling name has its value struck out.
        let redacted = |(name, value): (&'static str, String)| {
            let pair = redact(&format!("{name}={value}"), &[]);
            let value = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            (name.to_owned(), value.unwrap_or_default().to_owned())
        };
        Self { fields: fields.into_iter().take(FIELDS_MAX).map(redacted).collect(), ..self }
    }

    /// What files it with its like.
    pub(super) fn fingerprint(&self) -> String {
        let telling = TELLING.iter().filter_map(|name| self.field(name));
        let parts = [self.what.as_str(), self.place.as_str()].into_iter().chain(telling);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// As Sentry's event schema has it, without what every event of the process says.
    pub(super) fn told(&self, id: &str) -> Value {
        let level = match self.level {
            Level::Error => "error",
            Level::Fatal => "fatal",
        };
        let (mut tags, mut extra) = (Map::new(), Map::new());
        for (name, value) in &self.fields {
            let into = if TAGS.contains(&name.as_str()) { &mut tags } else { &mut extra };
            into.insert(name.clone(), json!(value));
        }
        if self.held_back > 0 {
            extra.insert("held_back".to_owned(), json!(self.held_back));
        }
        if !self.place.is_empty() {
            extra.insert("place".to_owned(), json!(self.place));
        }
        let title =
            self.field("kind").map_or_else(|| self.what.clone(), |kind| format!("{}: {kind}", self.what));
        let mut told = json!({
            "event_id": id,
            "timestamp": self.at.to_rfc3339(),
            "platform": "other",
            "level": level,
            "exception": { "values": [{ "type": title, "value": self.said }] },
            "fingerprint": [self.fingerprint()],
            "tags": tags,
            "extra": extra,
        });
        if let Some(transaction) = self.field("kind").or_else(|| self.field("route")) {
            told["transaction"] = json!(transaction);
        }
        if let Some(context) = self.trace {
            told["contexts"] = json!({ "trace": {
                "trace_id": context.trace_id.to_string(), "span_id": context.span_id.to_string() } });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_without_secrets_and_phones() {
        let fields = vec![
            ("kind", "send_notification".to_owned()),
            ("openid", "oABC123".to_owned()),
            ("id", "j1".to_owned()),
        ];
        let event = Event::new(Level::Error, "dead", "call 13912345678, token=abc").with_fields(fields);
        let told = event.told("0123456789abcdef0123456789abcdef");
        let text = told.to_string();
        for secret in ["13912345678", "abc,", "oABC123"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(told["exception"]["values"][0]["type"], "dead: send_notification");
        assert_eq!(
            (&told["tags"]["kind"], &told["extra"]["id"]),
            (&json!("send_notification"), &json!("j1"))
        );
    }

    #[test]
    fn errors_are_told_apart_by_what_and_where_and_not_by_their_words() {
        let dead = |kind: &str, said: &str| {
            Event::new(Level::Error, "dead", said).with_fields(vec![("kind", kind.to_owned())]).fingerprint()
        };
        assert_eq!(dead("query_payment", "order 1"), dead("query_payment", "order 2"));
        assert_ne!(dead("query_payment", "order 1"), dead("refund_order", "order 1"));
    }
}
