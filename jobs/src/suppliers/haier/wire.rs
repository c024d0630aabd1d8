//! The envelope around Haier's answers, which may be missing (facts: haier.md 3).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::HaierSettings;
use crate::outside::lenient::{flag, maybe_text, rows_of};
use crate::outside::{Answer, Call, Fault, OutsideError};

/// Bytes of an unreadable row that are told.
const ROW_SHOWN_BYTES_MAX: usize = 200;

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

/// As [`rows`], row by row: those that can be read, and what is wrong with the others.
pub(super) fn each_row<T: DeserializeOwned>(
    call: &Call,
    data: &RawValue,
) -> Result<(Vec<T>, Vec<String>), OutsideError> {
    let raw: Vec<Box<RawValue>> = rows(call, data)?;
    let (mut good, mut flaws) = (Vec::with_capacity(raw.len()), Vec::new());
    for row in raw {
        match serde_json::from_str(row.get()) {
            Ok(row) => good.push(row),
            Err(error) => flaws.push(flaw(&error.to_string(), row.get())),
        }
    }
    if good.is_empty()
        && let Some(first) = flaws.first()
    {
        return Err(call.lost(&format!("no row can be read: {first}")));
    }
    Ok((good, flaws))
}

/// What is wrong with a row, and how it begins.
fn flaw(what: &str, row: &str) -> String {
    format!("{what}: {}", &row[..row.floor_char_boundary(ROW_SHOWN_BYTES_MAX)])
}
