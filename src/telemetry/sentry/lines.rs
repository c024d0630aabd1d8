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
const SAID: [&str; 4] = ["error", "inside", "why", "said"];
const SERVER_ERROR_MIN: u64 = 500;

/// Whether lines of the callsite can be errors.
pub(in crate::telemetry) fn may_be_error(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().starts_with("windlass");
    // Asking whether a line would be logged is neither, and what is answered then holds for the line after it.
    !metadata.is_span()
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
        let told =
            Event::new(Level::Error, &line.message, said).with_place(line.place).with_fields(line.fields);
        self.take(told);
    }
}

#[derive(Default)]
struct Line {
    message: String,
    said: Option<String>,
    /// Of a panic.
    place: String,
    status: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn keep(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "place" => self.place = value,
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;
    use windlass_engine::Clock;

    use super::*;

    /// What `log` tells as errors: what happened, and what was said of it.
    fn errors_of(log: impl FnOnce()) -> Vec<(String, String)> {
        let (waiting, mut events) = mpsc::channel(100);
        let errors = Errors::into(waiting, Clock::system());
        tracing::subscriber::with_default(registry().with(errors.with_filter(filter_fn(may_be_error))), log);
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            let event = event.told("id");
            let value = &event["exception"]["values"][0];
            told.push((
                value["type"].as_str().unwrap().to_owned(),
                value["value"].as_str().unwrap().to_owned(),
            ));
        }
        told
    }

    #[test]
    fn errors_are_what_is_logged_as_one_and_requests_that_failed_within() {
        let told = errors_of(|| {
            tracing::error!(target: "windlass_engine::attempt", kind = "noop", error = "no luck", "dead");
            tracing::warn!(target: PROBLEMS, status = 503_u16, inside = "the carrier is away", "request refused");
            tracing::warn!(target: PROBLEMS, status = 429_u16, inside = "full", "request refused");
            tracing::warn!(target: "windlass_engine::attempt", "failed, to be retried");
            tracing::error!(target: "sqlx::query", "SELECT 1");
        });
        let pair = |what: &str, said: &str| (what.to_owned(), said.to_owned());
        assert_eq!(told, [pair("dead: noop", "no luck"), pair("request refused", "the carrier is away")]);
    }

    #[test]
    fn a_flood_of_one_line_is_held_back() {
        let told = errors_of(|| {
            for order in 0..1_000 {
                tracing::error!(target: "windlass_engine::attempt", kind = "noop", error = format!("order {order}"), "dead");
            }
            tracing::error!(target: "windlass_engine::attempt", kind = "sleep", error = "other", "dead");
        });
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[3].0, "dead: sleep");
    }
}
