//! Reading what scripts answer.

use redis::Value;

use super::link::unexpected;
use crate::clock::Timestamp;
use crate::store::StoreError;

/// One answer, read piece by piece. `what` names the script in the error that a wrong form gives.
pub(super) struct Reply {
    what: &'static str,
}

impl Reply {
    pub const fn of(what: &'static str) -> Self {
        Self { what }
    }

    pub fn wrong(&self) -> StoreError {
        unexpected(self.what)
    }

    pub fn numbers(&self, value: Value) -> Result<Vec<u64>, StoreError> {
        self.list(value)?.iter().map(|number| self.number(number)).collect()
    }

    pub fn list(&self, value: Value) -> Result<Vec<Value>, StoreError> {
        match value {
            Value::Array(items) => Ok(items),
            // What Lua returns as an empty or missing table.
            Value::Nil => Ok(Vec::new()),
            _ => Err(self.wrong()),
        }
    }

    pub fn text(&self, value: Value) -> Result<String, StoreError> {
        self.maybe_text(value)?.ok_or_else(|| self.wrong())
    }

    /// None for `false`.
    pub fn maybe_text(&self, value: Value) -> Result<Option<String>, StoreError> {
        match value {
            Value::BulkString(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| self.wrong()),
            Value::SimpleString(text) => Ok(Some(text)),
            Value::Int(n) => Ok(Some(n.to_string())),
            Value::Nil => Ok(None),
            _ => Err(self.wrong()),
        }
    }

    pub fn number(&self, value: &Value) -> Result<u64, StoreError> {
        let read = match value {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
            Value::Nil => Some(0),
            _ => None,
        };
        read.ok_or_else(|| self.wrong())
    }

    /// From microseconds, which may come with a fraction's point as a score does.
    pub fn time(&self, text: &str) -> Result<Timestamp, StoreError> {
        let micros =
            text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().map(|micros| micros as i64));
        micros.map(Timestamp::from_micros).ok_or_else(|| self.wrong())
    }

    /// Field and value in turns.
    pub fn pairs(&self, value: Value) -> Result<Vec<(String, String)>, StoreError> {
        let mut items = self.list(value)?.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let (Some(field), Some(value)) = (items.next(), items.next()) {
            pairs.push((self.text(field)?, self.text(value)?));
        }
        Ok(pairs)
    }
}
