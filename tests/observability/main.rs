//! What operators see and are told, proven on a run: every query of every panel and rule is asked of a Prometheus that
//! scraped a demo; every alert has a page that says what to do, and histories that fire it and do not.
//!
//! `prometheus` and `promtool` are Debian's package; `scripts/test` brings it.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod process;

mod dashboards;
mod names;
mod prometheus;
mod promtool;
mod queries;
