//! Errors as Sentry gets them.

use serde_json::{Value, json};

use crate::process::wait::until;
use crate::process::{Place, Up};
use crate::receiver::{Manner, Receiver};
use crate::site::{get, request};

fn up(place: &Place, receiver: &Receiver) -> Up {
    let mut command = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
    command.env("SENTRY_DSN", dsn(receiver)).env("SENTRY_ENVIRONMENT", "staging").env("WINDLASS_LOG", "warn");
    place.up_as(command)
}

fn dsn(receiver: &Receiver) -> String {
    format!("http://k3yk3y@{}/42", receiver.address)
}

/// The events, each with the environment of its process.
fn events(receiver: &Receiver) -> Vec<Value> {
    let event = |request: crate::receiver::Received| {
        assert_eq!(request.path, "/api/42/envelope/");
        assert!(request.head.contains("sentry_key=k3yk3y"), "{}", request.head);
        let lines: Vec<Value> =
            request.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [head, item, event] = lines.try_into().unwrap();
        assert_eq!((&head["event_id"], &item["type"]), (&event["event_id"], &json!("event")));
        assert_eq!(item["length"], request.body.lines().nth(2).unwrap().len());
        event
    };
    receiver.received().into_iter().map(event).collect()
}

fn dead(up: &Up, kind: &str, payload: &Value, count: usize) {
    for _ in 0..count {
        let body = json!({ "kind": kind, "payload": payload, "max_attempts": 1 });
        assert_eq!(request("POST", &up.door, "/v1/jobs", &[], &body.to_string()).0, 202);
    }
}

fn reports(up: &Up, outcome: &str) -> u64 {
    let metrics = get(&up.door, "/metrics").1;
    let line = format!("windlass_error_reports_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|found| found.strip_prefix(line.as_str())?.parse().ok()).unwrap_or(0)
}

#[test]
fn dead_jobs_and_panics_are_told_and_one_dead_kind_does_not_drown_another() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let place = Place::new();
    let up = up(&place, &receiver);
    dead(&up, "flaky", &json!({ "fail_attempts": 1_000 }), 50);
    until("most are held back", || (reports(&up, "held_back") >= 47).then_some(()));
    dead(&up, "panic", &json!({}), 1);
    let of = |title: &str| -> Vec<Value> {
        events(&receiver)
            .into_iter()
            .filter(|event| event["exception"]["values"][0]["type"] == title)
            .collect()
    };
    let panicked = until("the panic is told", || of("panicked").pop());
    until("and that its job is dead", || of("dead: panic").pop());
    up.running.terminate();
    up.running.end().well();

    let flaky = of("dead: flaky");
    assert_eq!(flaky.len(), 3, "{flaky:?}");
    let told = &flaky[0];
    assert_eq!(
        (&told["environment"], &told["level"], &told["transaction"]),
        (&json!("staging"), &json!("error"), &json!("flaky"))
    );
    assert_eq!(told["release"], concat!("windlass@", env!("CARGO_PKG_VERSION")));
    assert_eq!((&told["tags"]["kind"], &told["tags"]["queue"]), (&json!("flaky"), &json!("diagnostics")));
    assert_eq!(told["exception"]["values"][0]["value"], "failing on purpose: attempt 1 of 1000");
    assert_eq!(told["fingerprint"], flaky[1]["fingerprint"]);
    assert!(panicked["extra"]["place"].as_str().unwrap().contains("diagnostics.rs:"), "{panicked}");
    assert_eq!(panicked["exception"]["values"][0]["value"], "panicking on purpose");
}

#[test]
fn whoever_asks_for_quiet_is_left_alone_and_no_job_minds() {
    let receiver = Receiver::start(Manner::Answers("429 Too Many Requests\r\nRetry-After: 600"));
    let place = Place::new();
    let up = up(&place, &receiver);
    dead(&up, "flaky", &json!({ "fail_attempts": 1_000 }), 1);
    until("the first was not taken", || (reports(&up, "not_taken") == 1).then_some(()));
    dead(&up, "panic", &json!({}), 1);
    until("the next are held back", || (reports(&up, "held_back") == 2).then_some(()));
    assert_eq!(receiver.received().len(), 1);
    up.running.terminate();
    let ended = up.running.end().well();
    assert!(!ended.err.contains("k3yk3y"), "{}", ended.err);
}

#[test]
fn a_process_that_cannot_start_says_why() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let place = Place::new();
    place.file("bad/broken.toml", "[tick]\nevery = \"1s\"\njob = \"no_such_kind\"\n");
    let mut command = place.command(&["up", "--listen", "127.0.0.1:0"]);
    command.env("SENTRY_DSN", dsn(&receiver)).env("WINDLASS_SCHEDULES", "bad");
    let ended = place.start(command).end();
    assert_ne!(ended.code, Some(0), "{ended:?}");
    let told = events(&receiver).pop().unwrap();
    assert_eq!((&told["level"], &told["environment"]), (&json!("fatal"), &json!("development")));
    let said = told["exception"]["values"][0]["value"].as_str().unwrap();
    assert!(said.contains("no_such_kind"), "{told}");
}

#[test]
fn addresses_that_are_none_are_refused_with_what_to_write_and_without_their_secrets() {
    let place = Place::new();
    for (name, value, parts) in [
        ("SENTRY_DSN", "https://s3cr3t@/42", ["SENTRY_DSN", "https://KEY@HOST/PROJECT"]),
        ("SENTRY_DSN", "s3cr3t", ["SENTRY_DSN", "https://KEY@HOST/PROJECT"]),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"],
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://u:s3cr3t@c:4318",
            ["credentials", "OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization", ["OTEL_EXPORTER_OTLP_HEADERS", "name=value"]),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"]),
        ("OTEL_TRACES_SAMPLER", "sometimes", ["OTEL_TRACES_SAMPLER", "parentbased_traceidratio"]),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5", ["OTEL_TRACES_SAMPLER_ARG", "OTEL_TRACES_SAMPLER is not set"]),
    ] {
        for command in [&["check"][..], &["up", "--listen", "127.0.0.1:0"]] {
            let mut command = place.command(command);
            command.env(name, value);
            let told = place.start(command).end();
            told.says(2, &parts);
            assert!(!told.err.contains("s3cr3t"), "{told:?}");
        }
    }
}
