//! A process that accepts jobs is killed: what it had answered for is kept.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::job::{id, job};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, State, Store};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    a_kill_between_commit_and_hand_over_loses_nothing,
}

const CHILD_LEDGER: &str = "OUTBOX_KILL_LEDGER";
/// Jobs that the child answers for before it is killed.
const ANSWERED: usize = 200;

/// Accepts jobs for ever and prints the id of each when it has been answered for. Does nothing unless it is the
/// child of the test below.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_accepts_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_LEDGER) else { return };
    let ledger = Ledger::open(&url, &Clock::system()).await.unwrap();
    let producers = (0..8).map(|producer| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                let name = format!("p{producer}-{n}");
                ledger.accept(vec![job(&name)]).await.unwrap();
                writeln!(std::io::stdout(), "answered {name}").unwrap();
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.unwrap();
    }
}

async fn a_kill_between_commit_and_hand_over_loses_nothing(engine: Engine) {
    let place = Place::with(engine, Clock::system());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["outbox_kill::child_that_accepts_until_it_is_killed", "--exact", "--nocapture"])
        .env(CHILD_LEDGER, place.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut answered = Vec::new();
    while answered.len() < ANSWERED {
        let line = lines.next().expect("the child goes on until it is killed");
        answered.extend(line.strip_prefix("answered ").map(id));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it printed before it died counts too, but for a line that was cut.
    answered.extend(lines.filter_map(|line| line.strip_prefix("answered ")?.parse().ok()));
    answered.pop();

    let ledger = place.ledger().await;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(place.path("queue.db"), place.clock.clone()).unwrap());
    Relay::new(ledger, store.clone(), RelaySettings::default()).hand_over_all().await.unwrap();
    let states = store.states(answered.clone()).await.unwrap();
    for (id, state) in answered.iter().zip(states) {
        assert_eq!(state, Some(State::Ready), "{id} was answered for");
    }
}
