//! Workers over a real store: what every attempt can do, and what becomes of the job.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, here too")]

mod bench;
mod drain;
mod ends;
mod toys;
