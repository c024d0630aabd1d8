//! What a receiver checks: an HMAC over the id, the time and the body, with a secret that only both sides have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::outside::Secret;

/// Bytes of a secret that we make; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;
const SECRET_BYTES_GOOD: std::ops::RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";

/// A secret in the form that people copy: `whsec_` and base64.
#[derive(Clone, Debug)]
pub struct SigningSecret(Secret);

impl SigningSecret {
    /// # Errors
    /// When the machine has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let mut bytes = [0_u8; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| anyhow::anyhow!("the machine gives no randomness for a secret"))?;
        Ok(Self(Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes)))))
    }

    /// None: it is no `whsec_` with base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        SECRET_BYTES_GOOD.contains(&bytes.len()).then(|| Self(Secret::new(text)))
    }

    /// To be shown once, and sealed.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    fn key(&self) -> hmac::Key {
        let encoded = self.0.expose().trim_start_matches(PREFIX);
        // Both ways to make one have checked it.
        hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(encoded).unwrap_or_default())
    }
}

/// The header `webhook-signature`: one signature a secret, with spaces between. `timestamp_s` is when this try is made.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp_s: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp_s}.{body}");
    let one = |secret: &SigningSecret| {
        format!("v1,{}", STANDARD.encode(hmac::sign(&secret.key(), signed.as_bytes())))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example that the specification's own libraries are tested with.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_the_secret_changes_both_sign() {
        let secrets = [SigningSecret::new().unwrap(), SigningSecret::new().unwrap()];
        let both = sign(&secrets, "msg_1", 1, "{}");
        let alone: Vec<_> =
            secrets.iter().map(|one| sign(std::slice::from_ref(one), "msg_1", 1, "{}")).collect();
        assert_eq!(both, alone.join(" "));
        assert_ne!(alone[0], alone[1]);
    }

    #[test]
    fn a_new_secret_reads_back_and_a_short_one_does_not() {
        let secret = SigningSecret::new().unwrap();
        assert!(SigningSecret::parse(secret.expose()).is_some());
        assert!(!format!("{secret:?}").contains(secret.expose()));
        for bad in ["whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"] {
            assert!(SigningSecret::parse(bad).is_none(), "{bad}");
        }
    }
}
