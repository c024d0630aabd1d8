//! How the secrets of endpoints are kept. They must be read again to sign with, so a hash will not do: they are encrypted
//! with AES-256-GCM under a key that follows from `SECRET_KEY`, which is not in the ledger. Whoever has a copy of the
//! ledger alone cannot sign; whoever has both can.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::signature::SigningSecret;
use crate::outside::Secret;

/// What the key is for: another use of `SECRET_KEY` gets another key.
const PURPOSE: &[u8] = b"windlass webhook secrets v1";

pub struct Seal(LessSafeKey);

impl Seal {
    /// # Errors
    /// When the key cannot be derived.
    pub fn of(secret_key: &Secret) -> anyhow::Result<Self> {
        let prk = Salt::new(HKDF_SHA256, PURPOSE).extract(secret_key.expose().as_bytes());
        let okm =
            prk.expand(&[PURPOSE], &AES_256_GCM).map_err(|_| anyhow::anyhow!("no key can be derived"))?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// Base64 of nonce, ciphertext and tag. `owner` is bound to it: the row of one endpoint is no use in another's.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn close(&self, owner: &str, secret: &SigningSecret) -> anyhow::Result<String> {
        let mut nonce = [0_u8; NONCE_LEN];
        let failed = |_| anyhow::anyhow!("a secret cannot be sealed");
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut sealed = secret.expose().as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(owner.as_bytes()), &mut sealed).map_err(failed)?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// None: it was sealed under another `SECRET_KEY`, or for another owner.
    pub fn open(&self, owner: &str, sealed: &str) -> Option<SigningSecret> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let open = self.0.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut sealed).ok()?;
        SigningSecret::parse(std::str::from_utf8(open).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_with_its_key_for_its_owner_only() {
        let seal = Seal::of(&Secret::new("one key")).unwrap();
        let secret = SigningSecret::new().unwrap();
        let sealed = seal.close("we_1", &secret).unwrap();
        assert!(!sealed.contains(secret.expose()));
        assert_eq!(seal.open("we_1", &sealed).unwrap().expose(), secret.expose());
        assert!(seal.open("we_2", &sealed).is_none());
        assert!(Seal::of(&Secret::new("other key")).unwrap().open("we_1", &sealed).is_none());
        assert!(seal.open("we_1", "AAAA").is_none());
    }
}
