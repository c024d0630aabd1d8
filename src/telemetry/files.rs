//! Log files, where `WINDLASS_LOG_DIR` names a folder: JSON lines in a file for each stream, process, day and size.
//!
//! The lines are those of the log, sorted by what they are ([`Stream`]); requests are written here whatever the log's
//! level. They go through a bounded queue, so that no job waits for a disk. The payment audit goes another way: it is
//! written before what it tells of holds ([`audit::AuditFile`]).

use std::io;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use windlass_engine::Clock;
use windlass_jobs::ledger::AUDIT_TARGET;
use windlass_jobs::outside::strike;

mod audit;
mod complaint;
mod folder;
mod name;
mod queue;
mod rolling;
mod tidy;

pub(super) use self::audit::AuditFile;
pub(super) use self::folder::Claim;
pub use self::folder::prove;
use self::name::Stream;
use self::queue::{Queue, Streams};
use crate::config::{LogFiles, WrongSetUp};

/// The target of a request's line.
pub const ACCESS_TARGET: &str = "windlass::access";
/// The target of sqlx's lines.
const STATEMENTS_TARGET: &str = "sqlx::query";
/// Bytes of one line; of a longer one the beginning is kept, which is no JSON any more.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The files of this process. Clones share them.
#[derive(Clone)]
pub(super) struct Files(Queue);

impl Files {
    pub fn start(settings: &LogFiles, claim: &Arc<Claim>, clock: &Clock) -> Result<Self, WrongSetUp> {
        let queue = Queue::start(settings, claim, clock);
        queue
            .map(Self)
            .map_err(|error| WrongSetUp(format!("the thread that writes log files cannot start: {error}")))
    }

    pub fn reopen(&self) {
        self.0.reopen();
    }

    pub fn flush(&self) {
        self.0.flush();
    }
}

/// What goes into files: what the log's own filter lets through, every request, and statements that took long.
pub(super) fn filter(of_log: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let more = format!("{of_log},{ACCESS_TARGET}=debug,{STATEMENTS_TARGET}=warn,{AUDIT_TARGET}=off");
    EnvFilter::try_new(more)
}

/// The counters of what goes wrong here begin at 0, so that the first count is seen by `increase`.
pub(super) fn begin_counts() {
    metrics::counter!("windlass_audit_failures_total").increment(0);
    for stream in Stream::QUEUED {
        for reason in ["queue_full", "cannot_write"] {
            metrics::counter!("windlass_log_lines_dropped_total", "file" => stream.as_str(), "reason" => reason)
                .increment(0);
        }
    }
}

fn streams_of(meta: &Metadata<'_>) -> Streams {
    match meta.target() {
        ACCESS_TARGET => Streams::of(Stream::Api),
        STATEMENTS_TARGET => Streams::of(Stream::Slow),
        _ if *meta.level() == Level::ERROR => Streams::of(Stream::App).and(Stream::Error),
        _ => Streams::of(Stream::App),
    }
}

impl<'a> MakeWriter<'a> for Files {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: &self.0, streams: Streams::of(Stream::App) }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { queue: &self.0, streams: streams_of(meta) }
    }
}

/// Takes one line, whole, as the formatter hands it over.
pub(super) struct Line<'a> {
    queue: &'a Queue,
    streams: Streams,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = strike(&String::from_utf8_lossy(bytes));
        if line.len() > LINE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
            line.push('\n');
        }
        self.queue.line(self.streams, line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::name::LogName;
    use super::*;

    fn settings(folder: &Path) -> LogFiles {
        LogFiles {
            folder: folder.to_owned(),
            file_bytes_max: 1_000_000,
            total_bytes_max: 10_000_000,
            keep_days: 30,
            audit_keep_days: 90,
        }
    }

    /// What stands in the files after `log` ran under `of_log`, by stream.
    fn written(folder: &Path, of_log: &str, log: impl FnOnce(&Files)) -> BTreeMap<&'static str, String> {
        let claim = Arc::new(Claim::take(folder, "worker").unwrap());
        let files = Files::start(&settings(folder), &claim, &Clock::system()).unwrap();
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(files.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter(of_log).unwrap()));
        tracing::subscriber::with_default(subscriber, || log(&files));
        files.flush();
        let mut written = BTreeMap::new();
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if let Some(name) = path.file_name().and_then(|name| LogName::parse(name.to_str()?)) {
                written.insert(name.stream.as_str(), fs::read_to_string(path).unwrap());
            }
        }
        written
    }

    #[test]
    fn each_line_is_in_the_file_of_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let written = written(folder.path(), "info", |_| {
            tracing::info!("an app line");
            tracing::error!("an error line");
            tracing::debug!("a line below the level");
            tracing::debug!(target: ACCESS_TARGET, route = "/v1/jobs", "a request");
            tracing::warn!(target: STATEMENTS_TARGET, "a slow statement");
            tracing::info!(target: AUDIT_TARGET, "a decision about money");
        });
        let has = |stream: &str, part: &str| written.get(stream).is_some_and(|text| text.contains(part));
        assert!(has("app", "an app line") && has("app", "an error line"), "{written:?}");
        assert!(has("error", "an error line") && !has("error", "an app line"), "{written:?}");
        assert!(has("api", "a request") && has("slow", "a slow statement"), "{written:?}");
        let all: String = written.values().cloned().collect();
        assert!(!all.contains("below the level") && !all.contains("about money"), "{written:?}");
        for line in all.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn a_disk_that_is_full_stops_nobody_and_what_was_lost_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let today = Clock::system().wall().to_datetime().date_naive();
        let file = LogName { stream: Stream::App, process: "worker-1".to_owned(), day: today, part: 1 };
        std::os::unix::fs::symlink("/dev/full", folder.path().join(file.to_string())).unwrap();
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let claim = Arc::new(Claim::take(folder.path(), "worker").unwrap());
        let (told, handle) = (recorder.handle(), recorder);
        // The writer has a thread of its own: the recorder must be the process's.
        let _ = metrics::set_global_recorder(handle);
        let files = Files::start(&settings(folder.path()), &claim, &Clock::system()).unwrap();
        for _ in 0..3 {
            files.0.line(Streams::of(Stream::App), "lost\n".to_owned());
        }
        files.flush();
        files.0.line(Streams::of(Stream::Error), "kept\n".to_owned());
        files.flush();
        let error = LogName { stream: Stream::Error, ..file };
        assert_eq!(fs::read_to_string(folder.path().join(error.to_string())).unwrap(), "kept\n");
        let told = told.render();
        let lost = "windlass_log_lines_dropped_total{file=\"app\",reason=\"cannot_write\"} 3";
        assert!(told.contains(lost), "{told}");
    }

    #[test]
    fn a_line_is_redacted_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let written = written(folder.path(), "info", |_| {
            tracing::info!(error = r#"HTTP 500: {"consigneeName":"王小明","mobile":13900000001}"#, "failed");
        });
        let line: serde_json::Value = serde_json::from_str(&written["app"]).unwrap();
        assert_eq!(line["error"], r#"HTTP 500: {"consigneeName":"***","mobile":***}"#);
    }

    #[test]
    fn files_are_opened_anew_when_they_are_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let moved = folder.path().join("moved");
        let written = written(folder.path(), "info", |files| {
            tracing::info!("before");
            files.flush();
            let app = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let app = app.into_iter().find(|path| path.to_str().unwrap().contains("/app-")).unwrap();
            fs::rename(app, &moved).unwrap();
            files.reopen();
            tracing::info!("after");
        });
        assert!(written["app"].contains("after") && !written["app"].contains("before"), "{written:?}");
        assert!(fs::read_to_string(moved).unwrap().contains("before"));
    }
}
