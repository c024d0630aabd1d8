//! An endpoint as the ledger has it, and how long it is left in peace after it failed.

use std::time::Duration;

use serde::Serialize;
use sqlx::AnyConnection;
use windlass_engine::Timestamp;

use super::Seal;
use super::signature::SigningSecret;
use crate::stored::stored_row;

/// Tries in a row that may fail before an endpoint is left in peace.
const FAILURES_FREE: i64 = 5;
/// The first rest, and the longest, of the shop's time.
const REST_FIRST: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_secs(3_600);

crate::stored::stored_states! {
    EndpointState {
        Enabled = "enabled",
        Disabled = "disabled",
    }
}

/// Without its secrets. Instants are microseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    pub id: String,
    pub url: String,
    pub description: String,
    /// Separated by spaces; empty: every type.
    pub types: String,
    pub state: EndpointState,
    /// Why it is disabled.
    pub reason: String,
    /// Tries in a row that failed.
    pub failures: i64,
    pub failing_since_at: Option<i64>,
    /// Nothing is sent before.
    pub rests_until_at: Option<i64>,
    /// When it last took something.
    pub delivered_at: Option<i64>,
    pub old_secret_ends_at: Option<i64>,
    pub created_at: i64,
    pub changed_at: i64,
    #[serde(skip)]
    pub(super) secret: String,
    #[serde(skip)]
    pub(super) old_secret: Option<String>,
}

stored_row!(Endpoint { id, url, description, types, reason, failures, failing_since_at, rests_until_at, delivered_at, old_secret_ends_at, created_at, changed_at, secret, old_secret } parsed { state });

macro_rules! endpoint_columns {
    () => {
        "id, url, description, types, state, reason, failures, failing_since_at, rests_until_at, delivered_at, \
         old_secret_ends_at, created_at, changed_at, secret, old_secret"
    };
}
pub(super) use endpoint_columns;

impl Endpoint {
    /// None: there is no such endpoint.
    pub(super) async fn read(conn: &mut AnyConnection, id: &str) -> Result<Option<Self>, sqlx::Error> {
        let sql = concat!("SELECT ", endpoint_columns!(), " FROM webhook_endpoints WHERE id = $1");
        sqlx::query_as(sql).bind(id.to_owned()).fetch_optional(conn).await
    }

    /// What messages to it are signed with now, the newest first. None: they were sealed under another `SECRET_KEY`.
    pub(super) fn secrets(&self, seal: &Seal, now: Timestamp) -> Option<Vec<SigningSecret>> {
        let mut secrets = vec![seal.open(&self.id, &self.secret)?];
        let lives = self.old_secret_ends_at.is_some_and(|ends_at| now.micros() < ends_at);
        if lives && let Some(old) = &self.old_secret {
            secrets.extend(seal.open(&self.id, old));
        }
        Some(secrets)
    }
}

/// How long an endpoint is left in peace that failed so often in a row: twice as long each time.
pub(super) fn rest(failures: i64) -> Option<Duration> {
    let over = u32::try_from(failures.checked_sub(FAILURES_FREE)?).ok()?;
    Some(REST_FIRST.saturating_mul(2_u32.saturating_pow(over.min(16))).min(REST_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_goes_on_failing_rests_longer_and_longer_up_to_a_bound() {
        assert_eq!(rest(FAILURES_FREE - 1), None);
        let rests: Vec<_> = (FAILURES_FREE..FAILURES_FREE + 60).filter_map(rest).collect();
        assert_eq!((rests[0], rests[1]), (REST_FIRST, REST_FIRST * 2));
        assert!(rests.is_sorted() && rests.len() == 60 && rests[59] == REST_MAX);
    }
}
