//! Every query of every panel and rule, asked of a Prometheus that watched a whole demo.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dashboards::{self, Dashboard, Source};
use crate::process::{Place, Running};
use crate::prometheus::{Prometheus, client};

/// Longer than a demo takes on a machine that is very busy: a run without an answer by then will not have one.
const DATA_MAX: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The front door's address, as the demo tells it on stderr.
fn door_of(demo: &Running) -> Option<String> {
    let said = demo.said();
    let from = said.find("front door http://")? + "front door ".len();
    said[from..].split_once('\n').map(|(door, _)| door.trim().to_owned())
}

/// Jobs whose ends the demo's orders do not have: dead, tried again, cancelled.
async fn hand_in_others(door: &str) {
    let http = client();
    for job in [
        json!({"kind": "panic", "max_attempts": 1}),
        json!({"kind": "flaky", "payload": {"fail_attempts": 1}}),
        json!({"kind": "sleep", "payload": {"ms": 5}}),
    ] {
        let answer = http.post(format!("{door}/v1/jobs")).json(&job).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{job}");
    }
}

/// What Grafana puts in for its variables.
fn filled_in(expr: &str) -> String {
    let mut filled =
        expr.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$__interval", "1m");
    for variable in ["queue", "kind", "schedule", "system"] {
        filled = filled.replace(&format!("${variable}"), ".*");
    }
    filled
}

fn is_number(sample: &Value) -> bool {
    sample["value"][1].as_str().is_none_or(|value| value != "NaN")
}

/// What has no answer yet and must have one.
async fn missing(prometheus: &Prometheus) -> Vec<String> {
    let mut missing = Vec::new();
    let mut asked = async |what: String, expr: &str, may_be_empty: bool| {
        let samples = prometheus.query(expr).await.unwrap_or_else(|error| panic!("{what}: {error}: {expr}"));
        if !may_be_empty && !samples.iter().any(is_number) {
            missing.push(format!("{what}: {expr}"));
        }
    };
    // Loki is not here; what is asked of it is held to what is set and written in dashboards.rs.
    let of_prometheus = |(_, dashboard): &(String, Dashboard)| dashboard.source == Source::Prometheus;
    for (name, dashboard) in dashboards::all().into_iter().filter(of_prometheus) {
        for panel in &dashboard.panel {
            for (expr, _) in &panel.queries {
                let what = format!("{name}, {}", panel.title);
                asked(what, &filled_in(expr), panel.may_be_empty.is_some()).await;
            }
        }
    }
    let rules = prometheus.rules().await;
    assert!(rules.len() > 30, "{} rules", rules.len());
    for rule in rules {
        assert!(rule["lastError"].as_str().unwrap_or_default().is_empty(), "{rule:#}");
        // An alert with an answer is one that fires.
        asked(rule["name"].to_string(), rule["query"].as_str().unwrap(), rule["type"] == "alerting").await;
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_every_panel_and_rule_has_an_answer_after_a_demo() {
    let place = Place::new();
    let mut command = place.command(&[
        "demo",
        "--count",
        "40",
        "--days",
        "1",
        "--speed",
        "7200",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.env("WINDLASS_LOG", "error");
    let mut demo = place.start(command);
    let door = demo.until("the front door is open", door_of);
    let prometheus = Prometheus::watching(&place, &door).await;
    hand_in_others(&door).await;
    let began = Instant::now();
    loop {
        let missing = missing(&prometheus).await;
        if missing.is_empty() {
            break;
        }
        let ended = demo.ends_within(LOOK_EVERY);
        assert!(ended.is_none(), "the demo ended: {ended:?}");
        assert!(began.elapsed() < DATA_MAX, "no data for {missing:#?}\nafter {}", demo.said());
    }
}
