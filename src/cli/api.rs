//! The command line as a client of the HTTP API.

use anyhow::{Context, anyhow};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use windlass_jobs::outside::Secret;

/// A front door that answers.
pub struct Api {
    base: String,
    key: Option<Secret>,
    http: Client,
}

/// The API's answer to a call that it refused, or a call that never got an answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{}", words(.problem))]
    Refused { status: StatusCode, problem: Value },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Api {
    pub fn new(base: impl Into<String>) -> anyhow::Result<Self> {
        // A server of ours is near: the proxy that the environment names for the outside does not know it.
        let http = Client::builder()
            .no_proxy()
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .context("the HTTP client cannot be built")?;
        Ok(Self { base: base.into().trim_end_matches('/').to_owned(), key: None, http })
    }

    /// Shows the key with every call.
    pub fn with_key(self, key: Option<Secret>) -> Self {
        Self { key, ..self }
    }

    /// Whether a Windlass answers there.
    pub async fn is_up(&self) -> bool {
        let answer = self.http.get(format!("{}/livez", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, ApiError> {
        let call = self.http.get(self.url(path)).query(query);
        self.send(call, path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let call = self.http.request(Method::POST, self.url(path)).json(body);
        self.send(call, path).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let call = self.http.request(Method::PATCH, self.url(path)).json(body);
        self.send(call, path).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        let call = self.http.request(Method::DELETE, self.url(path));
        self.send(call, path).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, call: reqwest::RequestBuilder, path: &str) -> Result<Value, ApiError> {
        let call = match &self.key {
            Some(key) => call.bearer_auth(key.expose()),
            None => call,
        };
        let answer = call.send().await.with_context(|| format!("no answer from {}{path}", self.base))?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| format!("the answer of {path} broke off"))?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match json {
            _ if status.is_success() && body.is_empty() => Ok(Value::Null),
            Some(json) if status.is_success() => Ok(json),
            Some(problem) => Err(ApiError::Refused { status, problem }),
            None => Err(anyhow!("{path} answered {status} with something that is not JSON").into()),
        }
    }
}

/// Text as one segment of a path: an id may hold a slash.
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let encoded = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

/// A problem document in words.
fn words(problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut words = match (text("title"), text("detail")) {
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        words.push_str(&format!("\n  {}: {}", part("pointer"), part("message")));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_its_path() {
        assert_eq!(segment("order:7"), "order:7");
        assert_eq!(segment("2026/11/a b?#é"), "2026%2F11%2Fa%20b%3F%23%C3%A9");
    }

    #[test]
    fn a_problem_reads_as_a_sentence_with_its_pointers() {
        let problem = json!({
            "title": "The payload does not fit", "detail": "2 faults",
            "errors": [{"pointer": "/ms", "message": "is missing"}],
        });
        assert_eq!(words(&problem), "The payload does not fit: 2 faults\n  /ms: is missing");
    }
}
