//! The ledger's server goes away, and connections to it break.

use std::time::Duration;

use crate::load::{Amount, Load};
use crate::town::{Plan, Town};

#[test]
fn a_postgresql_that_restarts_and_connections_that_end_lose_nothing() {
    let mut town = Town::build(Plan::default());
    let load = Load::begin(&mut town, "pg", Amount { orders: 50, jobs: 200, over: Duration::from_secs(12) });
    town.pause(800..2_000);
    town.restart_postgres();
    town.pause(800..2_000);
    town.crash_postgres();
    for _ in 0..6 {
        town.pause(50..500);
        town.terminate_postgres_clients();
    }
    town.cut_postgres();
    let accepted = load.end();
    town.ends_well(&accepted);
}
