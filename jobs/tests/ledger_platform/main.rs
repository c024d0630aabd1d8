//! The ledger's platform half on real files and a real PostgreSQL: transactions, outbox and relay, effects,
//! callbacks, tokens, keys.
//!
//! A claim is an `async fn(Engine)`; `on_every_engine!` makes a test of it for each engine. What only one engine can
//! do to us (locked files, servers that go away) has tests of its own.

#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod effect_branches;
#[cfg(test)]
mod effect_once;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod housekeeping;
#[cfg(test)]
mod job;
#[cfg(test)]
mod open;
#[cfg(test)]
mod open_postgres;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod outbox_kill;
#[cfg(test)]
mod outbox_others;
#[cfg(test)]
mod outbox_relay;
#[cfg(test)]
mod races;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod writes;
