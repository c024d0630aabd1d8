//! All of it at random, for as long as one likes: see `docs/guides/soak.md`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::load::{Accepted, Amount, Load};
use crate::town::{Plan, Town};

const MINUTES_DEFAULT: u64 = 10;

/// What may happen, by its name in the summary.
const OUTAGES: &[(&str, fn(&mut Town, &Load))] = &[
    ("a worker killed", |town, _| town.kill_one("worker")),
    ("an api killed", |town, _| town.kill_one("api")),
    ("a scheduler killed", |town, _| town.kill_one("scheduler")),
    ("a worker frozen past its lease", |town, load| {
        // With nothing to take over there would be nothing to see.
        if !load.is_over() {
            let nth = town.rng.usize(..3);
            town.freeze_workers(&[&format!("worker-{}", nth + 1)]);
        }
    }),
    ("Redis killed", |town, _| town.restart_redis()),
    ("connections to Redis cut", |town, _| town.cut_redis()),
    ("clients of Redis killed", |town, _| town.kill_redis_clients()),
    ("Redis wiped", |town, _| town.wipe_redis()),
    ("Redis lost with its files", |town, _| town.lose_redis()),
    ("Redis full", |town, load| {
        if !load.is_over() {
            town.fill_redis(load, 10);
        }
    }),
    ("PostgreSQL restarted", |town, _| town.restart_postgres()),
    ("PostgreSQL killed", |town, _| town.crash_postgres()),
    ("clients of PostgreSQL terminated", |town, _| town.terminate_postgres_clients()),
    ("connections to PostgreSQL cut", |town, _| town.cut_postgres()),
];

#[test]
#[ignore = "takes WINDLASS_SOAK_MINUTES, 10 unless set: docs/guides/soak.md"]
fn soak() {
    let minutes = std::env::var("WINDLASS_SOAK_MINUTES").ok();
    let minutes = minutes.map_or(MINUTES_DEFAULT, |minutes| minutes.parse().expect("a number of minutes"));
    let (began, time) = (Instant::now(), Duration::from_secs(60 * minutes));
    let mut town = Town::build(Plan::default());
    let (mut accepted, mut happened) = (Accepted::default(), BTreeMap::<&str, u32>::new());
    let mut round = 0;
    while began.elapsed() < time {
        round += 1;
        let amount = Amount {
            orders: town.rng.usize(20..60),
            jobs: town.rng.usize(100..400),
            over: Duration::from_secs(town.rng.u64(10..25)),
        };
        let load = Load::begin(&mut town, &format!("r{round}"), amount);
        while !load.is_over() {
            town.pause(200..2_500);
            let (name, outage) = OUTAGES[town.rng.usize(..OUTAGES.len())];
            outage(&mut town, &load);
            *happened.entry(name).or_default() += 1;
        }
        let mut more = load.end();
        more.after(accepted);
        accepted = more;
        town.until_ready();
        town.ends_well(&accepted);
        println!(
            "{:>6.1} s  round {round}: all {} orders ended well",
            began.elapsed().as_secs_f64(),
            accepted.orders.len()
        );
    }
    println!("\n{round} rounds in {:.0} s", began.elapsed().as_secs_f64());
    println!("orders: {:?}", town.ends());
    println!(
        "jobs that try the platform: {}; answers of the front doors: {:?}",
        accepted.jobs_before + accepted.jobs.len(),
        accepted.answers
    );
    for (name, times) in happened {
        println!("{times:>4} x {name}");
    }
}
