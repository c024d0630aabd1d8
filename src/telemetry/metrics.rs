//! The recorder of the figures, and their rendering.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio_util::sync::CancellationToken;
use windlass_engine::{Clock, Timestamp};

use super::files::begin_counts;
use super::{catalogue, process};

/// How often the recorder tidies up, in wall time: what histograms gather must not grow without a scrape.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Bounds of every histogram of seconds: from half a millisecond (a start on an idle system) to five minutes.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
];
/// Bounds of the histograms that count things.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("a {0} runs in this process already")]
    Running(&'static str),
    #[error(transparent)]
    Buckets(#[from] BuildError),
}

/// The figures of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    handle: PrometheusHandle,
    started_at: Timestamp,
}

impl Metrics {
    /// Installs the process's one recorder, describes every metric and says which build this is.
    ///
    /// # Errors
    /// When a recorder is installed already.
    pub fn install(clock: &Clock) -> Result<Self, TelemetryError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        ::metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Running("metrics recorder"))?;
        catalogue::describe();
        tell_build();
        begin_counts();
        Ok(Self(Arc::new(Inner { handle, started_at: clock.wall() })))
    }

    /// All figures, in the text format of Prometheus.
    pub fn render(&self) -> String {
        process::tell(self.0.started_at);
        self.0.handle.run_upkeep();
        self.0.handle.render()
    }

    /// Tidies up every [`UPKEEP`] until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
            self.0.handle.run_upkeep();
        }
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets(&SIZES)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    Ok(builder.build_recorder())
}

fn tell_build() {
    let build = ::metrics::gauge!(
        "windlass_build_info",
        "version" => env!("CARGO_PKG_VERSION"),
        "profile" => if cfg!(debug_assertions) { "debug" } else { "release" },
    );
    build.set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a recorder of its own renders after `record`.
    fn rendered(record: impl FnOnce()) -> String {
        let recorder = recorder().unwrap();
        let handle = recorder.handle();
        ::metrics::with_local_recorder(&recorder, || {
            catalogue::describe();
            record();
        });
        handle.render()
    }

    #[test]
    fn a_histogram_of_seconds_has_buckets_and_its_help() {
        let text =
            rendered(|| ::metrics::histogram!("windlass_job_run_seconds", "kind" => "noop").record(0.003));
        assert!(text.contains("# TYPE windlass_job_run_seconds histogram"), "{text}");
        assert!(text.contains("# HELP windlass_job_run_seconds "), "{text}");
        assert!(text.contains("windlass_job_run_seconds_bucket{kind=\"noop\",le=\"0.0025\"} 0"), "{text}");
        assert!(text.contains("windlass_job_run_seconds_bucket{kind=\"noop\",le=\"0.005\"} 1"), "{text}");
    }

    #[test]
    fn the_build_and_the_process_are_told() {
        let text = rendered(|| {
            tell_build();
            process::tell(Timestamp::from_secs(1_767_585_600));
        });
        assert!(text.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")), "{text}");
        assert!(text.contains("process_start_time_seconds 1767585600"), "{text}");
        #[cfg(target_os = "linux")]
        {
            let rss = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
            let rss: f64 = rss.unwrap().parse().unwrap();
            assert!((1e6..1e12).contains(&rss), "{rss} bytes");
            assert!(text.contains("process_open_fds "), "{text}");
        }
    }
}
