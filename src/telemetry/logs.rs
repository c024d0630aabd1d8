//! Log lines, on stderr: stdout belongs to what a command answers.

use std::io::IsTerminal;

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

use super::TelemetryError;
use super::sentry::{Errors, may_be_error};
use crate::config::LogFormat;

/// Starts the process's one log. `filter` as `tracing-subscriber` reads it; `errors` takes what is an error, whatever the
/// filter leaves out.
///
/// # Errors
/// When the filter cannot be read, or a log runs already.
pub fn start_logs(format: LogFormat, filter: &str, errors: Option<Errors>) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|e| TelemetryError::Filter(e.to_string()))?;
    let on_terminal = std::io::stderr().is_terminal();
    let pretty = match format {
        LogFormat::Auto => on_terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if pretty {
        lines.with_ansi(on_terminal).with_target(false).with_filter(filter).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
    };
    let log = registry().with(lines);
    let started = match errors {
        Some(errors) => log.with(errors.with_filter(filter_fn(may_be_error))).try_init(),
        None => log.try_init(),
    };
    started.map_err(|_| TelemetryError::Running("log"))
}
