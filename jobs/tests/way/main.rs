//! The way of an order, from the till to the customer's door and back: the real jobs on real files and sockets
//! against the simulated outside world, with the ledger in a file and in PostgreSQL.
//!
//! A way is an `async fn(Engine)`; `on_every_engine!` makes a test of it for each engine.

mod door;
mod house;
mod town;
mod verdict;

mod callbacks;
mod cancel;
mod crash;
mod gaps;
mod hands;
mod happy;
mod heal;
mod late;
mod others;
mod refuse;
mod returns;
mod shipments;
mod storm;
mod sweep;
mod webhooks;
