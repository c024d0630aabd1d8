//! What the front door's keys are made and shown with.

use windlass_jobs::outside::Secret;

use super::Env;
use super::environment::Environment;
use super::weak::is_placeholder;

/// Characters of a `SECRET_KEY` in production, at least.
pub const SECRET_KEY_CHARS_MIN: usize = 32;
/// Calls of one key in a second.
const RATE_LIMIT: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// What development makes hashes with where nothing is set: a key's own secret is random, so that its hash alone
/// does not give it away.
const SECRET_KEY_DEVELOPMENT: &str = "windlass development";

#[derive(Clone, Debug)]
pub struct AccessKeys {
    /// `SECRET_KEY`.
    pub secret_key: Secret,
    /// `WINDLASS_API_KEY`: what the command line shows at the front door.
    pub api_key: Option<Secret>,
    /// `WINDLASS_RATE_LIMIT`: calls of one key in a second, at one front door; None: no limit.
    pub rate_limit: Option<u32>,
}

impl AccessKeys {
    pub(super) fn read(env: &mut Environment, mode: Env) -> Self {
        let (given, in_production) = (env.text("SECRET_KEY"), mode.is_strict());
        match &given {
            None if in_production && !env.has("SECRET_KEY") => {
                let what = format!("missing: at least {SECRET_KEY_CHARS_MIN} random characters");
                env.problem("SECRET_KEY", what);
            }
            Some(key) if in_production && is_placeholder(key) => {
                env.problem("SECRET_KEY", "stands in examples; production needs the real value");
            }
            Some(key) if in_production && key.chars().count() < SECRET_KEY_CHARS_MIN => {
                let what = format!("has {} characters; at least {SECRET_KEY_CHARS_MIN}", key.chars().count());
                env.problem("SECRET_KEY", what);
            }
            _ => {}
        }
        let rate_limit = env.parsed("WINDLASS_RATE_LIMIT", "a whole number of calls a second");
        if rate_limit.is_some_and(|calls| !RATE_LIMIT.contains(&calls)) {
            let (least, most) = (RATE_LIMIT.start(), RATE_LIMIT.end());
            env.problem(
                "WINDLASS_RATE_LIMIT",
                format!("it is from {least} to {most}; without it there is no limit"),
            );
        }
        Self {
            rate_limit,
            secret_key: given.unwrap_or_else(|| SECRET_KEY_DEVELOPMENT.to_owned()).into(),
            api_key: env.secret("WINDLASS_API_KEY"),
        }
    }
}
