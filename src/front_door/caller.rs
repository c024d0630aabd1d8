//! Who calls, and whether they may.
//!
//! Every address under `/v1` needs a scope, which follows from its method and path: what is not named here needs
//! `admin`, so that a new address is never open by mistake. The rest has no key, and why:
//!
//! - callbacks come from outside systems that have none to show; what they send is believed by its signature;
//! - `/livez`, `/readyz` and `/metrics`, and their older names, are for monitors and tell no job, no order and no secret. Metrics may be moved
//!   to a port of their own (`WINDLASS_METRICS_LISTEN`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use windlass_jobs::ledger::api_keys::ApiKey;
use windlass_jobs::outside::Secret;

use super::Door;
use super::problem::{Kind, Problem};
use crate::access::{Keyring, Refusal, Scope};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who may call.
#[derive(Clone, Default)]
pub enum Access {
    /// Everybody who reaches the port.
    #[default]
    Open,
    /// Whoever has this key, made for one process that talks to itself.
    Only(Secret),
    /// Whoever has a key of the ledger.
    Keys(Arc<Keyring>),
}

/// Whoever sent a request that was let in.
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<Arc<ApiKey>>);

impl Caller {
    /// None: nobody needs a key here.
    pub fn id(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.id.as_str())
    }

    /// As people read it in the audit log.
    pub fn who(&self) -> String {
        self.0.as_ref().map_or_else(|| "api".to_owned(), |key| format!("{} ({})", key.name, key.id))
    }

    /// Whether the caller may hand in jobs of the kind.
    ///
    /// # Errors
    /// The refusal.
    pub fn must_hand_in(&self, kind: &str) -> Result<(), Problem> {
        let kinds = self.0.as_ref().and_then(|key| key.kinds.as_ref());
        match kinds {
            Some(kinds) if !kinds.iter().any(|allowed| allowed == kind) => {
                let detail = format!("This key hands in jobs of the kinds {} only.", kinds.join(", "));
                Err(Problem::new(Kind::Forbidden, detail))
            }
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Lets a request through whose caller has the scope that it needs.
pub async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let needed = needed(request.method(), route);
    let caller = caller(&door.access, request.headers()).await?;
    if let Some(key) = &caller.0
        && !needed.is_opened_by(&key.scopes)
    {
        return Err(Problem::forbidden(needed));
    }
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // For the line that the request layer writes.
    response.extensions_mut().insert(caller);
    Ok(response)
}

/// The scope that an address needs.
pub(super) fn needed(method: &Method, route: &str) -> Scope {
    match (method, route) {
        (&Method::GET | &Method::HEAD, _) => Scope::JobsRead,
        (&Method::POST, "/v1/jobs" | "/v1/jobs/batch" | "/v1/reconciliations") => Scope::JobsWrite,
        _ => Scope::Admin,
    }
}

async fn caller(access: &Access, headers: &HeaderMap) -> Result<Caller, Problem> {
    let shown = shown(headers);
    match access {
        Access::Open => Ok(Caller::default()),
        Access::Only(key) => {
            let same = shown.is_some_and(|shown| is_same(shown, key.expose()));
            if same { Ok(Caller::default()) } else { Err(Problem::unauthorized(shown.is_some())) }
        }
        Access::Keys(ring) => match ring.let_in(shown).await {
            Ok(key) => Ok(Caller(key)),
            Err(Refusal::NoKey) => Err(Problem::unauthorized(false)),
            Err(Refusal::BadKey) => Err(Problem::unauthorized(true)),
            Err(Refusal::Away(error)) => Err(error.into()),
        },
    }
}

/// The key that a request shows. A header of another scheme may be a proxy's own.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| headers.get(&X_API_KEY)?.to_str().ok().map(str::trim))
}

/// In a time that does not tell where the two differ.
fn is_same(a: &str, b: &str) -> bool {
    let differing = a.bytes().zip(b.bytes()).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_needs_the_highest_scope() {
        assert_eq!(needed(&Method::GET, "/v1/orders/{no}"), Scope::JobsRead);
        assert_eq!(needed(&Method::POST, "/v1/jobs"), Scope::JobsWrite);
        assert_eq!(needed(&Method::POST, "/v1/reconciliations"), Scope::JobsWrite);
        assert_eq!(needed(&Method::POST, "/v1/findings/{id}/resolve"), Scope::Admin);
        assert_eq!(needed(&Method::POST, "/v1/jobs/{id}/cancel"), Scope::Admin);
        assert_eq!(needed(&Method::DELETE, "/v1/jobs/{id}"), Scope::Admin);
        assert_eq!(needed(&Method::PATCH, "/v1/anything/new"), Scope::Admin);
    }

    #[test]
    fn a_key_is_shown_in_either_header() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert_eq!(shown(&headers("authorization", "bearer wl_a_b")), Some("wl_a_b"));
        assert_eq!(shown(&headers("x-api-key", "wl_a_b")), Some("wl_a_b"));
        assert_eq!(shown(&headers("authorization", "Basic dXNlcjpwYXNz")), None);
    }
}
