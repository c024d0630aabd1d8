//! What only the carrier on Redis promises: which servers it takes, what becomes of it when the server or the way to
//! it goes away, what it does on a full one, and that it asks no more of one than it needs.
//!
//! What every carrier must do is in `tests/conformance`. Whatever breaks a server here has a server of its own.

#[cfg(test)]
mod cuts;
#[cfg(test)]
mod due;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod gone;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod outages;
#[cfg(test)]
#[cfg(test)]
mod stale;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod wakes;
#[cfg(test)]
mod wipes;
