//! The demo as whoever tries Windlass runs it: to its end, with faults outside, and killed in the middle.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[expect(dead_code, reason = "not every target needs all of it")]
#[path = "../support/process.rs"]
mod process;

mod days;
mod killed;
mod summary;
mod to_the_end;
