//! Processes of their own that share a folder of logs, on Redis and PostgreSQL.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::process::Running;
use crate::process::wait::until;
use crate::shop::{MOBILE, NAME, handed_in};
use crate::site::{Part, Site, get, request};

/// The text of each log file, by its name without day and part.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some((whose, _)) = name.split_once('.').filter(|_| name.ends_with(".log")) {
            files.entry(whose.to_owned()).or_default().push_str(&fs::read_to_string(path).unwrap());
        }
    }
    files
}

fn with_files(site: &Site, args: &[&str]) -> Part {
    let mut command = site.command(args);
    command.env("WINDLASS_LOG_DIR", site.place.path("logs")).env("WINDLASS_LOG", "debug");
    command.env("WINDLASS_SLOW_QUERY_MS", "1");
    site.start(command)
}

#[test]
fn replicas_have_files_of_their_own_and_statements_are_told_without_their_values() {
    let site = Site::new();
    let logs = site.place.path("logs");
    let api = with_files(&site, &["api", "--json", "--listen", "127.0.0.1:0"]);
    let worker = ["worker", "--json", "--metrics-listen", "127.0.0.1:0", "--queues", "diagnostics"];
    let workers = [with_files(&site, &worker), with_files(&site, &worker)];
    for n in 0..20 {
        let mut order = handed_in(&format!("SO-P{n:03}"), "FAKE00001");
        order["tags"] = json!([]);
        assert_eq!(request("POST", &api.door, "/v1/jobs", &[], &order.to_string()).0, 202);
    }
    let noop = json!({ "kind": "noop", "id": "n1" });
    assert_eq!(request("POST", &api.door, "/v1/jobs", &[], &noop.to_string()).0, 202);
    let found = until("each has its file, and the statements theirs", || {
        let files = files(&logs);
        let apps = ["app-api-1", "app-worker-1", "app-worker-2", "api-api-1"];
        let done = files.values().any(|text| text.contains("\"id\":\"n1\""));
        let slow = files.get("slow-api-1").is_some_and(|text| text.contains("INSERT INTO outbox"));
        (apps.iter().all(|name| files.contains_key(*name)) && done && slow).then_some(files)
    });
    for (name, text) in found {
        assert!(!text.contains(NAME) && !text.contains(MOBILE), "{name}: {text}");
    }

    // A SIGHUP opens the files anew and ends nobody.
    let moved = |part: &str| {
        let file = fs::read_dir(&logs).unwrap().map(|file| file.unwrap().path());
        let file = file.into_iter().find(|path| path.to_str().unwrap().contains(part)).unwrap();
        fs::rename(&file, site.place.path("moved")).unwrap();
    };
    moved("/api-api-1");
    api.running.signal("HUP");
    until("requests are written anew", || {
        get(&api.door, "/v1/kinds");
        files(&logs).get("api-api-1")?.contains("/v1/kinds").then_some(())
    });
    for part in workers.into_iter().chain([api]) {
        let Part { running, .. } = part;
        running.terminate();
        Running::end(running).well();
    }
}
