//! What a receiver does with a request before it believes a word of it (Standard Webhooks, "Verifying webhook
//! authenticity").

use ring::hmac;

use crate::sealed::from_base64;

/// A request that is older or newer than this is a replay or comes from a clock that is wrong.
const TOLERANCE_S: i64 = 5 * 60;

/// The key in a `whsec_`.
pub(super) fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = from_base64(secret.strip_prefix("whsec_")?)?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// How many signatures the request carries, when one of them is of one of the secrets.
///
/// # Errors
/// Why it is not believed.
pub(super) fn verify(
    secrets: &[String],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_s: i64,
) -> Result<usize, &'static str> {
    if id.is_empty() || timestamp.is_empty() || signatures.is_empty() {
        return Err("a header is missing");
    }
    let at: i64 = timestamp.parse().map_err(|_| "the timestamp is no number")?;
    if (now_s - at).abs() > TOLERANCE_S {
        return Err("the timestamp is too far from now");
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let given: Vec<_> =
        signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).filter_map(from_base64).collect();
    let keys: Vec<_> = secrets.iter().filter_map(|secret| key(secret)).collect();
    let is_good = given.iter().any(|one| keys.iter().any(|key| hmac::verify(key, &signed, one).is_ok()));
    if is_good { Ok(given.len()) } else { Err("no signature is ours") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const AT: i64 = 1_614_265_330;

    fn is_believed(signatures: &str, body: &str, now_s: i64) -> Result<usize, &'static str> {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        verify(&[SECRET.to_owned()], id, &AT.to_string(), signatures, body.as_bytes(), now_s)
    }

    /// The specification's own example.
    #[test]
    fn the_published_example_is_believed_and_nothing_like_it() {
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(is_believed(GOOD, body, AT), Ok(1));
        assert_eq!(is_believed(&format!("v1,AAAA v2,x {GOOD}"), body, AT + TOLERANCE_S), Ok(2));
        assert!(is_believed(GOOD, "{}", AT).is_err());
        assert!(is_believed("v1,AAAA", body, AT).is_err());
        assert!(is_believed(&GOOD.replace("v1", "v2"), body, AT).is_err());
        assert!(is_believed(GOOD, body, AT + TOLERANCE_S + 1).is_err());
        assert!(is_believed("", body, AT).is_err());
    }
}
