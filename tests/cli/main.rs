//! The command line as its users meet it: what it says of bad input, and that nothing is lost by it.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod process;

#[path = "../roles/site.rs"]
#[expect(dead_code, reason = "of it, only how a request is sent")]
mod site;

mod bench;
mod data_folders;
mod decisions;
mod house;
mod json;
mod notifications;
mod order_files;
mod refused_jobs;
mod set_up;
mod up;
