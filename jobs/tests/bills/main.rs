//! Bills of WeChat Pay: the parser on made and on real files, the files in the ledger, and the job that fetches
//! them from a scripted bank on a real socket.
//!
//! A claim is an `async fn(Engine)`; `on_every_engine!` makes a test of it for each engine of the ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bank;
mod fetched;
mod files;
mod made;
mod parsed;
mod settled;
mod stored;
