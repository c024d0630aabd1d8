//! Every query of every panel and rule, asked of a Prometheus that watched a whole demo.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dashboards;
use crate::process::{Place, Running};
use crate::prometheus::{Prometheus, client};

/// Longer than the demo takes on a busy machine.
const DEMO_MAX: Duration = Duration::from_secs(280);
/// What was recorded is in every rate after a few scrapes.
const SETTLED_MAX: Duration = Duration::from_secs(60);

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

async fn missing(prometheus: &Prometheus) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, dashboard) in dashboards::all() {
        for panel in &dashboard.panel {
            for (expr, _) in &panel.queries {
                let samples = prometheus.query(&filled_in(expr)).await;
                let samples =
                    samples.unwrap_or_else(|error| panic!("{name}, {}: {error}: {expr}", panel.title));
                if panel.may_be_empty.is_none() && !samples.iter().any(is_number) {
                    missing.push(format!("{name}, {}: {expr}", panel.title));
                }
            }
        }
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
        "--give-up-after",
        "150",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.env("WINDLASS_LOG", "warn");
    let mut demo = place.start(command);
    let door = demo.until("the front door is open", door_of);
    let prometheus = Prometheus::watching(&place, &door).await;
    hand_in_others(&door).await;
    let began = Instant::now();
    while !demo.said().contains("staying up at") {
        let ended = demo.ends_within(Duration::from_millis(100));
        assert!(ended.is_none(), "the demo ended: {ended:?}");
        assert!(began.elapsed() < DEMO_MAX, "the demo does not end: {}", demo.said());
    }

    let began = Instant::now();
    loop {
        let missing = missing(&prometheus).await;
        if missing.is_empty() {
            break;
        }
        assert!(began.elapsed() < SETTLED_MAX, "no data for {missing:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    let rules = prometheus.rules().await;
    assert!(rules.len() > 30, "{} rules", rules.len());
    for rule in rules {
        let (name, expr) = (&rule["name"], rule["query"].as_str().unwrap());
        let samples = prometheus.query(expr).await.unwrap_or_else(|error| panic!("{name}: {error}: {expr}"));
        assert!(rule["lastError"].as_str().unwrap_or_default().is_empty(), "{rule:#}");
        if rule["type"] == "recording" {
            assert!(samples.iter().any(is_number), "{name} records nothing: {expr}");
        }
    }
}
