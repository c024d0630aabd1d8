//! One request to a simulated system, taken in whole before anything is decided about it.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};

use crate::answer::On;
use crate::wire::Shears;

/// `S`: what its system keeps.
pub(crate) struct Call<S> {
    pub(crate) to: S,
    pub(crate) on: Shears,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<S: Clone + Send + Sync> FromRequest<S> for Call<S> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let ConnectInfo(on) =
            On::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let (method, uri, headers) = (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
        let body = Bytes::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self { to: state.clone(), on, method, uri, headers, body })
    }
}
