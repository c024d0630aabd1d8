//! The front door, over real sockets, with a real carrier and a real ledger.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

#[path = "../support/mod.rs"]
mod support;

mod accepting;
mod batches;
mod bills;
mod calling;
mod catalogue;
mod closing;
mod comparing;
mod looking;
mod many;
mod operating;
mod refusing;
mod schedules;
mod webhooks;
