//! The ledger's platform half on real files: transactions, outbox and relay, effects, callbacks, tokens.

#[cfg(test)]
mod effect_branches;
#[cfg(test)]
mod effect_once;
#[cfg(test)]
mod job;
#[cfg(test)]
mod open;
#[cfg(test)]
mod outbox_kill;
#[cfg(test)]
mod outbox_relay;
#[cfg(test)]
mod place;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod writes;
