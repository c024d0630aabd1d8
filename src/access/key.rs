//! The text of a key, and the hash by which it is known again.
//!
//! A key reads `wl_<id>_<secret>`. The id is public, by it the row is found. The ledger has the hash of the whole
//! text under the installation's own key: neither a stolen ledger nor a guess opens the door.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use windlass_jobs::outside::Secret;

const PREFIX: &str = "wl_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// A text that is longer is no key of ours.
pub(super) const KEY_CHARS_MAX: usize = 200;

/// A new key: to be shown once.
#[derive(Debug)]
pub struct MadeKey {
    pub id: String,
    pub text: Secret,
}

impl MadeKey {
    /// Out of the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new() -> anyhow::Result<Self> {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| anyhow::anyhow!("the system has no randomness to make a key of"))?;
        let (id, secret) = random.split_at(ID_BYTES);
        let id = hex(id);
        let text = format!("{PREFIX}{id}_{}", hex(secret)).into();
        Ok(Self { id, text })
    }
}

/// The id in the text of a key; None: it is not one.
pub(super) fn id_of(text: &str) -> Option<&str> {
    if text.len() > KEY_CHARS_MAX {
        return None;
    }
    text.strip_prefix(PREFIX)?.split_once('_').map(|(id, _)| id)
}

/// HMAC-SHA256 under the installation's `SECRET_KEY`.
pub struct Hasher(hmac::Key);

impl Hasher {
    pub fn new(secret_key: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret_key.expose().as_bytes()))
    }

    pub fn hash(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// In constant time.
    pub fn matches(&self, text: &str, hash: &str) -> bool {
        unhex(hash).is_some_and(|tag| hmac::verify(&self.0, text.as_bytes(), &tag).is_ok())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_again_by_its_hash_alone() {
        let (ours, others) = (Hasher::new(&"ours".into()), Hasher::new(&"theirs".into()));
        let (one, two) = (MadeKey::new().unwrap(), MadeKey::new().unwrap());
        assert_eq!(id_of(one.text.expose()), Some(one.id.as_str()));
        assert_ne!(one.id, two.id);
        let hash = ours.hash(one.text.expose());
        assert!(ours.matches(one.text.expose(), &hash) && !hash.contains(&one.id));
        assert!(!ours.matches(two.text.expose(), &hash), "another key");
        assert!(!others.matches(one.text.expose(), &hash), "another SECRET_KEY");
        assert!(!ours.matches(one.text.expose(), "no hash") && !ours.matches(one.text.expose(), ""));
    }

    #[test]
    fn what_is_not_a_key_has_no_id() {
        for text in ["", "wl_", "wl_abc", "Bearer wl_a_b", &format!("wl_a_{}", "x".repeat(KEY_CHARS_MAX))] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
