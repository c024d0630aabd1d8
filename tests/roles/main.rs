//! Front door, worker and scheduler as processes of their own, on a Redis and a PostgreSQL.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod process;

#[path = "../support/production.rs"]
mod production;

#[path = "../demo/summary.rs"]
mod summary;

mod demo;
mod drain;
mod end_to_end;
mod keys;
mod readiness;
mod refused;
mod site;
