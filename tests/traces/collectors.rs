//! A collector may be slow, ill or away: that costs spans, and no job.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::process::wait::until;
use crate::process::{Place, Up};
use crate::receiver::{Manner, Receiver};
use crate::site::{exchange, get, request};

/// More than one batch.
const JOBS: usize = 300;

fn up(place: &Place, variables: &[(&str, &str)]) -> Up {
    let mut command = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
    command.envs(variables.iter().copied());
    place.up_as(command)
}

fn enqueue(up: &Up, count: usize) {
    let many: Vec<Value> = (0..count).map(|n| json!({ "kind": "noop", "id": format!("n{n}") })).collect();
    let (status, told) = request("POST", &up.door, "/v1/jobs/batch", &[], &Value::from(many).to_string());
    assert_eq!(status, 200, "{told}");
}

fn all_are_done(up: &Up) {
    until("all jobs are done", || {
        let stats: Value = serde_json::from_str(&get(&up.door, "/v1/stats").1).unwrap();
        (stats["jobs"]["completed"] == JOBS).then_some(())
    });
}

/// Spans with this outcome, as the process counts them.
fn spans(up: &Up, outcome: &str) -> Option<u64> {
    let metrics = get(&up.door, "/metrics").1;
    let line = format!("windlass_trace_spans_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|found| found.strip_prefix(line.as_str())?.parse().ok())
}

#[test]
fn a_collector_that_is_away_ill_or_silent_costs_spans_and_no_job() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ill = Receiver::start(Manner::Answers("503 Service Unavailable\r\nRetry-After: 0"));
    let silent = Receiver::start(Manner::Hangs);
    for (what, url) in [("away", format!("http://{away}")), ("ill", ill.url()), ("silent", silent.url())] {
        let place = Place::new();
        let up = up(&place, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")]);
        enqueue(&up, JOBS);
        all_are_done(&up);
        until("spans are given up", || spans(&up, "not_taken").filter(|spans| *spans > 0));
        assert_eq!(spans(&up, "sent").unwrap_or(0), 0, "{what}");
        up.running.terminate();
        let ended = up.running.end().well();
        assert!(ended.err.contains("the collector takes no spans"), "{what}: {}", ended.err);
        place.run(&["audit"]).well();
    }
    assert!(ill.received().len() > 1, "a batch is tried again");
}

#[test]
fn what_is_not_sampled_is_not_sent_and_still_has_a_name() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let place = Place::new();
    let endpoint = format!("{}/v1/traces", receiver.url());
    let up = up(
        &place,
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ],
    );
    let (head, _) = exchange("POST", &up.door, "/v1/jobs", &[], r#"{"kind":"noop","id":"n300"}"#);
    assert!(head.contains("x-trace-id: "), "{head}");
    enqueue(&up, JOBS - 1);
    all_are_done(&up);
    // A caller that keeps its trace has its part kept here.
    let kept = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    exchange("POST", &up.door, "/v1/jobs?", &[kept], r#"{"kind":"sleep","payload":{"ms":0}}"#);
    until("the kept trace has arrived", || {
        crate::spans::of(&receiver).iter().any(|span| span.name == "run sleep").then_some(())
    });
    up.running.terminate();
    up.running.end().well();
    let all = crate::spans::of(&receiver);
    assert!(all.iter().all(|span| span.trace == "4bf92f3577b34da6a3ce929d0e0e4736"), "{all:?}");
}

#[test]
fn without_a_collector_nothing_is_traced_and_a_callers_trace_goes_on() {
    let place = Place::new();
    let up = up(&place, &[]);
    let (head, _) = exchange("POST", &up.door, "/v1/jobs", &[], r#"{"kind":"noop"}"#);
    assert!(!head.contains("x-trace-id"), "{head}");
    let sent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (head, _) = exchange("POST", &up.door, "/v1/jobs", &[sent], r#"{"kind":"sleep","payload":{"ms":0}}"#);
    assert!(head.contains("x-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736"), "{head}");
    until("its line tells the trace", || {
        let said = up.running.said();
        said.lines().any(|line| line.contains("completed") && line.contains("4bf92f3577b34da6")).then_some(())
    });
    assert_eq!(spans(&up, "sent"), None);
}
