//! Whether every metric that is asked for is one that somebody tells.

use std::collections::BTreeSet;
use std::fs;

use windlass::telemetry::{METRICS, MetricKind};

use crate::dashboards::{self, Source};
use crate::prometheus::root;

/// What the exporters beside us tell (redis_exporter 1.6x, postgres_exporter 0.16, node_exporter 1.8), as far as we ask.
const OF_EXPORTERS: &[&str] = &[
    "node_cpu_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_load1",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "pg_database_size_bytes",
    "pg_settings_max_connections",
    "pg_stat_activity_count",
    "pg_stat_database_xact_commit",
    "pg_up",
    "redis_aof_enabled",
    "redis_aof_last_write_status",
    "redis_commands_processed_total",
    "redis_connected_clients",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_up",
];

/// The names in `text` that look like metrics.
pub fn asked(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let prefixes = ["windlass_", "windlass:", "process_", "redis_", "pg_", "node_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

fn is_told(name: &str, recorded: &BTreeSet<String>) -> bool {
    if name.starts_with("windlass:") {
        return recorded.contains(name);
    }
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    METRICS.iter().any(|metric| match metric.kind {
        MetricKind::Histogram => of_histogram == Some(metric.name),
        MetricKind::Counter | MetricKind::Gauge => metric.name == name,
    }) || OF_EXPORTERS.contains(&name)
}

#[test]
fn panels_and_rules_ask_for_metrics_that_somebody_tells() {
    let mut texts = Vec::new();
    for item in fs::read_dir(root().join("deploy/prometheus/rules")).unwrap() {
        let path = item.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        texts.push((path.display().to_string(), lines.collect::<Vec<_>>().join("\n")));
    }
    let recorded: BTreeSet<String> = texts
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.trim_start().strip_prefix("- record: ").map(str::to_owned))
        .collect();
    assert!(recorded.len() >= 5, "{recorded:?}");
    // Lines are no metrics.
    for (name, dashboard) in dashboards::all().into_iter().filter(|(_, d)| d.source == Source::Prometheus) {
        for panel in &dashboard.panel {
            let queries = panel.queries.iter().map(|(expr, _)| expr.as_str()).collect::<Vec<_>>().join("\n");
            texts.push((format!("{name}: {}", panel.title), queries));
        }
    }
    let mut unknown = BTreeSet::new();
    for (what, text) in &texts {
        unknown.extend(
            asked(text).into_iter().filter(|name| !is_told(name, &recorded)).map(|name| (name, what)),
        );
    }
    assert!(unknown.is_empty(), "nobody tells {unknown:#?}");
}

#[test]
fn the_guide_lists_every_metric_with_its_meaning() {
    let guide = fs::read_to_string(root().join("docs/guides/observability.md")).unwrap();
    for metric in METRICS {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{}` | {kind} |", metric.name)));
        let row = row
            .unwrap_or_else(|| panic!("{} ({kind}) has no row in docs/guides/observability.md", metric.name));
        assert!(row.contains(metric.help), "{row}\nsays something else than the catalogue: {}", metric.help);
    }
    let listed =
        guide.lines().filter(|line| line.starts_with("| `windlass_") || line.starts_with("| `process_"));
    assert_eq!(listed.count(), METRICS.len(), "the guide lists metrics that are not there");
}
