//! What a process tells of itself: log lines on stderr and in files, figures for Prometheus, and, where it is told whom to
//! tell, traces and errors.
//!
//! It opens no port: the front door renders the figures where it is asked for them.

mod catalogue;
mod files;
mod logs;
mod metrics;
mod panics;
mod process;
mod reports;
mod sentry;
mod traces;

pub use self::catalogue::{METRICS, Metric, MetricKind};
pub use self::files::{ACCESS_TARGET, prove as prove_log_folder};
pub use self::logs::{Logs, money_trail, start_logs, start_logs_of_command};
pub use self::metrics::{Metrics, TelemetryError, UPKEEP};
pub use self::panics::said as said_by_panic;
pub use self::reports::Reports;
pub use self::sentry::{BadDsn, Dsn, Errors};
