//! One trace from the request to the systems outside, and what it must not hold.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::process::Place;
use crate::process::wait::until;
use crate::receiver::{Manner, Receiver};
use crate::site::{Site, exchange, request};
use crate::spans::{self, CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Span, named};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";

/// What the order holds of its customer.
const PERSONAL: [&str; 7] =
    ["oTRACED0001", "王小明", "13000000042", "wang@customers.example", "测试路", "南京市", "鼓楼区"];

fn order(no: &str) -> Value {
    json!({ "kind": "fulfil_order", "tags": [format!("order:{no}")], "payload": { "order": {
        "no": no, "total_fen": 129_999,
        "customer": { "openid": "oTRACED0001", "name": "王小明", "mobile": "13000000042", "email": "wang@customers.example" },
        "address": { "province": "江苏省", "city": "南京市", "area": "鼓楼区", "detail": "测试路 1 号", "county_code": "320106" },
        "lines": [{ "product_code": "EC6001-HT3", "name": "电热水器 60L", "quantity": 1, "unit_price_fen": 129_999 }] } } })
}

/// Six ports in a row that nobody listens on now: a sandbox's. Below those that the system gives away by itself.
fn ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let spread = (std::process::id() % 500) as u16 * 40;
    let mut bases = (0..1_000).map(|nth| 12_000 + (spread + nth * 8) % 8_000);
    bases.find(|base| (0..6).all(|nth| free(base + nth))).expect("six free ports in a row")
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// `b` is a part of `a`: begun by it, and not before it.
#[track_caller]
fn is_part(b: &Span, a: &Span) {
    assert_eq!(b.parent.as_deref(), Some(a.id.as_str()), "{} under {}:\n{b:?}\n{a:?}", b.name, a.name);
    assert!(a.began <= b.began, "{} begins before {}", b.name, a.name);
}

#[test]
fn an_order_is_one_trace_from_its_request_to_the_supplier_and_tells_nothing_personal() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let place = Place::new();
    let since = windlass_engine::Clock::system().wall().to_rfc3339();
    let fast = [("WINDLASS_SPEED", "600"), ("WINDLASS_SPEED_SINCE", since.as_str())];
    // One that calls nobody back, so that it is the order's own question that finds the payment.
    let mut command = place.command(&["sandbox", "--port", &ports().to_string(), "--json"]);
    command.envs(fast);
    let (sandbox, told) = place.serve(command);
    let control = told["addresses"]["control"].as_str().unwrap();
    let pays = json!({ "out_trade_no": "SO-TRACED-1", "total_fen": 129_999, "openid": "oTRACED0001", "pays_after_s": 1 });
    let (status, told) = request("POST", control, "/control/payments", &[], &pays.to_string());
    assert_eq!(status, 200, "{told}");
    let mut command = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).env("WINDLASS_LOG", "info");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop%2042");
    command.env("WINDLASS_SANDBOX", control).envs(fast);
    let up = place.up_as(command);

    let sent = format!("traceparent: {CALLER}");
    let (head, told) = exchange("POST", &up.door, "/v1/jobs", &[&sent], &order("SO-TRACED-1").to_string());
    assert!(head.starts_with("HTTP/1.1 202"), "{head}\n{told}");
    assert_eq!(header(&head, "x-trace-id"), Some(TRACE));
    let of_trace =
        || -> Vec<Span> { spans::of(&receiver).into_iter().filter(|span| span.trace == TRACE).collect() };
    until("the supplier has the order", || {
        of_trace()
            .iter()
            .any(|span| {
                span.name == "run place_supplier_order" && span.told("windlass.job.outcome") == "completed"
            })
            .then_some(())
    });
    up.running.terminate();
    let ended = up.running.end().well();
    drop(sandbox);
    let trace = of_trace();

    let server = named(&trace, "POST /v1/jobs");
    assert_eq!((server.kind, server.parent.as_deref()), (SERVER, Some(CALLERS_SPAN)));
    assert_eq!((server.told("http.route"), server.told("http.response.status_code")), ("/v1/jobs", "202"));
    let enqueue = named(&trace, "enqueue fulfil_order");
    assert_eq!((enqueue.kind, enqueue.told("messaging.destination.name")), (PRODUCER, "orders"));
    is_part(enqueue, server);
    let (wait, run) = (named(&trace, "wait fulfil_order"), named(&trace, "run fulfil_order"));
    assert_eq!((wait.kind, run.kind, run.service.as_str()), (INTERNAL, CONSUMER, "windlass"));
    assert_eq!(
        (run.told("messaging.message.id"), run.told("windlass.job.attempt")),
        (enqueue.told("messaging.message.id"), "1")
    );
    is_part(run, enqueue);
    assert_eq!(wait.parent, run.parent);
    // The wait is counted on the shop's clock, which runs 600 times as fast, and rounded to its micros.
    assert!(
        wait.ended == run.began && wait.began + 1_000_000_000 >= server.began,
        "{wait:?} {run:?} {server:?}"
    );

    // A later step was put into the outbox by an earlier one, within its transaction.
    let query = named(&trace, "enqueue query_payment");
    assert!(
        trace.iter().any(|span| span.kind == CONSUMER && query.parent.as_ref() == Some(&span.id)),
        "{query:?}"
    );
    let place_order = named(&trace, "run place_supplier_order");
    let effect = named(&trace, "effect ylh.create");
    is_part(effect, place_order);
    assert_eq!(effect.told("windlass.effect.outcome"), "done");
    let call = trace.iter().find(|span| span.name == "ylh.create").unwrap();
    is_part(call, effect);
    assert_eq!(
        (call.kind, call.told("http.request.method"), call.told("http.response.status_code")),
        (CLIENT, "POST", "200")
    );
    assert!(
        call.told("url.template").starts_with('/') && call.told("server.address") == "127.0.0.1",
        "{call:?}"
    );
    assert!(call.ended <= effect.ended && effect.ended <= place_order.ended);
    let asked = named(&trace, "wechat_pay.query_payment");
    assert_eq!(asked.told("url.template"), "/v3/pay/transactions/out-trade-no/{}");
    assert_eq!(named(&trace, "ledger transaction").told("db.system.name"), "sqlite");

    for span in &trace {
        let parent = span.parent.as_deref().unwrap();
        let known = parent == CALLERS_SPAN || trace.iter().any(|other| other.id == parent);
        assert!(known, "the parent of {} is nowhere: {span:?}", span.name);
    }
    for request in receiver.received() {
        assert!(request.head.to_ascii_lowercase().contains("x-tenant: shop 42\r\n"), "{}", request.head);
        for told in PERSONAL.into_iter().chain(["access_token", "Bearer", "mchid="]) {
            assert!(!request.body.contains(told), "a span holds {told}: {}", request.body);
        }
    }
    let line = ended.err.lines().find(|line| line.contains("\"kind\":\"place_supplier_order\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["span"]["trace_id"], &line["span"]["span_id"]),
        (&json!(TRACE), &json!(place_order.id))
    );
}

#[test]
fn an_order_that_callbacks_and_sweeps_move_goes_on_in_its_own_trace() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let place = Place::new();
    let mut command = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).env("WINDLASS_SPEED", "3600");
    command.env("WINDLASS_SPEED_SINCE", windlass_engine::Clock::system().wall().to_rfc3339());
    let up = place.up_as(command);
    let told = std::fs::read_to_string(place.data().join("sandbox.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let pays = json!({ "out_trade_no": "SO-TRACED-2", "total_fen": 129_999, "openid": "oTRACED0001", "pays_after_s": 5 });
    request("POST", told["control"].as_str().unwrap(), "/control/payments", &[], &pays.to_string());
    let sent = format!("traceparent: {CALLER}");
    let (status, told) = request("POST", &up.door, "/v1/jobs", &[&sent], &order("SO-TRACED-2").to_string());
    assert_eq!(status, 202, "{told}");
    // A schedule finds that the parcels are on their way, and hands it in.
    until("the shipping is uploaded", || {
        let ran = |span: &Span| span.trace == TRACE && span.name == "run upload_shipping";
        spans::of(&receiver).iter().any(ran).then_some(())
    });
    up.running.terminate();
    up.running.end().well();
    let all = spans::of(&receiver);
    for callback in ["POST /callbacks/wechat-pay/payment", "POST /callbacks/ylh"] {
        let callback = named(&all, callback);
        assert!(callback.trace != TRACE && callback.parent.is_none(), "{callback:?}");
    }
    assert_ne!(named(&all, "schedule track_parcels").trace, TRACE);
    for step in ["run check_supply", "run place_supplier_order", "run upload_shipping"] {
        assert_eq!(named(&all, step).trace, TRACE, "{step}");
    }
}

#[test]
fn a_trace_goes_on_from_process_to_process_and_a_schedule_begins_its_own() {
    let receiver = Receiver::start(Manner::Answers("200 OK"));
    let site = Site::new();
    site.place.file("schedules/tick.toml", "[tick]\nevery = \"1s\"\njob = \"noop\"\npayload = {}\n");
    let start = |args: &[&str]| {
        let mut command = site.command(&[args, &["--json"]].concat());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).env("WINDLASS_SCHEDULES", "schedules");
        site.start(command)
    };
    let api = start(&["api", "--listen", "127.0.0.1:0"]);
    let worker = start(&["worker", "--metrics-listen", "127.0.0.1:0"]);
    let body = json!({ "kind": "flaky", "payload": { "fail_attempts": 1 } }).to_string();
    // What is no header of ours is as if there were none.
    let (head, told) = exchange("POST", &api.door, "/v1/jobs", &["traceparent: 00-nonsense"], &body);
    let trace = header(&head, "x-trace-id").unwrap_or_else(|| panic!("{head}\n{told}")).to_owned();
    assert!(trace.len() == 32 && trace != TRACE, "{trace}");
    let scheduler = start(&["scheduler", "--metrics-listen", "127.0.0.1:0"]);
    let ran = |name: &str, outcome: &str| {
        let ran = |span: &Span| span.name == name && span.told("windlass.job.outcome") == outcome;
        spans::of(&receiver).into_iter().find(ran)
    };
    let ticked = until("a job of the schedule was run", || ran("run noop", "completed"));
    until("the second attempt went well", || ran("run flaky", "completed"));
    for part in [scheduler, worker, api] {
        part.running.terminate();
        part.running.end().well();
    }
    let all = spans::of(&receiver);
    let of = |trace: &str| -> Vec<Span> { all.iter().filter(|span| span.trace == trace).cloned().collect() };

    let flaky = of(&trace);
    let server = named(&flaky, "POST /v1/jobs");
    assert_eq!((server.service.as_str(), server.parent.as_deref()), ("windlass-api", None));
    let enqueue = named(&flaky, "enqueue flaky");
    let runs: Vec<_> = flaky.iter().filter(|span| span.name == "run flaky").collect();
    assert_eq!(
        runs.iter().map(|run| run.told("windlass.job.outcome")).collect::<Vec<_>>(),
        ["retried", "completed"]
    );
    assert_eq!(runs.iter().map(|run| run.failed).collect::<Vec<_>>(), [true, false]);
    assert_eq!((runs[0].told("error.type"), runs[1].told("windlass.job.attempt")), ("error", "2"));
    for run in runs {
        is_part(run, enqueue);
        assert_eq!(run.service, "windlass-worker");
    }

    let tick = of(&ticked.trace);
    let schedule = named(&tick, "schedule tick");
    assert_eq!((schedule.service.as_str(), schedule.parent.as_deref()), ("windlass-scheduler", None));
    is_part(named(&tick, "enqueue noop"), schedule);
    is_part(named(&tick, "run noop"), named(&tick, "enqueue noop"));
    assert!(
        !all.iter().any(|span| span.name.contains("readyz") || span.name.contains("metrics")),
        "monitors are no work"
    );
}
