//! What a process tells of itself: log lines on stderr, figures for Prometheus, and, where it is told whom to tell, traces
//! and errors.
//!
//! It opens no port: the front door renders the figures where it is asked for them.

mod catalogue;
mod logs;
mod metrics;
mod process;
mod reports;
mod sentry;
mod traces;

pub use self::catalogue::{METRICS, Metric, MetricKind};
pub use self::logs::start_logs;
pub use self::metrics::{Metrics, TelemetryError, UPKEEP};
pub use self::reports::Reports;
pub use self::sentry::{BadDsn, Dsn, Errors};
