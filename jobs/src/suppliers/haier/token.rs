//! Haier's token: `/oauth2/auth`, and `/oauth2/token` where that fails (facts: haier.md 2).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::HaierSettings;
use crate::money::Decimal;
use crate::outside::{Answer, Call, Http, OutsideError, Secret, System};
use crate::token::{Fetched, TokenSource};

/// Life of a token whose answer names none (facts: haier.md 2 prints 3600).
const LIFE_UNSTATED: Duration = Duration::from_secs(3600);
const PATHS: [&str; 2] = ["/oauth2/auth", "/oauth2/token"];

pub(super) struct HaierTokens {
    name: String,
    http: Http,
    settings: Arc<HaierSettings>,
}

impl HaierTokens {
    pub(super) fn new(http: Http, settings: Arc<HaierSettings>) -> Self {
        Self { name: format!("haier:{}", settings.client_id), http, settings }
    }

    async fn ask(&self, call: &Call, path: &str) -> Result<Answer, OutsideError> {
        let body = json!({
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.expose(),
            "grant_type": "client_credentials",
        });
        self.http.exchange(call, self.http.post(&self.settings.url(None, path)).json(&body)).await
    }

    /// The answer of the first address, or of the second where the first has anything but a 200.
    async fn ask_both(&self, call: &Call) -> Result<Answer, OutsideError> {
        let first = self.ask(call, PATHS[0]).await?;
        if first.status == 200 {
            return Ok(first);
        }
        let second = self.ask(call, PATHS[1]).await?;
        // An address that is not there says nothing about our credentials: what the first said counts.
        let counts = if matches!(second.status, 404 | 405) { first } else { second };
        call.judge_status(&counts, self.http.clock())?;
        Ok(counts)
    }
}

#[async_trait]
impl TokenSource for HaierTokens {
    fn name(&self) -> &str {
        &self.name
    }

    /// max(life - 600 s, 300 s) as the client in use does (facts: haier.md 2), of a short life the half.
    fn refresh_after(&self, life: Duration) -> Duration {
        let least = Duration::from_secs(300).min(life / 2);
        life.saturating_sub(Duration::from_secs(600)).max(least)
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError> {
        let call = Call::read(System::Haier, "token", self.settings.token_timeout)
            .hiding([self.settings.client_secret.expose()]);
        let work = async {
            let answer = self.ask_both(&call).await?;
            let shape: Shape = answer.json(&call)?;
            shape
                .into_fetched(self.http.clock().now().secs())
                .ok_or_else(|| call.misconfigured("no_token", &answer.text()))
        };
        self.http.measured(&call, work).await
    }
}

/// All shapes that were seen: `token`, `access_token`, and both inside `data`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shape {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<Decimal>,
    expires_at: Option<Decimal>,
    data: Option<Box<Shape>>,
}

impl Shape {
    fn into_fetched(self, now_secs: i64) -> Option<Fetched> {
        let inner = self.data.map(|inner| *inner).unwrap_or_default();
        let value = [self.token, self.access_token, inner.token, inner.access_token]
            .into_iter()
            .flatten()
            .find(|value| !value.is_empty())?;
        let left = |at: Decimal| at.to_whole().map(|at| at - now_secs);
        let secs = (self.expires_in.or(inner.expires_in).and_then(Decimal::to_whole))
            .or_else(|| self.expires_at.or(inner.expires_at).and_then(left))
            .and_then(|secs| u64::try_from(secs).ok());
        let expires_in = secs.map_or(LIFE_UNSTATED, Duration::from_secs);
        Some(Fetched { value: Secret::new(value), token_type: String::new(), expires_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_of_the_answer_holds_the_token() {
        for (text, life_secs) in [
            (r#"{"expires_at":4600,"expires_in":1800,"token":"T"}"#, 1800),
            (r#"{"access_token":"T","expires_in":"1800"}"#, 1800),
            (r#"{"data":{"access_token":"T","expires_in":1800}}"#, 1800),
            (r#"{"data":{"token":"T"},"expires_at":4600}"#, 3600),
            (r#"{"token":"T"}"#, 3600),
        ] {
            let shape: Shape = serde_json::from_str(text).unwrap();
            let fetched = shape.into_fetched(1000).unwrap();
            assert_eq!((fetched.value.expose(), fetched.expires_in.as_secs()), ("T", life_secs), "{text}");
        }
        assert!(serde_json::from_str::<Shape>(r#"{"success":false}"#).unwrap().into_fetched(0).is_none());
    }
}
