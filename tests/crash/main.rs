//! Many processes on one Redis and one PostgreSQL, under a load, while everything of theirs is killed, frozen, cut
//! off, filled up and wiped: what was accepted ends, and effects on the outside happen once.
//!
//! What happens and when follows from a seed that every test prints; `WINDLASS_CRASH_SEED=…` repeats it. The soak is
//! described in `docs/guides/soak.md`.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

mod house;
mod http;
mod ledger;
mod load;
mod outages;
mod postgres;
mod processes;
mod redis;
mod soak;
mod town;
mod verdict;

#[path = "../support/wait.rs"]
#[expect(dead_code, reason = "here each wait has a bound and words of its own")]
mod wait;
