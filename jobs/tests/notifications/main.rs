//! Telling people and other systems: the jobs themselves, run one at a time against the sandbox's mail server and
//! receivers, with the ledger in a file and in PostgreSQL and a clock that is set by hand.
//!
//! A claim is an `async fn(Engine)`; `on_every_engine!` makes a test of it for each engine.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod summary;
#[cfg(test)]
mod webhooks;
