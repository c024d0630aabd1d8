//! Traces and errors as those whom they are told to get them: a small receiver on a real socket, and the real programs.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod process;

#[path = "../roles/site.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod site;

mod collectors;
mod errors;
mod order;
mod receiver;
mod spans;
