//! The dashboards: each is described in `dashboards/source/NAME.toml` and written out for Grafana as
//! `dashboards/NAME.json`. `UPDATE_DASHBOARDS=1 cargo test --test observability dashboards` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// Of Grafana's model of dashboards (Grafana 12).
const SCHEMA_VERSION: u32 = 41;
const COLUMNS: u32 = 24;
const PANEL_HEIGHT: u32 = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Fixed, so that addresses and links stay.
    uid: String,
    title: String,
    description: String,
    /// Of [`VARIABLES`], in the order in which they are shown.
    #[serde(default)]
    variables: Vec<String>,
    #[serde(default)]
    pub source: Source,
    pub panel: Vec<Panel>,
}

/// What its queries are asked of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[default]
    Prometheus,
    Loki,
}

impl Source {
    const fn label(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::Loki => "Loki",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
        }
    }

    /// The one that whoever looks has chosen.
    fn chosen(self) -> Value {
        json!({ "type": self.kind(), "uid": "${datasource}" })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Begins a row of this title.
    row: Option<String>,
    pub title: String,
    description: String,
    #[serde(default = "timeseries")]
    kind: String,
    /// As Grafana calls it.
    unit: String,
    /// Of [`COLUMNS`].
    #[serde(default = "third")]
    width: u32,
    /// Beyond it a figure is red.
    red_from: Option<f64>,
    /// Pairs of an expression and a legend.
    pub queries: Vec<(String, String)>,
    /// Why a run without exporters and faults has nothing to show here. Not written out.
    pub may_be_empty: Option<String>,
}

fn timeseries() -> String {
    "timeseries".to_owned()
}

const fn third() -> u32 {
    8
}

/// Name, label, and where the values come from.
const VARIABLES: [(&str, &str, &str); 4] = [
    ("queue", "Queue", "label_values(windlass_queue_jobs, queue)"),
    ("kind", "Kind", "label_values(windlass_jobs_finished_total{queue=~\"$queue\"}, kind)"),
    ("schedule", "Schedule", "label_values(windlass_schedule_next_timestamp_seconds, schedule)"),
    ("system", "System", "label_values(windlass_outside_request_seconds_count, system)"),
];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// Every dashboard under its name.
pub fn all() -> Vec<(String, Dashboard)> {
    let mut all = Vec::new();
    for item in fs::read_dir(folder().join("source")).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let dashboard = toml::from_str(&fs::read_to_string(&path).unwrap());
        all.push((name, dashboard.unwrap_or_else(|error| panic!("{}: {error}", path.display()))));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

impl Dashboard {
    fn rendered(&self) -> String {
        let datasource = json!({
            "name": "datasource", "label": self.source.label(), "type": "datasource", "query": self.source.kind(), "hide": 0,
        });
        let known = |name: &String| {
            let (_, label, query) = VARIABLES.iter().find(|(known, ..)| known == name).unwrap();
            json!({
                "name": name, "label": label, "type": "query", "definition": query, "datasource": self.source.chosen(),
                "query": { "query": query, "refId": "variable" }, "refresh": 2, "sort": 1,
                "multi": true, "includeAll": true, "allValue": ".*",
                "current": { "text": ["All"], "value": ["$__all"] },
            })
        };
        let variables: Vec<_> = std::iter::once(datasource).chain(self.variables.iter().map(known)).collect();
        // Starts of processes are known to Prometheus alone.
        let annotations = if self.source == Source::Prometheus { vec![restarts()] } else { Vec::new() };
        let links = json!([{
            "type": "dashboards", "title": "Windlass", "tags": ["windlass"], "asDropdown": true, "keepTime": true,
            "includeVars": true,
        }]);
        let rendered = json!({
            "uid": self.uid, "title": self.title, "description": self.description, "tags": ["windlass"],
            "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s",
            "time": { "from": "now-3h", "to": "now" }, "timezone": "browser", "links": links,
            "templating": { "list": variables }, "annotations": { "list": annotations }, "panels": self.panels(),
        });
        format!("{rendered:#}\n")
    }

    fn panels(&self) -> Vec<Value> {
        let (mut panels, mut x, mut y) = (Vec::new(), 0, 0);
        for panel in &self.panel {
            if let Some(row) = &panel.row {
                y += if x > 0 { PANEL_HEIGHT } else { 0 };
                x = 0;
                let at = json!({ "x": 0, "y": y, "w": COLUMNS, "h": 1 });
                let id = panels.len() + 1;
                panels.push(json!({ "id": id, "type": "row", "title": row, "collapsed": false, "panels": [], "gridPos": at }));
                y += 1;
            }
            if x + panel.width > COLUMNS {
                (x, y) = (0, y + PANEL_HEIGHT);
            }
            let at = json!({ "x": x, "y": y, "w": panel.width, "h": PANEL_HEIGHT });
            panels.push(panel.rendered(self.source, panels.len() + 1, &at));
            x += panel.width;
        }
        panels
    }
}

impl Panel {
    fn rendered(&self, source: Source, id: usize, at: &Value) -> Value {
        let is_now = self.kind != "timeseries";
        let targets: Vec<_> = ('A'..='Z')
            .zip(&self.queries)
            .map(|(id, (expr, legend))| {
                let (id, datasource) = (id.to_string(), source.chosen());
                if source == Source::Loki {
                    return json!({
                        "refId": id, "expr": expr, "legendFormat": legend, "datasource": datasource, "queryType": "range",
                    });
                }
                json!({
                    "refId": id, "expr": expr, "legendFormat": legend, "datasource": datasource,
                    "instant": is_now, "range": !is_now, "format": if self.kind == "table" { "table" } else { "time_series" },
                })
            })
            .collect();
        let mut steps = vec![json!({ "color": "green", "value": null })];
        steps.extend(self.red_from.map(|from| json!({ "color": "red", "value": from })));
        let custom = if is_now { json!({}) } else { json!({ "fillOpacity": 10, "showPoints": "never" }) };
        let options = match self.kind.as_str() {
            "stat" => json!({
                "colorMode": "value", "graphMode": "none", "textMode": "auto",
                "reduceOptions": { "calcs": ["lastNotNull"], "values": false },
            }),
            "table" => json!({ "showHeader": true }),
            "logs" => json!({
                "showTime": true, "wrapLogMessage": true, "enableLogDetails": true, "sortOrder": "Descending",
                "dedupStrategy": "none", "showLabels": false, "showCommonLabels": false, "prettifyLogMessage": false,
            }),
            _ => json!({
                "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
        };
        json!({
            "id": id, "type": self.kind, "title": self.title, "description": self.description, "gridPos": at,
            "datasource": source.chosen(), "targets": targets, "options": options,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit, "custom": custom, "color": { "mode": if is_now { "thresholds" } else { "palette-classic" } },
                    "thresholds": { "mode": "absolute", "steps": steps },
                },
                "overrides": [],
            },
        })
    }
}

/// Every start of a process as a line across the panels.
fn restarts() -> Value {
    json!({
        "name": "Starts", "datasource": Source::Prometheus.chosen(), "enable": true, "iconColor": "blue", "titleFormat": "{{job}} started",
        "expr": "changes(process_start_time_seconds{job=~\"windlass-.*\"}[1m]) > 0",
    })
}

#[test]
fn what_grafana_reads_is_what_is_described() {
    let write = std::env::var_os("UPDATE_DASHBOARDS").is_some();
    let mut described = BTreeSet::new();
    for (name, dashboard) in all() {
        let path = folder().join(format!("{name}.json"));
        if write {
            fs::write(&path, dashboard.rendered()).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == dashboard.rendered(),
            "dashboards/{name}.json is not what its source describes: UPDATE_DASHBOARDS=1 cargo test --test observability dashboards"
        );
        described.insert(format!("{name}.json"));
    }
    let there = fs::read_dir(folder()).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<_> = there.filter(|name| name.ends_with(".json")).collect();
    assert_eq!(there, described, "every dashboard has a source");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_names_its_lines() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in all() {
        assert!(uids.insert(dashboard.uid.clone()), "{name}: uid {} stands twice", dashboard.uid);
        assert!(!dashboard.title.is_empty() && dashboard.description.len() > 20, "{name}");
        let mut titles = BTreeSet::new();
        for panel in &dashboard.panel {
            let what = format!("{name}: {}", panel.title);
            assert!(titles.insert(&panel.title), "{what}: stands twice");
            assert!(panel.description.len() > 20 && panel.description.ends_with('.'), "{what}: description");
            assert!(!panel.unit.is_empty() && !panel.queries.is_empty(), "{what}");
            assert!((1..=COLUMNS).contains(&panel.width), "{what}: width");
            for (expr, legend) in &panel.queries {
                assert!(!legend.is_empty(), "{what}: {expr} has no legend");
                for variable in expr.split('$').skip(1).filter(|rest| !rest.starts_with("__")) {
                    let end = variable.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(variable.len());
                    assert!(
                        dashboard.variables.iter().any(|known| known == &variable[..end]),
                        "{what}: {expr}"
                    );
                }
            }
        }
    }
    assert!(uids.len() >= 6, "{uids:?}");
}

/// What our processes write into their lines, as far as panels ask for it.
const FIELDS: [&str; 2] = ["outcome", "target"];

#[test]
fn loki_is_asked_for_labels_that_are_set_and_fields_that_are_written() {
    let alloy = fs::read_to_string(folder().join("../deploy/logs/config.alloy")).unwrap();
    let compose = fs::read_to_string(folder().join("../docker-compose.yml")).unwrap();
    let sources = fs::read_to_string(folder().join("provisioning/datasources/loki.yml")).unwrap();
    assert!(sources.contains("type: loki") && sources.contains("url: http://loki:3100"), "{sources}");
    let of_loki: Vec<_> =
        all().into_iter().filter(|(_, dashboard)| dashboard.source == Source::Loki).collect();
    assert!(!of_loki.is_empty());
    for (expr, _) in
        of_loki.iter().flat_map(|(_, dashboard)| &dashboard.panel).flat_map(|panel| &panel.queries)
    {
        let selector = expr
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'))
            .unwrap_or_else(|| panic!("{expr}"))
            .0;
        for matcher in selector.split(", ") {
            let (label, value) = matcher.split_once('=').unwrap_or_else(|| panic!("{expr}"));
            assert!(
                alloy.contains(&format!("values = {{\"{label}\" = \"\"")),
                "{expr}: nothing sets {label}"
            );
            let values = value.trim_start_matches('~').trim_matches('"').split('|');
            for value in values.filter(|_| label == "service") {
                assert!(compose.contains(&format!("\n  {value}:\n")), "{expr}: there is no service {value}");
            }
        }
        for field in expr.split("| json | ").skip(1).map(|rest| rest.split(['=', '!']).next().unwrap()) {
            assert!(FIELDS.contains(&field), "{expr}: no line has {field}");
        }
    }
}
