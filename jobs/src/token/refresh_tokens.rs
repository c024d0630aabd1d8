//! Keeps tokens alive: replaces each that is in use before anybody has to wait for it.
//!
//! Any number of replicas may run it. The token is one row that all share, and who fetches holds its claim; the others
//! find the new token there. A token that nobody has needed is left alone, so a system that the shop does not use is not
//! asked; and the mini program's is never forced (facts: wechat-mini-program.md 1).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome};

use super::Kept;
use crate::outside::{OutsideError, System};
use crate::shop::Shop;
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

/// A system whose token is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenOf {
    Haier,
    Ylh,
    MiniProgram,
}

/// Replaces tokens early.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshTokens {
    /// Of one system, in whose queue the job should wait. Each is told apart, so that one that is down keeps no other
    /// from its token.
    pub system: TokenOf,
}

impl Job for RefreshTokens {
    const KIND: &'static str = "refresh_tokens";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.system.name().to_owned())
    }

    async fn run(self, shop: &Shop, _job: &JobContext) -> Result<Outcome, JobError> {
        let kept = self.system.keep(shop, Duration::from_secs(shop.settings.token_ahead_s)).await;
        let kept = kept.map_err(verdict::of_outside)?;
        let (result, token) = match kept {
            Kept::Unused => return Ok(Outcome::result(json!({ "token": "not in use" }))),
            Kept::Good(token) => ("good", token),
            Kept::Renewed(token) => ("renewed", token),
        };
        let left = token.expires_at.since(shop.clock.now());
        // An instant and not a length: of several workers the one that looked last is told from the others.
        metrics::gauge!("windlass_token_expires_timestamp_seconds", "system" => self.system.name())
            .set(token.expires_at.secs() as f64);
        Ok(Outcome::result(json!({ "token": result, "good_for_s": left.as_secs() })))
    }
}

impl TokenOf {
    const fn name(self) -> &'static str {
        match self {
            Self::Haier => System::Haier.name(),
            Self::Ylh => System::Ylh.name(),
            Self::MiniProgram => System::MiniProgram.name(),
        }
    }

    async fn keep(self, shop: &Shop, ahead: Duration) -> Result<Kept, OutsideError> {
        match self {
            Self::Haier => shop.haier.keep_token(ahead).await,
            Self::Ylh => shop.ylh.keep_token(ahead).await,
            Self::MiniProgram => shop.mini_program.keep_token(ahead).await,
        }
    }
}
