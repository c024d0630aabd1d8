//! Reading what a client sent: bounded, in time, and with words for what is wrong with it.
//!
//! Knows JSON and sizes; what the fields mean is said elsewhere.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::problem::{Fault, Kind, Problem};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A body over its bound is read on for so long, so that the client is done sending and hears the answer.
const BODY_BYTES_DISCARDED_MAX: usize = 8 * 1024 * 1024;

/// The body's bytes, at most `bytes_max`.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, gather(body, bytes_max)).await {
        Ok(gathered) => gathered,
        Err(_) => Err(Problem::new(Kind::SlowBody, format!("It had {} s.", BODY_TIMEOUT.as_secs()))),
    }
}

async fn gather(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut gathered: Vec<u8> = Vec::new();
    let mut seen_bytes = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| {
            Problem::new(Kind::BrokenRequest, "The body broke off.").inside(anyhow::Error::from(e))
        })?;
        seen_bytes += chunk.len();
        if seen_bytes <= bytes_max {
            gathered.extend_from_slice(&chunk);
        } else if seen_bytes > BODY_BYTES_DISCARDED_MAX {
            break;
        }
    }
    if seen_bytes > bytes_max { Err(too_large(bytes_max)) } else { Ok(gathered.into()) }
}

pub fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("At most {bytes_max} bytes are taken."))
}

/// A body that says that it is JSON.
pub async fn read_json(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    must_be_json(headers)?;
    read(body, bytes_max).await
}

pub fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers) {
        Some(kind) if is_json(&kind) => Ok(()),
        Some(kind) => {
            Err(Problem::new(Kind::NotJson, format!("Send application/json, not {}.", shown(&kind))))
        }
        None => Err(Problem::new(Kind::NotJson, "Send the header Content-Type: application/json.")),
    }
}

/// The media type without its parameters, in lower case.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The fields of one JSON object, each still as it was written: so that every fault can be told, with its
/// place, and a payload keeps its own spelling.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Text that is no JSON is a broken request; JSON that is no object, or names a field twice, an invalid one.
    pub fn parse(text: &'a [u8]) -> Result<Self, Problem> {
        serde_json::from_slice(text).map_err(|e| {
            if e.is_data() {
                let fault = Fault::at("", without_place(&e));
                Problem::new(Kind::Invalid, "The body is not the object that is asked for.")
                    .faults(vec![fault])
            } else {
                broken(&e)
            }
        })
    }

    /// Whether the field was named, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The raw text of a field; `null` is as good as absent.
    pub fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let (_, raw) = self.0.swap_remove(at);
        (raw.get() != "null").then_some(raw)
    }

    /// A field as a `T`; a fault when it is there and is none.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str, faults: &mut Vec<Fault>) -> Option<T> {
        let raw = self.raw(name)?;
        serde_json::from_str(raw.get())
            .map_err(|e| faults.push(Fault::at(format!("/{name}"), without_place(&e))))
            .ok()
    }

    /// Whatever was not taken is not known.
    pub fn end(self, known: &[&str], faults: &mut Vec<Fault>) {
        for (name, _) in self.0 {
            let pointer = format!("/{}", escaped(&name));
            faults
                .push(Fault::at(pointer, format!("there is no such field; there are {}", known.join(", "))));
        }
    }
}

fn broken(e: &serde_json::Error) -> Problem {
    Problem::new(
        Kind::BrokenJson,
        format!("{} (line {}, column {}).", without_place(e), e.line(), e.column()),
    )
}

/// serde_json's message; its line and column are told apart or mean nothing inside a field.
pub fn without_place(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rfind(" at line ").map_or(text.clone(), |at| text[..at].to_owned())
}

/// A field's name as a part of a JSON pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if fields.len() == FIELDS_MAX {
                        return Err(serde::de::Error::custom("too many fields"));
                    }
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("the field {name:?} is there twice")));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Object)
    }
}

/// Fields of one object; the door knows fewer than half as many.
const FIELDS_MAX: usize = 32;

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The one name in a path.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // What is no text in UTF-8 names nothing.
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(e) => Err(Problem::new(Kind::NoSuchRoute, format!("{}.", e.body_text()))),
        }
    }
}

/// Query parameters, with a problem for those that do not fit.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|e| {
            let source = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Problem::new(Kind::Invalid, format!("The query parameters do not fit: {}.", shown(&source)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Kind {
        Fields::parse(text.as_bytes()).unwrap_err().kind()
    }

    #[test]
    fn broken_json_is_told_from_json_that_does_not_fit() {
        assert_eq!(kind_of(r#"{"kind": "#), Kind::BrokenJson);
        assert_eq!(kind_of(""), Kind::BrokenJson);
        assert_eq!(kind_of("{} x"), Kind::BrokenJson);
        assert_eq!(kind_of("[]"), Kind::Invalid);
        assert_eq!(kind_of(r#"{"kind": 1, "kind": 2}"#), Kind::Invalid);
    }

    #[test]
    fn a_broken_body_is_told_with_its_line_and_column() {
        let told = Fields::parse(b"{\n  \"kind\": x\n}").unwrap_err().told("r");
        assert_eq!(told["detail"], "expected value (line 2, column 11).");
    }

    #[test]
    fn every_field_is_taken_once_and_the_rest_is_a_fault() {
        let mut fields = Fields::parse(br#"{"a": 1, "b": null, "c~/": 3, "d": "x"}"#).unwrap();
        let mut faults = Vec::new();
        assert_eq!(fields.take::<u8>("a", &mut faults), Some(1));
        assert_eq!(fields.take::<u8>("b", &mut faults), None);
        assert_eq!(fields.take::<u8>("d", &mut faults), None);
        fields.end(&["a", "b", "d"], &mut faults);
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_deref().unwrap()).collect();
        assert_eq!(pointers, ["/d", "/c~0~1"]);
    }
}
