//! What is kept of a piece of work.

use std::borrow::Cow;

use super::context::{SpanId, TraceContext};
use crate::clock::Timestamp;

/// Attributes of one span; what is set beyond is left out.
pub const ATTRIBUTES_MAX: usize = 32;
/// Bytes of one text among them; the rest is cut off.
pub const ATTRIBUTE_BYTES_MAX: usize = 256;

/// Who is on the other side of the work, as OpenTelemetry tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Nobody.
    Internal,
    /// It answers a request.
    Server,
    /// It waits for somebody's answer.
    Client,
    /// It hands a job in.
    Producer,
    /// It runs a job.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Cow<'static, str>),
    Int(i64),
    Bool(bool),
}

/// A piece of work. Times are the wall's. No personal data and no secret is ever set here: whoever sets an attribute
/// vouches for it.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    pub context: TraceContext,
    pub parent: Option<SpanId>,
    pub kind: SpanKind,
    /// Out of a small set: what differs from one piece of work to the next is an attribute.
    pub name: Cow<'static, str>,
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Each name once.
    pub attributes: Vec<(&'static str, Value)>,
    pub failed: bool,
}

impl SpanRecord {
    /// Sets an attribute, in the place of one of that name.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        let value = value.into().bounded();
        match self.attributes.iter().position(|(known, _)| *known == name) {
            Some(at) => self.attributes[at].1 = value,
            None if self.attributes.len() < ATTRIBUTES_MAX => self.attributes.push((name, value)),
            None => {}
        }
        self
    }

    /// The work failed; `class` is one of few, such as `timeout`.
    pub fn fail(&mut self, class: impl Into<Cow<'static, str>>) -> &mut Self {
        self.failed = true;
        self.set("error.type", Value::Text(class.into()))
    }

    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Value {
    fn bounded(self) -> Self {
        match self {
            Self::Text(text) if text.len() > ATTRIBUTE_BYTES_MAX => {
                let end = text.floor_char_boundary(ATTRIBUTE_BYTES_MAX);
                Self::Text(text[..end].to_owned().into())
            }
            other => other,
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}
