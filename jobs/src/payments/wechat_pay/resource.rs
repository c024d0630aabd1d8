//! What WeChat encrypts: callbacks' content and certificates, AEAD_AES_256_GCM (facts: wechat-pay.md 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Deserialize;

use crate::outside::Secret;

const KEY_BYTES: usize = 32;
const ALGORITHM: &str = "AEAD_AES_256_GCM";

/// The encrypted part of a callback or of a certificate.
#[derive(Clone, Deserialize)]
pub struct Resource {
    #[serde(default)]
    pub algorithm: String,
    pub ciphertext: String,
    #[serde(default)]
    pub associated_data: Option<String>,
    pub nonce: String,
    #[serde(default)]
    pub original_type: Option<String>,
}

/// Not encrypted with our APIv3 key, or changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be decrypted with our APIv3 key")]
pub struct Undecryptable;

pub(super) fn check_key(key: &Secret) -> anyhow::Result<()> {
    let bytes = key.expose().len();
    anyhow::ensure!(bytes == KEY_BYTES, "the APIv3 key has {bytes} bytes, not {KEY_BYTES}");
    Ok(())
}

impl Resource {
    /// The plain bytes.
    ///
    /// # Errors
    /// When the key, the nonce, the associated data or the text is not the right one.
    pub fn decrypt(&self, key: &Secret) -> Result<Vec<u8>, Undecryptable> {
        if !self.algorithm.is_empty() && self.algorithm != ALGORITHM {
            return Err(Undecryptable);
        }
        let key = UnboundKey::new(&AES_256_GCM, key.expose().as_bytes()).map_err(|_| Undecryptable)?;
        let nonce: [u8; NONCE_LEN] = self.nonce.as_bytes().try_into().map_err(|_| Undecryptable)?;
        let associated = Aad::from(self.associated_data.as_deref().unwrap_or_default().as_bytes());
        let mut bytes = STANDARD.decode(&self.ciphertext).map_err(|_| Undecryptable)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = LessSafeKey::new(key).open_in_place(nonce, associated, &mut bytes);
        let length = plain.map_err(|_| Undecryptable)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}
