//! What the door says when it refuses: one problem type (RFC 9457).
//!
//! A problem has an outside, which the client sees, and may have an inside, which only the log sees. The words
//! of `type` are a promise: clients branch on them. Nothing here decides when to refuse.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use windlass_engine::StoreError;
use windlass_jobs::ledger::LedgerError;

use crate::access::Scope;

/// Faults listed in one problem; how many more there are is told.
pub const FAULTS_TOLD_MAX: usize = 100;
/// Characters of one fault's message.
const FAULT_CHARS_MAX: usize = 400;
/// When a client may try again that met a carrier or ledger which was away.
pub const AWAY_RETRY_AFTER_S: u32 = 2;
/// When a client may try again that met a full backlog.
pub const FULL_RETRY_AFTER_S: u32 = 5;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Problem(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    kind: Kind,
    detail: String,
    faults: Vec<Fault>,
    faults_omitted: usize,
    retry_after_s: Option<u32>,
    /// What the caller has to show, as `WWW-Authenticate` says it.
    challenge: Option<String>,
    inside: Option<Arc<anyhow::Error>>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// RFC 6901, into the body. None: the fault is in a query parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The query parameter or header at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    pub message: String,
}

impl Fault {
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), parameter: None, message: cut(message.into()) }
    }

    pub fn of(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: None, parameter: Some(parameter.into()), message: cut(message.into()) }
    }
}

macro_rules! kinds {
    ($($name:ident $status:ident $slug:literal $title:literal)*) => {
        /// Every problem that the door has. The slug is the last part of `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($name),* }

        impl Kind {
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),* }
            }
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),* }
            }
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
        }
    };
}

kinds! {
    BrokenJson BAD_REQUEST "broken-json" "The body is not JSON"
    BrokenRequest BAD_REQUEST "broken-request" "The request cannot be read"
    Unauthorized UNAUTHORIZED "unauthorized" "A key is needed"
    Forbidden FORBIDDEN "forbidden" "The key does not open this"
    NoSuchRoute NOT_FOUND "no-such-route" "There is nothing at this address"
    NoSuchJob NOT_FOUND "no-such-job" "There is no such job"
    NoSuchQueue NOT_FOUND "no-such-queue" "There is no such queue"
    NoSuchSchedule NOT_FOUND "no-such-schedule" "There is no such schedule"
    NoSuchEffect NOT_FOUND "no-such-effect" "There is no such effect"
    NoSuchRefund NOT_FOUND "no-such-refund" "There is no such refund"
    NoSuchOrder NOT_FOUND "no-such-order" "There is no such order"
    NoSuchFinding NOT_FOUND "no-such-finding" "There is no such finding"
    NoSuchReconciliation NOT_FOUND "no-such-reconciliation" "There is no such reconciliation"
    NoSuchProduct NOT_FOUND "no-such-product" "There is no such product"
    NoSuchRun NOT_FOUND "no-such-sync-run" "There is no such synchronisation"
    NoSuchWebhook NOT_FOUND "no-such-webhook" "There is no such endpoint of webhooks"
    WrongMethod METHOD_NOT_ALLOWED "wrong-method" "This address does not take this method"
    SlowBody REQUEST_TIMEOUT "slow-body" "The body did not arrive in time"
    OtherBody CONFLICT "other-body" "The id or key belongs to another request"
    NotApplicable CONFLICT "not-applicable" "The job is in a state to which this does not apply"
    NotNow CONFLICT "not-now" "This cannot be done to it as it is"
    NotOpen CONFLICT "not-open" "It is not open to this decision"
    NotHandedOver CONFLICT "not-handed-over" "The job is still on its way to its queue"
    FindingSettled CONFLICT "finding-settled" "The finding is settled already"
    TooLarge PAYLOAD_TOO_LARGE "too-large" "The body is too large"
    NotJson UNSUPPORTED_MEDIA_TYPE "not-json" "The body must be sent as JSON"
    Invalid UNPROCESSABLE_ENTITY "invalid-request" "The request does not hold together"
    UnknownKind UNPROCESSABLE_ENTITY "unknown-kind" "There is no such kind of job"
    UnknownQueue UNPROCESSABLE_ENTITY "unknown-queue" "There is no such queue"
    InvalidPayload UNPROCESSABLE_ENTITY "invalid-payload" "The payload does not fit the kind's schema"
    TooFast TOO_MANY_REQUESTS "too-many-requests" "The key is used too often"
    Full TOO_MANY_REQUESTS "backlog-full" "The queue's backlog is full"
    CarrierAway SERVICE_UNAVAILABLE "carrier-away" "The queue cannot be reached"
    LedgerAway SERVICE_UNAVAILABLE "ledger-away" "The ledger cannot be reached"
    SchedulesUnknown SERVICE_UNAVAILABLE "schedules-unknown" "This front door does not know the schedules"
    TookTooLong SERVICE_UNAVAILABLE "took-too-long" "The request took too long"
    Internal INTERNAL_SERVER_ERROR "internal" "Something went wrong on our side"
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after_s = match kind {
            Kind::Full => Some(FULL_RETRY_AFTER_S),
            Kind::CarrierAway | Kind::LedgerAway | Kind::TookTooLong => Some(AWAY_RETRY_AFTER_S),
            Kind::NotHandedOver | Kind::TooFast => Some(1),
            _ => None,
        };
        Self(Box::new(Told {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            faults_omitted: 0,
            retry_after_s,
            challenge: None,
            inside: None,
        }))
    }

    /// Something of ours broke: the client learns nothing but that.
    pub fn internal(inside: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Internal, "The fault is in the log under this request's id.").inside(inside)
    }

    /// `shown`: there was a key, and it is not good.
    pub fn unauthorized(shown: bool) -> Self {
        let (detail, challenge) = if shown {
            ("The key is not known, or was revoked.", "Bearer realm=\"windlass\", error=\"invalid_token\"")
        } else {
            (
                "Send a key as `Authorization: Bearer wl_…` or `X-Api-Key`; `windlass keys create` makes one.",
                "Bearer realm=\"windlass\"",
            )
        };
        Self::new(Kind::Unauthorized, detail).challenge(challenge)
    }

    /// The key is good and has not this scope.
    pub fn forbidden(needed: Scope) -> Self {
        Self::new(Kind::Forbidden, format!("This needs a key with the scope {needed}."))
            .challenge(format!("Bearer realm=\"windlass\", error=\"insufficient_scope\", scope=\"{needed}\""))
    }

    fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.0.challenge = Some(challenge.into());
        self
    }

    pub fn faults(mut self, mut faults: Vec<Fault>) -> Self {
        self.0.faults_omitted = faults.len().saturating_sub(FAULTS_TOLD_MAX);
        faults.truncate(FAULTS_TOLD_MAX);
        self.0.faults = faults;
        self
    }

    /// For the log alone.
    pub fn inside(mut self, inside: impl Into<anyhow::Error>) -> Self {
        self.0.inside = Some(Arc::new(inside.into()));
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The outside as a JSON document.
    pub fn told(&self, request_id: &str) -> serde_json::Value {
        let told = &*self.0;
        let mut told_json = serde_json::json!({
            "type": format!("/problems/{}", told.kind.slug()),
            "title": told.kind.title(),
            "status": told.kind.status().as_u16(),
            "detail": told.detail,
            "request_id": request_id,
        });
        if !told.faults.is_empty() {
            told_json["errors"] = serde_json::json!(told.faults);
        }
        if told.faults_omitted > 0 {
            told_json["errors_omitted"] = serde_json::json!(told.faults_omitted);
        }
        told_json
    }

    /// Logs the inside, if there is one, and makes the answer. Called once for each problem, by the request
    /// layer, which knows the request's id.
    pub fn answer(&self, request_id: &str) -> Response {
        if let Some(inside) = &self.0.inside {
            let slug = self.0.kind.slug();
            let status = self.0.kind.status();
            let (code, inside) = (status.as_u16(), format!("{inside:#}"));
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(request_id, problem = slug, status = code, inside, "request failed");
            } else {
                tracing::warn!(request_id, problem = slug, status = code, inside, "request refused");
            }
        }
        let mut response = Response::new(Body::from(self.told(request_id).to_string()));
        *response.status_mut() = self.0.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.0.challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(after_s) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after_s));
        }
        response
    }
}

/// A problem travels as an extension of an empty response until the request layer, which knows the request's
/// id, writes it out.
#[derive(Clone)]
pub struct Unwritten(pub Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.kind.status().into_response();
        response.extensions_mut().insert(Unwritten(Arc::new(self)));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::new(
                Kind::CarrierAway,
                "The carrier of the queues does not answer. Whether this was done is not known: repeating it under the same \
                 id or Idempotency-Key does it once.",
            )
            .inside(error),
            StoreError::Full(_) => {
                Self::new(Kind::Full, "The carrier holds as many jobs as it may. Nothing was accepted.")
                    .inside(error)
            }
            StoreError::Invalid(why) => Self::new(Kind::Invalid, why),
            StoreError::Unreadable(_) => Self::internal(error),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(_) => {
                Self::new(Kind::LedgerAway, "The ledger does not answer. Whether this was done is not known: repeating it under the same id or Idempotency-Key does it once.").inside(error)
            }
            LedgerError::Full { .. } => {
                Self::new(Kind::Full, "The ledger holds as many jobs as it may. Nothing was accepted.")
            }
            LedgerError::Invalid(why) => Self::new(Kind::Invalid, why),
            LedgerError::CannotOpen(_) | LedgerError::Unreadable(_) | LedgerError::Sql(_) => {
                Self::internal(error)
            }
        }
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(FAULT_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inside_of_a_problem_is_not_told() {
        let problem = Problem::internal(anyhow::anyhow!("password is hunter2"));
        assert!(!problem.told("r1").to_string().contains("hunter2"));
    }

    #[test]
    fn faults_beyond_the_bound_are_counted() {
        let faults =
            (0..FAULTS_TOLD_MAX + 7).map(|n| Fault::at(format!("/{n}"), "x".repeat(1_000))).collect();
        let told = Problem::new(Kind::Invalid, "much").faults(faults).told("r1");
        assert_eq!(told["errors"].as_array().unwrap().len(), FAULTS_TOLD_MAX);
        assert_eq!(told["errors_omitted"], 7);
        assert_eq!(told["errors"][0]["message"].as_str().unwrap().chars().count(), FAULT_CHARS_MAX + 1);
    }
}
