//! The ledger's platform half on real files: transactions, outbox and relay, effects, callbacks, tokens.

mod effect_branches;
mod effect_once;
mod job;
mod open;
mod outbox_kill;
mod outbox_relay;
mod place;
mod rows;
mod storm;
mod writes;
