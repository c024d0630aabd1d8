//! The address of a project, as Sentry hands it out: `https://KEY@HOST/PROJECT`.

use std::fmt;

use reqwest::Url;
use windlass_jobs::outside::Secret;

#[derive(Clone)]
pub struct Dsn {
    pub(super) envelopes: Url,
    pub(super) key: Secret,
}

/// Says what is wrong without repeating it: the key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no DSN: {0}; it is written https://KEY@HOST/PROJECT, as Sentry and GlitchTip show it")]
pub struct BadDsn(&'static str);

impl Dsn {
    /// # Errors
    /// When it is no DSN.
    pub fn parse(text: &str) -> Result<Self, BadDsn> {
        let url = Url::parse(text).map_err(|_| BadDsn("it is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadDsn("it begins with neither https:// nor http://"));
        }
        if url.username().is_empty() {
            return Err(BadDsn("there is no key before the @"));
        }
        let (before, project) = url.path().trim_end_matches('/').rsplit_once('/').unwrap_or_default();
        let fits = !project.is_empty()
            && project.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !fits {
            return Err(BadDsn("there is no project behind the host"));
        }
        let key = Secret::new(url.username());
        let path = format!("{before}/api/{project}/envelope/");
        let mut envelopes = url;
        envelopes.set_path(&path);
        envelopes.set_query(None);
        envelopes.set_fragment(None);
        // They cannot fail where there is a host, and http has one.
        let _ = envelopes.set_username("").and_then(|()| envelopes.set_password(None));
        Ok(Self { envelopes, key })
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn({})", self.envelopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_is_a_key_and_an_address_for_envelopes() {
        for (text, envelopes) in [
            ("https://k3y@o1.ingest.sentry.example/42", "https://o1.ingest.sentry.example/api/42/envelope/"),
            ("http://k3y:old-s3cret@127.0.0.1:9000/below/42", "http://127.0.0.1:9000/below/api/42/envelope/"),
        ] {
            let dsn = Dsn::parse(text).unwrap();
            assert_eq!((dsn.envelopes.as_str(), dsn.key.expose()), (envelopes, "k3y"));
            assert!(!format!("{dsn:?}").contains("k3y"), "{dsn:?}");
        }
    }

    #[test]
    fn what_is_no_dsn_is_refused_without_being_repeated() {
        for text in [
            "k3y",
            "ftp://k3y@sentry.example/42",
            "https://sentry.example/42",
            "https://k3y@sentry.example/",
            "https://k3y@sentry.example/a b",
        ] {
            let bad = Dsn::parse(text).unwrap_err().to_string();
            assert!(!bad.contains("k3y") && !bad.contains("sentry.example"), "{bad}");
        }
    }
}
