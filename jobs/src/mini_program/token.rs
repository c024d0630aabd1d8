//! The mini program's token: `stable_token`, never by force (facts: wechat-mini-program.md 1).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::codes::{Class, Errcode, of_token};
use super::{Head, MiniProgramSettings};
use crate::money::Decimal;
use crate::outside::{Call, Http, OutsideError, Secret, System};
use crate::token::{Fetched, TokenSource};

const LIFE_MAX: Duration = Duration::from_secs(7200);
/// In its last five minutes the platform hands out the next one already.
const REFRESH_EARLY: Duration = Duration::from_secs(300);

pub(super) struct MiniProgramTokens {
    name: String,
    http: Http,
    settings: Arc<MiniProgramSettings>,
}

impl MiniProgramTokens {
    pub(super) fn new(http: Http, settings: Arc<MiniProgramSettings>) -> Self {
        Self { name: format!("mini_program:{}", settings.appid), http, settings }
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<Decimal>,
}

#[async_trait]
impl TokenSource for MiniProgramTokens {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh_after(&self, life: Duration) -> Duration {
        life.saturating_sub(REFRESH_EARLY).max(life / 2)
    }

    /// Before its last five minutes the platform hands out the same token (facts: wechat-mini-program.md 1).
    fn renews_early(&self) -> bool {
        false
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError> {
        let settings = &self.settings;
        let call = Call::read(System::MiniProgram, "token", settings.token_timeout)
            .hiding([settings.secret.expose()]);
        let body = json!({
            "grant_type": "client_credential",
            "appid": settings.appid,
            "secret": settings.secret.expose(),
            "force_refresh": false,
        });
        let url = format!("{}/cgi-bin/stable_token", settings.base_url.trim_end_matches('/'));
        let work = async {
            let answer = self.http.exchange(&call, self.http.post(&url).json(&body)).await?;
            call.judge_status(&answer, self.http.clock())?;
            let head: Head = answer.json(&call)?;
            let class = of_token(head.errcode);
            if class != Class::Done {
                let errcode = Errcode { code: head.errcode, errmsg: head.errmsg };
                return Err(errcode.fail(&call, class, self.http.clock()));
            }
            let wire: Wire = answer.json(&call)?;
            if wire.access_token.is_empty() {
                return Err(call.lost("an answer without a token"));
            }
            let life_secs =
                wire.expires_in.and_then(Decimal::to_whole).and_then(|secs| u64::try_from(secs).ok());
            Ok(Fetched {
                value: Secret::new(wire.access_token),
                token_type: String::new(),
                expires_in: life_secs.map_or(LIFE_MAX, Duration::from_secs).min(LIFE_MAX),
            })
        };
        self.http.measured(&call, work).await
    }
}
