//! Promise 2 and 4: SIGKILL at any moment loses nothing and doubles nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process::{Ended, Place};
use crate::summary::went_well;

const SEEDS: u64 = 10;
/// Folders that are tried at once.
const AT_ONCE: usize = 2;
/// The run is cut into as many stretches as there are seeds, and each seed has its moment in one of them. The
/// first begins before the files are there; the last ends when most orders have.
const STRETCH_MS: u64 = 900;

/// Whether the demo was killed before its end.
struct Killed(bool);

#[test]
fn a_demo_that_is_killed_at_any_moment_goes_on_and_loses_nothing() {
    let (next, killed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        break;
                    }
                    let Killed(before_its_end) = kill_and_go_on(seed);
                    killed.fetch_add(u64::from(before_its_end), Ordering::Relaxed);
                }
            });
        }
    });
    let killed = killed.into_inner();
    assert!(killed * 2 > SEEDS, "only {killed} demos were killed before their end: is the moment too late?");
}

fn kill_and_go_on(seed: u64) -> Killed {
    let place = Place::new();
    let seed_text = seed.to_string();
    let demo = [
        "demo", "--count", "30", "--faults", "some", "--speed", "7200", "--seed", &seed_text, "--exit",
        "--json",
    ];
    let moment = Duration::from_millis(seed * STRETCH_MS + fastrand::Rng::with_seed(seed).u64(0..STRETCH_MS));
    // Shown when the test fails: the seed that did not go on well is the one.
    println!("seed {seed}: killed after {moment:?}");
    let mut first = place.start(place.command(&demo));
    let ended = first.ends_within(moment);
    let first = ended.unwrap_or_else(|| first.kill());
    let second = place.run(&demo);
    went_well(&second.well().json(), 30);
    let Ended { code, .. } = first;
    assert!(code.is_none_or(|code| code == 0), "seed {seed}: it failed before it was killed: {first:#?}");
    println!("seed {seed}: went on well");
    Killed(code.is_none())
}
