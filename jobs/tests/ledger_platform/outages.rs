//! A PostgreSQL that dies and comes back under a ledger that is in use.

use std::sync::Arc;

use crate::job::{id, job};
use tokio_util::sync::CancellationToken;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, State, Store};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::outbox::{Put, Relay, RelaySettings};
use windlass_servers::Postgres;
use windlass_testing::NOON;
use windlass_testing::wait::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_calls_say_so_and_afterwards_all_goes_on() {
    let mut server = Postgres::start();
    let clock = Clock::by_hand(NOON);
    let ledger = Ledger::open(&server.create_database("shop"), &clock).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(folder.path().join("queue.db"), clock.clone()).unwrap());
    let stop = CancellationToken::new();
    let relay = Relay::new(ledger.clone(), store.clone(), RelaySettings::default());
    let relay = tokio::spawn(relay.run(stop.clone()));
    let there = async |text: &str| store.states(vec![id(text)]).await.unwrap() == [Some(State::Ready)];

    assert_eq!(ledger.accept(vec![job("before")]).await.unwrap(), [Put::New]);
    until("the relay works", async || there("before").await.then_some(())).await;
    let mut cut = ledger.begin().await.unwrap();
    cut.enqueue(&job("cut")).await.unwrap();

    server.kill();
    let (commit, accepted, counted, pinged) =
        tokio::join!(cut.commit(), ledger.accept(vec![job("during")]), ledger.outbox_counts(), ledger.ping());
    for error in [commit.unwrap_err(), accepted.unwrap_err(), counted.unwrap_err(), pinged.unwrap_err()] {
        assert!(error.is_unavailable(), "{error:?}");
    }

    server.start_again();
    assert!(ledger.outbox_job(&id("cut")).await.unwrap().is_none(), "what was not committed never happened");
    assert_eq!(ledger.accept(vec![job("before"), job("after")]).await.unwrap()[1], Put::New);
    ledger.ping().await.unwrap();
    until("the relay goes on", async || there("after").await.then_some(())).await;
    stop.cancel();
    relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_nobody_met_is_not_noticed() {
    let mut server = Postgres::start();
    let ledger = Ledger::open(&server.create_database("shop"), &Clock::by_hand(NOON)).await.unwrap();
    for round in 0..3 {
        server.stop();
        server.start_again();
        assert_eq!(ledger.accept(vec![job(&format!("j{round}"))]).await.unwrap(), [Put::New]);
        assert_eq!(ledger.outbox_counts().await.unwrap().waiting, round + 1);
    }
}
