//! The scripts of `deploy/`, with processes of this host in the place of containers: real Redis, PostgreSQL and nginx, this
//! build as every version.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

mod balancer;
mod containers;
mod drills;
mod files;
mod load;
mod yard;

#[path = "../support/wait.rs"]
mod wait;
