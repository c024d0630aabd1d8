//! The log of real processes: which lines are in which files, what must not be in any, and what happens when they cannot be
//! written.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod process;

#[path = "../roles/site.rs"]
#[expect(dead_code, reason = "of it, only how a request is sent")]
mod site;

mod audit;
mod echo;
mod personal;
mod refused;
mod replicas;
mod shop;
