//! YLH's token: a password grant, sent as a form body (facts: ylh.md 2).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::YlhSettings;
use crate::money::Decimal;
use crate::outside::lenient::maybe_text;
use crate::outside::{Call, Http, OutsideError, Secret, System};
use crate::token::{Fetched, TokenSource, ten_minutes_early};

/// Life and word of a token whose answer names none.
const LIFE_UNSTATED: Duration = Duration::from_secs(3600);
const TYPE_UNSTATED: &str = "Bearer";

pub(super) struct YlhTokens {
    name: String,
    http: Http,
    settings: Arc<YlhSettings>,
}

impl YlhTokens {
    pub(super) fn new(http: Http, settings: Arc<YlhSettings>) -> Self {
        Self { name: format!("ylh:{}", settings.username), http, settings }
    }
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "maybe_text")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Decimal>,
}

#[async_trait]
impl TokenSource for YlhTokens {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh_after(&self, life: Duration) -> Duration {
        ten_minutes_early(life)
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError> {
        let settings = &self.settings;
        let call = Call::read(System::Ylh, "token", settings.token_timeout)
            .hiding([settings.client_password.expose(), settings.password.expose()]);
        let url = settings.paths.url(&settings.paths.auth, "/oauth/token");
        let request = self
            .http
            .post(&url)
            .header("system-name", "ylh-open-api")
            .basic_auth(&settings.client_id, Some(settings.client_password.expose()))
            .form(&[
                ("grant_type", "password"),
                ("username", settings.username.as_str()),
                ("password", settings.password.expose()),
            ]);
        let work = async {
            let answer = self.http.exchange(&call, request).await?;
            if answer.status == 400 {
                // OAuth's answer to a wrong password is 400 `invalid_grant`.
                return Err(call.misconfigured("http_400", &answer.text()));
            }
            call.judge_status(&answer, self.http.clock())?;
            let shape: Shape = answer.json(&call)?;
            let value = shape.access_token.ok_or_else(|| call.misconfigured("no_token", &answer.text()))?;
            let life_secs =
                shape.expires_in.and_then(Decimal::to_whole).and_then(|secs| u64::try_from(secs).ok());
            Ok(Fetched {
                value: Secret::new(value),
                token_type: shape.token_type.unwrap_or_else(|| TYPE_UNSTATED.to_owned()),
                expires_in: life_secs.map_or(LIFE_UNSTATED, Duration::from_secs),
            })
        };
        self.http.measured(&call, work).await
    }
}
