//! The envelope around Haier's answers, which may be missing (facts: haier.md 3).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::HaierSettings;
use crate::outside::lenient::{flag, maybe_text, rows_of};
use crate::outside::{Answer, Call, Fault, OutsideError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(deserialize_with = "flag")]
    success: bool,
    #[serde(default, deserialize_with = "maybe_text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    err_code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    error_msg: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// The payload of an answer: a bare array is one, else it is the envelope's `data`.
pub(super) fn open_envelope(
    call: &Call,
    answer: &Answer,
    settings: &HaierSettings,
) -> Result<Box<RawValue>, OutsideError> {
    let raw: Box<RawValue> = answer.json(call)?;
    if raw.get().starts_with('[') {
        return Ok(raw);
    }
    let envelope: Envelope = answer.json(call)?;
    if envelope.success {
        return Ok(envelope.data.unwrap_or_else(|| RawValue::NULL.to_owned()));
    }
    let text = envelope.error_msg.unwrap_or_default();
    let holds = |list: &[String]| list.iter().any(|part| text.contains(part.as_str()));
    let code = envelope.err_code.or(envelope.code).unwrap_or_else(|| "success_false".to_owned());
    Err(if holds(&settings.credential_texts) {
        call.misconfigured(&code, &text)
    } else if holds(&settings.passing_texts) {
        call.fail(Fault::Unavailable, &text)
    } else {
        call.refused(&code, &text)
    })
}

/// The rows of a payload: a list, one object, or null for none.
pub(super) fn rows<T: DeserializeOwned>(call: &Call, data: &RawValue) -> Result<Vec<T>, OutsideError> {
    rows_of(data).map_err(|error| call.lost(&format!("unreadable rows ({error}): {}", data.get())))
}
