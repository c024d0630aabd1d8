//! The demo against an installation of three processes: orders go the whole way, and both sides' books agree.

use std::process::Command;

use windlass_servers::free_ports;

use crate::process::Ended;
use crate::process::wait::until;
use crate::site::{Part, Site, get};
use crate::summary::{has_its_shape, went_well};

/// A sandbox listens on so many in a row.
const SANDBOX_PORTS: u16 = 6;

/// A shop whose days are seconds.
fn fast(command: &mut Command, since: &str, sandbox: u16, shop: &str) {
    command.env("WINDLASS_SPEED", "3600").env("WINDLASS_SPEED_SINCE", since);
    command.env("WINDLASS_SANDBOX", format!("http://127.0.0.1:{sandbox}")).env("WINDLASS_SHOP", shop);
}

#[test]
fn orders_go_through_a_running_installation_and_both_sides_agree() {
    let site = Site::new();
    let sandbox = free_ports(SANDBOX_PORTS);
    let shop = site
        .place
        .file("shop.toml", "time_to_pay_s = 1800\ncomplete_after_s = 3600\ntrack_every_max_s = 1800\n");
    let since = windlass_engine::Clock::system().wall().to_rfc3339();
    let made = site.run(&["keys", "create", "--json", "--name", "demo", "--scopes", "jobs:read,jobs:write"]);
    let key = made.well().json()["key"].as_str().unwrap().to_owned();
    let start = |args: &[&str]| -> Part {
        let mut command = site.command(&[args, &["--json"]].concat());
        fast(&mut command, &since, sandbox, &shop);
        site.start(command)
    };
    let api = start(&["api", "--listen", "127.0.0.1:0"]);
    let worker = start(&["worker", "--metrics-listen", "127.0.0.1:0"]);
    let scheduler = start(&["scheduler", "--metrics-listen", "127.0.0.1:0"]);
    for part in [&api, &worker, &scheduler] {
        part.until_ready(true);
    }
    let port = sandbox.to_string();
    let demo = |count: &str| {
        let args =
            ["demo", "--server", &api.door, "--sandbox-port", &port, "--count", count, "--exit", "--json"];
        let mut command = site.command(&args);
        fast(&mut command, &since, sandbox, &shop);
        command.env("WINDLASS_API_KEY", &key);
        site.place.start(command)
    };
    let ended_well = |ended: Ended, orders: u64| {
        let dead = || site.run(&["jobs", "list", "--state", "dead", "--json"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}\n{:#?}", dead());
        let summary = ended.json();
        has_its_shape(&summary);
        went_well(&summary, orders);
    };
    ended_well(demo("15").end(), 15);

    // Killed and started again, the second demo goes on from what it noted, and counts only what is its own.
    let mut killed = demo("8");
    let note = site.place.data().join("demo-server/beginning.json");
    killed.until("it has begun", |_| note.exists().then_some(()));
    killed.kill();
    ended_well(demo("8").end(), 8);
    assert!(!note.exists());
    let outside = std::fs::read_to_string(site.place.data().join("demo-server/sandbox.journal")).unwrap();
    let offered = outside.lines().filter(|line| line.contains("\"payment_offered\"")).count();
    assert_eq!(offered, 15 + 8, "the outside of an installation does not forget its earlier orders");

    until("the worker is idle", || (worker.ready().0 == 200).then_some(()));
    assert_eq!(get(&api.door, "/v1/totals").0, 401);
}

#[test]
fn a_server_that_wants_a_key_or_is_not_there_is_told() {
    let site = Site::new();
    let told = site.run(&["demo", "--server", "http://127.0.0.1:1", "--exit"]);
    told.says(1, &["http://127.0.0.1:1 is not ready"]);
    let api = site.api();
    site.run(&["keys", "create", "--name", "other", "--scopes", "admin"]).well();
    until("the door is closed", || (get(&api.door, "/v1/totals").0 == 401).then_some(()));
    let port = free_ports(SANDBOX_PORTS).to_string();
    let demo = ["demo", "--server", &api.door, "--sandbox-port", &port, "--exit"];
    site.run(&demo).says(1, &["A key is needed", "keys create"]);
    site.run(&[&demo[..], &["--speed", "60"]].concat()).says(1, &["WINDLASS_SPEED"]);
}
