//! Our own processes die, or stand still and come back.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::{Clock, Timestamp};

use crate::http;
use crate::load::{Amount, Load};
use crate::town::{LEASE_S, Plan, Town};
use crate::wait::within;

const WAIT_MAX: Duration = Duration::from_secs(60);

#[test]
fn processes_that_are_killed_again_and_again_lose_nothing_and_double_nothing() {
    let mut town = Town::build(Plan::default());
    let load = Load::begin(&mut town, "kill", Amount { orders: 50, jobs: 300, over: Duration::from_secs(9) });
    let mut victims = ["worker", "worker", "api", "scheduler"].repeat(3);
    town.rng.shuffle(&mut victims);
    for role in victims {
        town.pause(100..800);
        town.kill_one(role);
    }
    town.until_ready();
    let accepted = load.end();
    town.ends_well(&accepted);
    assert!(town.workers_said("leases ran out"), "no worker died with a job in its hands");
}

#[test]
fn a_worker_that_wakes_after_its_lease_is_fenced_out() {
    let mut town = Town::build(Plan::default());
    let load =
        Load::begin(&mut town, "wake", Amount { orders: 40, jobs: 500, over: Duration::from_secs(14) });
    for (workers, scheduler) in [(&["worker-1", "worker-2"][..], 0), (&["worker-3"][..], 1)] {
        town.pause(300..900);
        town.of("scheduler")[scheduler].signal("STOP");
        town.freeze_workers(workers);
        town.of("scheduler")[scheduler].signal("CONT");
    }
    let accepted = load.end();
    town.ends_well(&accepted);
    let too_late =
        town.of_workers("windlass_jobs_fenced_out_total") + town.of_workers("windlass_jobs_lease_lost_total");
    assert!(too_late > 0.0, "no worker was told that it came too late");
}

const SLEEPERS: usize = 24;
const SLEEP_MS: u64 = 4_000;
/// A test's machine may be busy: beyond the two leases that are promised.
const BUSY: Duration = Duration::from_secs(5);

#[test]
fn jobs_of_a_killed_worker_run_again_within_two_leases() {
    let mut town = Town::build(Plan { is_slow: true, ..Plan::default() });
    let door = town.doors()[0].clone();
    let ids: Vec<_> = (0..SLEEPERS).map(|n| format!("sleeper-{n}")).collect();
    for id in &ids {
        let job = json!({"kind": "sleep", "id": id, "payload": {"ms": SLEEP_MS}});
        assert_eq!(http::post(&door, "/v1/jobs", &job).unwrap().0, 202);
    }
    let show = |id: &str| http::read(&door, &format!("/v1/jobs/{id}"));
    let running = within(WAIT_MAX, || {
        let jobs: Vec<Value> = ids.iter().map(|id| show(id)).collect();
        jobs.iter().all(|job| job["state"] == "running").then_some(jobs)
    });
    let running = running.expect("all sleep at once");
    // The worker's name has its process in it.
    let holder = town.of("worker").into_iter().find_map(|worker| {
        let pid = format!("-{}-", worker.pid()?);
        let holds = |job: &&Value| job["worker"].as_str().is_some_and(|name| name.contains(&pid));
        let held: Vec<_> = running.iter().filter(holds).map(|job| job["id"].as_str().unwrap()).collect();
        (!held.is_empty()).then(|| (worker.name.clone(), held))
    });
    let (name, held) = holder.expect("some worker holds a job");
    town.of(&name)[0].kill();
    let killed_at = Clock::system().wall();
    for id in held {
        let ended = within(WAIT_MAX, || Some(show(id)).filter(|job| job["state"] == "completed"));
        let job = ended.unwrap_or_else(|| panic!("{id} did not run again: {}", show(id)));
        assert_eq!(job["errors"][0]["cause"], "crashed", "{job}");
        let at = |time: &Value| Timestamp::parse_rfc3339(time.as_str().unwrap()).unwrap();
        let again_at = match job["errors"].get(1) {
            None => at(&job["finished_at"]) - Duration::from_millis(SLEEP_MS),
            // A busy machine took the next worker's lease away, too: by then it had begun.
            Some(lost_again) => at(&lost_again["at"]) - Duration::from_secs(LEASE_S),
        };
        let again_after = again_at.since(killed_at);
        assert!(again_after <= Duration::from_secs(2 * LEASE_S) + BUSY, "{again_after:?}: {job}");
    }
}
