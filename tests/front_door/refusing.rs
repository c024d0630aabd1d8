//! What is refused, in which words, and that nothing is kept of it.

use std::time::Duration;

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass::front_door::Limits;
use windlass_engine::store::ENVELOPE_BYTES_MAX;
use windlass_testing::NOON;

use crate::support::{Answer, TestDoor, normal, parcel};

/// A job with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut body = parcel(1);
    body[field] = value;
    body
}

fn weighing(payload: Value) -> Value {
    json!({"kind": "weigh_parcel", "payload": payload})
}

#[tokio::test]
async fn every_fault_of_a_request_is_told_with_its_place() {
    let door = TestDoor::open().await;
    let long_past = (NOON - Duration::from_secs(301)).to_rfc3339();
    let cases = [
        ("no_kind", json!({"payload": {}})),
        ("unknown_kind", json!({"kind": "wiegh_parcel"})),
        ("strange_kind", json!({"kind": "xyzzy"})),
        ("unknown_queue", with("queue", json!("parcel"))),
        ("unknown_fields", json!({"kind": "weigh_parcel", "max_attempt": 3, "a/b": 1})),
        (
            "wrong_types",
            json!({
                "kind": "weigh_parcel", "priority": "urgent", "max_attempts": -1, "tags": "x", "run_at": "tomorrow",
                "delay_seconds": "5", "unique_key": 7, "id": 1, "deadline": 1_767_585_600,
            }),
        ),
        (
            "out_of_bounds",
            json!({
                "kind": "weigh_parcel", "max_attempts": 0, "delay_seconds": -1, "unique_key": "", "id": "a b",
                "tags": ["ok", "x".repeat(101), "new\nline"],
            }),
        ),
        ("both_times", json!({"kind": "weigh_parcel", "run_at": NOON.to_rfc3339(), "delay_seconds": 1})),
        ("long_past", with("run_at", json!(long_past))),
        ("far_ahead", with("run_at", json!("2100-01-01T00:00:00Z"))),
        (
            "deadline_before_due",
            json!({
                "kind": "weigh_parcel", "payload": {"parcel": "P", "grams": 1}, "delay_seconds": 60,
                "deadline": (NOON + Duration::from_secs(59)).to_rfc3339(),
            }),
        ),
        ("empty_payload", weighing(json!({}))),
        ("faulty_payload", weighing(json!({"parcel": "", "grams": 0, "note": 3, "colour": "red"}))),
        ("payload_of_another_shape", weighing(json!([1, 2]))),
        ("payload_that_only_the_type_refuses", weighing(json!({"parcel": "P", "grams": 2.0}))),
        ("nul_in_the_payload", weighing(json!({"parcel": "P\u{0}", "grams": 1}))),
        ("no_object", json!([1])),
    ];
    let mut told = serde_json::Map::new();
    for (name, body) in cases {
        let answer = door.enqueue(&body).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        answer.problem();
        told.insert(name.to_owned(), normal(answer.json()));
    }
    assert_json_snapshot!("refusals", told);
    assert_eq!(door.jobs_stored().await, 0);
}

#[tokio::test]
async fn what_is_no_json_is_told_with_line_and_column() {
    let door = TestDoor::open().await;
    for (text, detail) in [
        ("{\n  \"kind\": x\n}", "expected value (line 2, column 11)."),
        ("", "EOF while parsing a value (line 1, column 0)."),
        ("{\"kind\": \"a\"", "EOF while parsing an object (line 1, column 12)."),
    ] {
        let answer = raw(&door, "application/json", text).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "broken-json"));
        assert_eq!(answer.json()["detail"], detail);
    }
}

#[tokio::test]
async fn a_payload_nested_without_end_is_refused() {
    let door = TestDoor::open().await;
    let text =
        format!("{{\"kind\":\"weigh_parcel\",\"payload\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let answer = raw(&door, "application/json", &text).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "invalid-request"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/payload");
}

#[tokio::test]
async fn only_json_is_read_as_json() {
    let door = TestDoor::open().await;
    let text = parcel(1).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "text/json"] {
        let answer = raw(&door, kind, &text).await;
        assert_eq!((answer.status, answer.problem().as_str()), (415, "not-json"), "{kind}");
    }
    let bare = Answer::of(door.request(Method::POST, "/v1/jobs").body(text.clone())).await;
    assert_eq!(bare.status, 415);
    for kind in ["application/json; charset=utf-8", "application/vnd.shop+json", "Application/JSON"] {
        assert_eq!(raw(&door, kind, &text).await.status, 202, "{kind}");
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_and_the_client_hears_it() {
    let door = TestDoor::open().await;
    for bytes in [ENVELOPE_BYTES_MAX - 1_000, ENVELOPE_BYTES_MAX + 1, 4 * ENVELOPE_BYTES_MAX] {
        let body = weighing(json!({"parcel": "P", "grams": 1, "note": "x".repeat(bytes - 100)}));
        let answer = door.enqueue(&body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"), "{bytes}");
    }
    assert_eq!(door.jobs_stored().await, 0);
}

#[tokio::test]
async fn the_largest_payload_that_is_taken_is_kept_whole() {
    let door = TestDoor::open().await;
    let note = "x".repeat(ENVELOPE_BYTES_MAX - 17 * 1024);
    let id = door.accepted(&weighing(json!({"parcel": "P", "grams": 1, "note": note}))).await;
    assert_eq!(door.get(&format!("/v1/jobs/{id}")).await.json()["payload"]["note"], json!(note));
}

#[tokio::test]
async fn an_id_and_a_key_at_once_are_refused() {
    let door = TestDoor::open().await;
    let answer = door.keyed("k", &with("id", json!("mine"))).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "/id");
    for key in ["", &"k".repeat(256)] {
        let answer = door.keyed(key, &parcel(1)).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["parameter"]),
            (422, &json!("Idempotency-Key"))
        );
    }
    for id in [".", "..", "batch"] {
        assert_eq!(door.enqueue(&with("id", json!(id))).await.status, 422);
    }
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_method_are_problems_too() {
    let door = TestDoor::open().await;
    for path in ["/nothing/here", "/v1/jobs/%FF", "/v1/orders/%FF"] {
        let answer = door.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-such-route"), "{path}");
    }
    let wrong = Answer::of(door.request(Method::PUT, "/v1/jobs")).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (405, "wrong-method"));
    assert_eq!(wrong.header("allow"), Some("GET,HEAD,POST"));
}

#[tokio::test]
async fn every_answer_carries_its_request_id_and_the_headers_of_caution() {
    let door = TestDoor::open().await;
    let given = Answer::of(door.request(Method::GET, "/livez").header("X-Request-Id", "caller-7")).await;
    assert_eq!(given.header("x-request-id"), Some("caller-7"));
    for bad in ["with space", &"x".repeat(129)] {
        let answer = Answer::of(door.request(Method::GET, "/nothing").header("X-Request-Id", bad)).await;
        assert_ne!(answer.header("x-request-id"), Some(bad));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.problem();
    }
}

#[tokio::test]
async fn bad_query_parameters_are_named() {
    let door = TestDoor::open().await;
    for (query, parameter) in [("state=asleep", "state"), ("limit=0", "limit"), ("limit=1001", "limit")] {
        let answer = door.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["parameter"]), (422, &json!(parameter)));
    }
    for query in ["limit=many", "colour=red", "cursor=nonsense"] {
        assert_eq!(door.get(&format!("/v1/jobs?{query}")).await.problem(), "invalid-request", "{query}");
    }
    assert_eq!(door.get("/v1/jobs/x?wait=31").await.problem(), "invalid-request");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_and_repeatable() {
    let limits = Limits { request_timeout: Duration::from_millis(300), ..Limits::default() };
    let door = TestDoor::open_with(limits).await;
    // Half a body, and then nothing.
    let mut socket = tokio::net::TcpStream::connect(door.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head =
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(10), socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_makes_room() {
    let limits = Limits { connections_max: 1, idle_max: Duration::from_millis(200), ..Limits::default() };
    let door = TestDoor::open_with(limits).await;
    let mut silent = tokio::net::TcpStream::connect(door.url.strip_prefix("http://").unwrap()).await.unwrap();
    // The only place is taken until the door hangs up on the silence.
    assert_eq!(door.get("/livez").await.status, 200);
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap_or(0), 0);
}

async fn raw(door: &TestDoor, media_type: &str, text: &str) -> Answer {
    let request = door.request(Method::POST, "/v1/jobs").header("Content-Type", media_type);
    Answer::of(request.body(text.to_owned())).await
}
