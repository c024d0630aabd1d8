//! Readiness follows what the process can really do.

use crate::process::wait::until;
use crate::site::{Site, get};

#[test]
fn a_frozen_carrier_makes_every_role_not_ready_until_it_answers_again() {
    let site = Site::new();
    let parts = [site.api(), site.worker(&[]), site.scheduler()];
    for part in &parts {
        part.until_ready(true);
        for older in ["/health/", "/api/health/"] {
            assert_eq!(get(&part.monitors, older).0, 200, "{older}");
        }
        assert!(get(&part.monitors, "/metrics/").1.contains("process_start_time_seconds"));
        site.run(&["health", "--url", &part.monitors]).well();
    }
    site.redis.freeze();
    for part in &parts {
        let told = part.until_ready(false);
        assert_eq!(told["checks"]["carrier"]["ok"], false, "{told}");
        assert_eq!(get(&part.monitors, "/livez").0, 200, "it lives, whatever its carrier does");
        assert_eq!(get(&part.monitors, "/health/").0, 503);
        site.run(&["health", "--live", "--url", &part.monitors]).well();
        site.run(&["health", "--url", &part.monitors])
            .says(1, &["is not ready", "\"carrier\":{\"name\":\"redis\",\"ok\":false}"]);
    }
    site.redis.thaw();
    for part in &parts {
        part.until_ready(true);
    }
}

#[test]
fn a_ledger_that_is_gone_makes_every_role_not_ready() {
    let mut site = Site::new();
    let mut ledger = windlass_servers::Postgres::start();
    site.database = ledger.create_database("shop");
    let parts = [site.api(), site.worker(&[]), site.scheduler()];
    for part in &parts {
        part.until_ready(true);
    }
    ledger.stop();
    for part in &parts {
        let told = part.until_ready(false);
        assert_eq!(told["checks"]["ledger"]["ok"], false, "{told}");
    }
    ledger.start_again();
    for part in &parts {
        part.until_ready(true);
    }
}

#[test]
fn a_worker_says_that_its_queue_is_consumed_and_a_paused_one_is_no_fault() {
    let site = Site::new();
    let api = site.api();
    let worker = site.worker(&["--queues", "diagnostics"]);
    let told = worker.until_ready(true);
    assert_eq!(told["checks"]["worker"]["ok"], true, "{told}");
    let (status, _) = crate::site::request("POST", &api.door, "/v1/queues/diagnostics/pause", &[], "");
    assert_eq!(status, 200);
    site.run(&["enqueue", "noop", "--id", "held", "--server", &api.door]).well();
    until("it is ready", || {
        let (_, text) = get(&api.door, "/v1/jobs/held");
        text.contains("\"ready\"").then_some(())
    });
    assert_eq!(worker.ready().0, 200);
}

#[test]
fn metrics_move_to_their_own_port_where_one_is_set() {
    let site = Site::new();
    let args = ["api", "--json", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let api = site.start(site.command(&args));
    assert_ne!(api.monitors, api.door);
    assert_eq!(get(&api.door, "/metrics").0, 404);
    assert!(api.metrics().contains("windlass_workers 0"), "the gauges of the books are told there");
    assert_eq!((api.ready().0, get(&api.door, "/readyz").0), (200, 200));
    assert_eq!(get(&api.monitors, "/v1/jobs").0, 404);
}
