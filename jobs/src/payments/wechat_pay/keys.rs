//! The merchant's key, which signs, and WeChat's keys, which verify (facts: wechat-pay.md 2, 3).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use webpki::{EndEntityCert, RawPublicKeyEntity};

const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
const NONCE_BYTES: usize = 16;

/// The merchant's private key with the serial of its certificate.
pub struct MerchantKey {
    serial_no: String,
    pair: KeyPair,
    random: SystemRandom,
}

impl MerchantKey {
    /// From a PEM in PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// When it is no RSA key of 2048 bits or more.
    pub fn from_pem(serial_no: &str, pem: &str) -> anyhow::Result<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| anyhow!("not the PEM of a private key"))?;
        let pair = match &der {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(anyhow!("the merchant's key is not an RSA key")),
        };
        let pair = pair.map_err(|rejected| anyhow!("the merchant's key is rejected: {rejected}"))?;
        Ok(Self { serial_no: serial_no.to_owned(), pair, random: SystemRandom::new() })
    }

    /// The `Authorization` of a request; `target` is path and query as sent.
    pub fn authorization(
        &self,
        mchid: &str,
        method: &str,
        target: &str,
        timestamp: i64,
        body: &str,
    ) -> String {
        let nonce = self.nonce();
        let signature = self.sign(&format!("{method}\n{target}\n{timestamp}\n{nonce}\n{body}\n"));
        let serial_no = &self.serial_no;
        format!(
            "{SCHEME} mchid=\"{mchid}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",serial_no=\"{serial_no}\",signature=\"{signature}\""
        )
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, in Base64.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let signed = self.pair.sign(&RSA_PKCS1_SHA256, &self.random, text.as_bytes(), &mut signature);
        signed.expect("a key that was accepted signs");
        STANDARD.encode(signature)
    }

    /// 32 hexadecimal digits.
    fn nonce(&self) -> String {
        let mut bytes = [0; NONCE_BYTES];
        self.random.fill(&mut bytes).expect("the system has random numbers");
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

/// WeChat's keys by their ids: certificate serials and `PUB_KEY_ID_...` side by side.
#[derive(Debug, Default)]
pub struct PlatformKeys(RwLock<HashMap<String, SubjectPublicKeyInfoDer<'static>>>);

impl PlatformKeys {
    /// Adds a certificate or a public key under its id.
    ///
    /// # Errors
    /// When the PEM is neither.
    pub fn add_pem(&self, id: &str, pem: &str) -> anyhow::Result<()> {
        let key = if pem.contains("BEGIN CERTIFICATE") {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
            let certificate = certificate.map_err(|_| anyhow!("{id}: not the PEM of a certificate"))?;
            let parsed = EndEntityCert::try_from(&certificate);
            parsed.with_context(|| format!("{id}: certificate"))?.subject_public_key_info()
        } else {
            SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
                .map_err(|_| anyhow!("{id}: neither the PEM of a certificate nor of a public key"))?
        };
        RawPublicKeyEntity::try_from(&key).with_context(|| format!("{id}: public key"))?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), key);
        Ok(())
    }

    pub fn knows(&self, id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Whether `signature` is that of `message` under the key `id`. None when there is no such key.
    pub fn verifies(&self, id: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entity = RawPublicKeyEntity::try_from(keys.get(id)?);
        let algorithm = webpki::ring::RSA_PKCS1_2048_8192_SHA256;
        Some(entity.is_ok_and(|key| key.verify_signature(algorithm, message, signature).is_ok()))
    }
}
