//! API keys: who may do what at the front door, how keys are made, and that they end.

use serde_json::{Value, json};
use windlass_servers::psql;

use crate::process::Ended;
use crate::process::wait::until;
use crate::production::production;
use crate::site::{Part, Site, exchange, get, request};

struct Key {
    id: String,
    text: String,
}

fn make(site: &Site, scopes: &str, more: &[&str]) -> Key {
    let args = [&["keys", "create", "--json", "--name", "till 7", "--scopes", scopes], more].concat();
    let made = site.run(&args).well().json();
    Key { id: made["id"].as_str().unwrap().to_owned(), text: made["key"].as_str().unwrap().to_owned() }
}

impl Key {
    fn call(&self, api: &Part, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = request(method, &api.door, path, &[&self.bearer()], body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.text)
    }
}

const NOOP: &str = r#"{"kind":"noop"}"#;

#[test]
fn the_first_key_closes_the_door_to_whoever_has_none() {
    let site = Site::new();
    let mut api = site.api();
    assert_eq!(get(&api.door, "/v1/stats").0, 200);
    api.running.until("it says so", |running| running.said().contains("no API key").then_some(()));
    let key = make(&site, "jobs:read", &[]);
    until("the door is closed", || (get(&api.door, "/v1/stats").0 == 401).then_some(()));
    let (head, body) = exchange("GET", &api.door, "/v1/stats", &[], "");
    assert!(head.to_lowercase().contains("www-authenticate: bearer realm=\"windlass\""), "{head}");
    assert!(head.contains("application/problem+json") && body.contains("/problems/unauthorized"), "{body}");
    let (head, _) = exchange("GET", &api.door, "/v1/stats", &["X-Api-Key: wl_0123_4567"], "");
    assert!(head.starts_with("HTTP/1.1 401") && head.contains("invalid_token"), "{head}");
    assert_eq!(key.call(&api, "GET", "/v1/stats", "").0, 200);
    assert_eq!(request("GET", &api.door, "/v1/stats", &[&format!("X-Api-Key: {}", key.text)], "").0, 200);
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(&api.door, open).0, 200, "{open}");
    }
    assert_ne!(request("POST", &api.door, "/callbacks/ylh", &[], "{}").0, 401, "callbacks show signatures");
}

#[test]
fn a_key_opens_what_its_scopes_say_and_no_more() {
    let site = Site::new();
    let read = make(&site, "jobs:read", &[]);
    let write = make(&site, "jobs:write", &[]);
    let admin = make(&site, "admin", &[]);
    let api = site.api();
    let job = r#"{"kind":"noop","id":"n1","delay_seconds":3600}"#;
    for (method, path, body, needed, by) in [
        ("POST", "/v1/jobs", job, "jobs:write", [403, 202, 200]),
        ("POST", "/v1/jobs/batch", "[]", "jobs:write", [403, 200, 200]),
        ("GET", "/v1/jobs/n1", "", "jobs:read", [200, 403, 200]),
        ("GET", "/v1/queues", "", "jobs:read", [200, 403, 200]),
        ("POST", "/v1/jobs/n1/cancel", "", "admin", [403, 403, 200]),
        ("DELETE", "/v1/jobs/n1", "", "admin", [403, 403, 204]),
        ("POST", "/v1/queues/diagnostics/pause", "", "admin", [403, 403, 200]),
    ] {
        for (key, wanted) in [&read, &write, &admin].into_iter().zip(by) {
            let (status, told) = key.call(&api, method, path, body);
            assert_eq!(status, wanted, "{method} {path}: {told}");
            if status == 403 {
                assert!(told["detail"].as_str().unwrap().contains(needed), "{told}");
            }
        }
    }
    let audit = psql(&site.database, "SELECT who, what FROM audit_log WHERE what = 'queue.pause'");
    assert_eq!(audit, format!("till 7 ({})|queue.pause", admin.id));
}

#[test]
fn a_key_for_some_kinds_hands_in_no_others() {
    let site = Site::new();
    let key = make(&site, "jobs:write", &["--kinds", "noop,sleep"]);
    let api = site.api();
    assert_eq!(key.call(&api, "POST", "/v1/jobs", NOOP).0, 202);
    let (status, told) = key.call(&api, "POST", "/v1/jobs", r#"{"kind":"panic"}"#);
    assert!(status == 403 && told["detail"].as_str().unwrap().contains("noop, sleep"), "{told}");
    let (_, told) = key.call(&api, "POST", "/v1/jobs/batch", r#"[{"kind":"noop"},{"kind":"panic"}]"#);
    assert_eq!(
        (&told["items"][0]["status"], &told["items"][1]["status"]),
        (&json!(202), &json!(403)),
        "{told}"
    );
    site.run(&["keys", "create", "--name", "x", "--scopes", "admin", "--kinds", "nap"]).says(2, &["nap"]);
    site.run(&["keys", "create", "--name", "x", "--scopes", "all"]).says(2, &["jobs:write"]);
}

#[test]
fn idempotency_keys_of_two_callers_never_meet() {
    let site = Site::new();
    let (one, two) = (make(&site, "jobs:write", &[]), make(&site, "jobs:write", &[]));
    let api = site.api();
    let send = |key: &Key| {
        let headers = [key.bearer(), "Idempotency-Key: order-1001".to_owned()];
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let (head, body) = exchange("POST", &api.door, "/v1/jobs", &headers, NOOP);
        let body: Value = serde_json::from_str(&body).unwrap();
        (body["id"].as_str().unwrap().to_owned(), head.to_lowercase().contains("idempotent-replayed: true"))
    };
    let (first, replayed) = send(&one);
    assert!(!replayed);
    assert_eq!(send(&one), (first.clone(), true));
    let (other, replayed) = send(&two);
    assert!(other != first && !replayed);
}

#[test]
fn a_revoked_key_opens_nothing_within_seconds_and_its_use_is_noted() {
    let site = Site::new();
    let (key, other) = (make(&site, "jobs:read", &[]), make(&site, "jobs:read", &[]));
    let api = site.api();
    assert_eq!(key.call(&api, "GET", "/v1/stats", "").0, 200);
    let listed = || site.run(&["keys", "list", "--json"]).well().json();
    until("its use is noted", || listed()["keys"][0]["last_used_at"].is_string().then_some(()));
    assert!(listed()["keys"][1]["last_used_at"].is_null());
    site.run(&["keys", "revoke", &key.id]).well();
    until("it is refused", || (key.call(&api, "GET", "/v1/stats", "").0 == 401).then_some(()));
    assert_eq!(other.call(&api, "GET", "/v1/stats", "").0, 200);
    site.run(&["keys", "revoke", &key.id]).says(1, &["revoked before"]);
    site.run(&["keys", "revoke", "nobody"]).says(1, &["keys list"]);
    // With the last key gone the door stays closed: to make it open again is nobody's slip.
    site.run(&["keys", "revoke", &other.id]).well();
    until("it is refused", || (other.call(&api, "GET", "/v1/stats", "").0 == 401).then_some(()));
    assert_eq!(get(&api.door, "/v1/stats").0, 401);
}

#[test]
fn no_key_is_stored_or_listed_in_the_clear() {
    let site = Site::new();
    let key = make(&site, "admin", &[]);
    let secret = key.text.rsplit('_').next().unwrap();
    assert!(secret.len() >= 40, "{}", key.text);
    let stored =
        psql(&site.database, "SELECT * FROM api_keys") + &psql(&site.database, "SELECT * FROM audit_log");
    assert!(stored.contains(&key.id) && !stored.contains(secret), "{stored}");
    let listed = site.run(&["keys", "list"]).well();
    assert!(listed.out.contains(&key.id) && !listed.out.contains(secret), "{listed:?}");
}

#[test]
fn the_command_line_shows_its_key() {
    let site = Site::new();
    let key = make(&site, "jobs:read,jobs:write", &[]);
    let api = site.api();
    let enqueue = |with: Option<&str>| -> Ended {
        let mut command = site.command(&["enqueue", "noop", "--server", &api.door]);
        command.envs(with.map(|key| ("WINDLASS_API_KEY", key)));
        site.place.start(command).end()
    };
    enqueue(None).says(1, &["A key is needed", "keys create"]);
    enqueue(Some(&key.text)).well();
    // Without a server the command opens the stores itself, and its own door is its own.
    site.run(&["jobs", "list"]).well();
    site.run(&["jobs", "cancel", "nothing"]).says(1, &["no such job"]);
}

#[test]
fn in_production_the_door_does_not_open_without_a_key() {
    let site = Site::new();
    let in_production = |args: &[&str]| {
        let mut command = site.command(args);
        command.envs(production()).env("WINDLASS_DATA", "data").env("WINDLASS_LOG", "info");
        command
    };
    let api = ["api", "--json", "--listen", "127.0.0.1:0"];
    site.place.start(in_production(&api)).end().says(2, &["windlass keys create"]);
    let create = ["keys", "create", "--json", "--name", "shop", "--scopes", "jobs:read"];
    let made = site.place.start(in_production(&create)).end().well().json();
    let text = made["key"].as_str().unwrap().to_owned();
    let api = site.start(in_production(&api));
    assert_eq!(get(&api.door, "/v1/stats").0, 401);
    let key = Key { id: made["id"].as_str().unwrap().to_owned(), text };
    assert_eq!(key.call(&api, "GET", "/v1/stats", "").0, 200);
}
