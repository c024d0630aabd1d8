//! Who may use the front door: API keys, what they open, and the ring on which the door has them.
//!
//! The rows are the ledger's. Nothing here knows HTTP.

mod key;
mod keyring;
mod scope;

pub use self::key::{Hasher, MadeKey};
pub use self::keyring::{KEYS_AGE_MAX, Keyring, Refusal};
pub use self::scope::Scope;
