//! Which lines of the log are errors, and what is told of them.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Errors;
use super::event::{Event, Level};

/// Where the front door logs what it could not answer; of its warnings those with a status of 5xx are errors.
const PROBLEMS: &str = "windlass::front_door::problem";
/// Fields that say what went wrong, before the message that says what it went wrong with.
const SAID: [&str; 3] = ["error", "inside", "why"];
const SERVER_ERROR_MIN: u64 = 500;

/// Whether lines of the callsite can be errors.
pub(in crate::telemetry) fn may_be_error(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().starts_with("windlass");
    metadata.is_event()
        && ours
        && (*metadata.level() == tracing::Level::ERROR
            || (*metadata.level() == tracing::Level::WARN && metadata.target() == PROBLEMS))
}

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let is_error = *event.metadata().level() == tracing::Level::ERROR;
        if !is_error && line.status.is_none_or(|status| status < SERVER_ERROR_MIN) {
            return;
        }
        let said = line.said.as_deref().unwrap_or(&line.message);
        let told = Event::new(Level::Error, &line.message, said).with_fields(line.fields);
        self.take(told);
    }
}

#[derive(Default)]
struct Line {
    message: String,
    said: Option<String>,
    status: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn keep(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name if SAID.contains(&name) => self.said = Some(value),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = Some(value);
        }
        self.keep(field, value.to_string());
    }
}
