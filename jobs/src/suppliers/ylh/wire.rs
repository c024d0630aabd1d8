//! The envelope around YLH's answers (facts: ylh.md 3).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::outside::lenient::{maybe_text, rows_of};
use crate::outside::{Call, OutsideError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    #[serde(default)]
    success: Option<bool>,
    #[serde(default, deserialize_with = "maybe_text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    err_code: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    error_msg: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl Envelope {
    pub(super) fn is_refusal(&self) -> bool {
        self.success == Some(false)
    }

    pub(super) fn holds(&self, text: &str) -> bool {
        [&self.err_code, &self.error_msg].into_iter().flatten().any(|field| field.contains(text))
    }

    /// The data of an accepted call. `success` without `data:true` is no answer that can be acted on.
    pub(super) fn accepted(self, call: &Call) -> Result<Option<Box<RawValue>>, OutsideError> {
        match (self.success, &self.data) {
            (Some(false), _) => Err(self.refusal(call)),
            (Some(true), Some(data)) if data.get() == "false" => {
                Err(call.doubtful("success:true with data:false"))
            }
            (Some(true), _) => Ok(self.data),
            (None, _) => Err(call.doubtful("an answer without success")),
        }
    }

    /// The rows of a read.
    pub(super) fn rows<T: DeserializeOwned>(self, call: &Call) -> Result<Vec<T>, OutsideError> {
        let Some(data) = self.accepted(call)? else { return Ok(Vec::new()) };
        rows_of(&data).map_err(|error| call.lost(&format!("unreadable rows ({error}): {}", data.get())))
    }

    fn refusal(self, call: &Call) -> OutsideError {
        let code = self.err_code.or(self.code).unwrap_or_else(|| "success_false".to_owned());
        call.refused(&code, &self.error_msg.unwrap_or_default())
    }
}
