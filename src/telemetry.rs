//! What a process tells of itself: log lines on stderr, figures for Prometheus.
//!
//! It opens no port: the front door renders the figures where it is asked for them.

mod catalogue;
mod logs;
mod metrics;
mod process;

pub use self::catalogue::{METRICS, Metric, MetricKind};
pub use self::logs::start_logs;
pub use self::metrics::{Metrics, TelemetryError, UPKEEP};
