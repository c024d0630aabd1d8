//! The process's log: lines on stderr, for stdout belongs to what a command answers; and in files, where a folder is set.
//!
//! Every line passes [`strike`] on its way out, the last net under what must not be logged. Traces are not here.

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use windlass_engine::Clock;
use windlass_jobs::ledger::MoneyTrail;
use windlass_jobs::outside::strike;

use super::files::{AuditFile, Claim, Files, filter};
use super::panics::log_panics;
use super::sentry::{Errors, may_be_error};
use crate::config::{Config, LogFormat};

/// Where this process writes decisions about money. One, as there is one log.
static MONEY_TRAIL: OnceLock<Arc<dyn MoneyTrail>> = OnceLock::new();

/// The log, for as long as this is held; dropped, it has written what it was handed.
pub struct Logs(Option<Files>);

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(files) = &self.0 {
            files.flush();
        }
    }
}

/// Starts the log of a process that goes on until it is told to stop: as the configuration says, with files where it
/// names a folder. SIGHUP opens these anew. `role` is in their names; `errors` takes what is an error, whatever the filter
/// leaves out.
///
/// # Errors
/// When the filter cannot be read, the files cannot be written, or a log runs already.
pub fn start_logs(config: &Config, role: &'static str, errors: Option<Errors>) -> anyhow::Result<Logs> {
    let clock = Clock::system();
    let files = match &config.log_files {
        None => None,
        Some(settings) => {
            let claim = Arc::new(Claim::take(&settings.folder, role)?);
            keep_trail(AuditFile::beside(settings, &claim, role, &clock)?);
            Some(Files::start(settings, &claim, &clock)?)
        }
    };
    install(config.log_format, &config.log_filter, files.clone(), errors)?;
    if let Some(files) = files.clone() {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                files.reopen();
            }
        });
    }
    Ok(Logs(files))
}

/// Starts the log of a command that answers people: lines on stderr as far as `filter` lets them through, and no files
/// but the payment audit's, should the command decide about money.
///
/// # Errors
/// When the filter cannot be read, or a log runs already.
pub fn start_logs_of_command(config: &Config, filter: &str, errors: Option<Errors>) -> anyhow::Result<Logs> {
    if let Some(settings) = &config.log_files {
        keep_trail(AuditFile::later(settings, "tool", &Clock::system()));
    }
    install(config.log_format, filter, None, errors)?;
    Ok(Logs(None))
}

/// Where this process writes decisions about money, if anywhere.
pub fn money_trail() -> Option<Arc<dyn MoneyTrail>> {
    MONEY_TRAIL.get().cloned()
}

fn keep_trail(audit: AuditFile) {
    // A second log of a process is refused below.
    let _ = MONEY_TRAIL.set(Arc::new(audit));
}

fn install(
    format: LogFormat,
    of_log: &str,
    files: Option<Files>,
    errors: Option<Errors>,
) -> anyhow::Result<()> {
    let on_terminal = io::stderr().is_terminal();
    let pretty = match format {
        LogFormat::Auto => on_terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let stderr = tracing_subscriber::fmt::layer().with_writer(Stderr);
    let stderr = if pretty {
        stderr.with_ansi(on_terminal).with_target(false).boxed()
    } else {
        stderr.json().flatten_event(true).with_span_list(false).boxed()
    };
    let to_files = match files {
        None => None,
        Some(files) => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
            Some(lines.with_writer(files).with_filter(filter(of_log)?))
        }
    };
    tracing_subscriber::registry()
        .with(stderr.with_filter(EnvFilter::try_new(of_log)?))
        .with(to_files)
        .with(errors.map(|errors| errors.with_filter(filter_fn(may_be_error))))
        .try_init()
        .map_err(|_| super::TelemetryError::Running("log"))?;
    log_panics();
    Ok(())
}

/// Stderr, a line at a time, redacted.
#[derive(Clone, Copy)]
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = strike(&String::from_utf8_lossy(bytes));
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
