//! Log lines, on stderr: stdout belongs to what a command answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::TelemetryError;
use crate::config::LogFormat;

/// Starts the process's one log. `filter` as `tracing-subscriber` reads it.
///
/// # Errors
/// When the filter cannot be read, or a log runs already.
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|e| TelemetryError::Filter(e.to_string()))?;
    let on_terminal = std::io::stderr().is_terminal();
    let pretty = match format {
        LogFormat::Auto => on_terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if pretty {
        log.with_ansi(on_terminal).with_target(false).try_init()
    } else {
        log.json().flatten_event(true).with_span_list(false).try_init()
    };
    started.map_err(|_| TelemetryError::Running("log"))
}
