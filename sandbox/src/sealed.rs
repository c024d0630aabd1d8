//! Signatures and seals: what the outside systems sign, verify and encrypt with.

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use ring::{hmac, signature};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// An RSA key that signs the way WeChat Pay does: RSASSA-PKCS1-v1_5 with SHA-256 (facts: wechat-pay.md 2).
pub(crate) struct SigningKey(RsaKeyPair);

impl SigningKey {
    pub(crate) fn from_pem(pem: &str) -> Result<Self> {
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| anyhow!("no private key: {e}"))?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map(Self).map_err(|e| anyhow!("no RSA key: {e}"))
    }

    /// Base64 of the signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String> {
        let mut signed = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed)
            .map_err(|_| anyhow!("RSA signing failed"))?;
        Ok(base64(&signed))
    }

    /// The key that checks what this one signed.
    pub(crate) fn checking_key(&self) -> CheckingKey {
        CheckingKey(UnparsedPublicKey::new(
            &RSA_PKCS1_2048_8192_SHA256,
            self.0.public_key().as_ref().to_vec(),
        ))
    }
}

pub(crate) struct CheckingKey(signature::UnparsedPublicKey<Vec<u8>>);

impl CheckingKey {
    pub(crate) fn is_signed(&self, message: &[u8], signature_base64: &str) -> bool {
        from_base64(signature_base64).is_some_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// AEAD_AES_256_GCM as WeChat Pay seals: base64 of ciphertext and tag (facts: wechat-pay.md 4).
///
/// # Errors
/// When the key has not 32 bytes or the nonce not 12.
pub(crate) fn seal(key: &[u8], nonce: &str, associated_data: &str, plain: &[u8]) -> Result<String> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| anyhow!("an AES-256 key has 32 bytes"))?;
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).ok().context("a nonce has 12 bytes")?;
    let mut sealed = plain.to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::from(associated_data.as_bytes()), &mut sealed)
        .map_err(|_| anyhow!("sealing failed"))?;
    Ok(base64(&sealed))
}

/// The signature of YLH's callbacks over fields that are sorted by name and not blank (facts: ylh.md 9).
pub(crate) fn ylh_sign(secret: &str, fields: &[(&str, &str)]) -> String {
    let mut fields: Vec<_> = fields.iter().filter(|(_, value)| !value.trim().is_empty()).collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    let joined: String = fields.iter().flat_map(|(name, value)| [*name, *value]).collect();
    hex_upper(&Md5::digest(format!("{secret}{joined}{secret}").to_lowercase().as_bytes()))
}

pub(crate) fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A token that needs no memory: what it says, and a seal that only we can put on it.
pub(crate) fn jwt(secret: &[u8], payload: &serde_json::Value) -> String {
    let said = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(br#"{"alg":"HS512","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    );
    let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, secret), said.as_bytes());
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(seal))
}

/// What such a token says, when the seal is ours.
pub(crate) fn open_jwt(secret: &[u8], token: &str) -> Option<serde_json::Value> {
    let (said, seal) = token.rsplit_once('.')?;
    let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA512, secret), said.as_bytes(), &seal).ok()?;
    let (_, payload) = said.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of facts: ylh.md 9.
    #[test]
    fn the_callback_signature_is_that_of_the_worked_example() {
        let fields = [
            ("Method", "hmm.scm_heorder.confirm"),
            ("TimeStamp", "20260101120000"),
            ("AppKey", "APPKEY1"),
            ("Data", r#"{"ExtOrderNo":"SO.1","PlatformOrderNo":"P1","State":1}"#),
            ("Empty", " "),
        ];
        assert_eq!(ylh_sign("secret1", &fields), "0876BEDCE9C7EBB49F47844583AC1E05");
    }

    #[test]
    fn a_token_with_another_seal_says_nothing() {
        let token = jwt(b"ours", &serde_json::json!({"exp": 5}));
        assert_eq!(open_jwt(b"ours", &token), Some(serde_json::json!({"exp": 5})));
        assert_eq!(open_jwt(b"theirs", &token), None);
        assert_eq!(open_jwt(b"ours", "a.b"), None);
    }
}
