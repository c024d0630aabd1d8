//! What WeChat Pay's error codes mean for the caller (facts: wechat-pay.md 9).

use serde::Deserialize;
use windlass_engine::Clock;

use crate::outside::{Answer, Call, Fault, OutsideError};

/// The codes that are told apart, as the newer pages spell them.
const KNOWN: [&str; 24] = [
    "PARAM_ERROR",
    "INVALID_REQUEST",
    "APPID_MCHID_NOT_MATCH",
    "MCH_NOT_EXISTS",
    "ORDER_CLOSED",
    "ORDER_PAID",
    "NO_STATEMENT_EXIST",
    "STATEMENT_CREATING",
    "SIGN_ERROR",
    "NO_AUTH",
    "ACCOUNT_ERROR",
    "RULE_LIMIT",
    "TRADE_ERROR",
    "OUT_TRADE_NO_USED",
    "NOT_ENOUGH",
    "USER_ACCOUNT_ABNORMAL",
    "ORDER_NOT_EXIST",
    "RESOURCE_NOT_EXISTS",
    "FREQUENCY_LIMITED",
    "RATELIMIT_EXCEEDED",
    "SYSTEM_ERROR",
    "OPENID_MISMATCH",
    "BANK_ERROR",
    "USERPAYING",
];

/// A refusal in WeChat's own words.
pub(super) struct ApiError {
    status: u16,
    /// In the newer spelling where it is a known one.
    pub(super) code: String,
    message: String,
    answer: Answer,
}

#[derive(Deserialize)]
struct Wire {
    code: String,
    #[serde(default)]
    message: String,
}

impl ApiError {
    /// None when the body is not WeChat's error object (a gateway's page).
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(&answer.body).ok()?;
        let answer = answer.clone();
        Some(Self { status: answer.status, code: canonical(&wire.code), message: wire.message, answer })
    }

    /// The order or refund that was asked for is not there.
    pub(super) fn is_not_there(&self) -> bool {
        matches!(self.code.as_str(), "ORDER_NOT_EXIST" | "RESOURCE_NOT_EXISTS")
    }

    /// The class of the error. `Refused` and `Misconfigured` carry the code in its newer spelling.
    pub(super) fn class(self, call: &Call, clock: &Clock) -> OutsideError {
        let detail = format!("HTTP {} {}: {}", self.status, self.code, self.message);
        let throttled = || {
            let retry_after = self.answer.retry_after(clock);
            call.fail(Fault::Throttled { retry_after }, &detail)
        };
        match self.code.as_str() {
            "FREQUENCY_LIMITED" | "RATELIMIT_EXCEEDED" => throttled(),
            "SIGN_ERROR" | "APPID_MCHID_NOT_MATCH" | "MCH_NOT_EXISTS" => {
                call.misconfigured(&self.code, &detail)
            }
            "OPENID_MISMATCH" => call.refused(&self.code, &detail),
            "SYSTEM_ERROR" | "BANK_ERROR" => call.lost(&detail),
            _ => match self.status {
                429 => throttled(),
                500.. => call.lost(&detail),
                401 => call.misconfigured(&self.code, &detail),
                _ => call.refused(&self.code, &detail),
            },
        }
    }
}

/// The newer spelling of a code: older pages drop the underscores.
fn canonical(code: &str) -> String {
    let squashed = |text: &str| text.replace('_', "").to_ascii_uppercase();
    let wanted = squashed(code);
    KNOWN
        .iter()
        .find(|known| squashed(known) == wanted)
        .map_or_else(|| code.to_owned(), |known| (*known).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_code() {
        assert_eq!(canonical("ORDERNOTEXIST"), "ORDER_NOT_EXIST");
        assert_eq!(canonical("SYSTEMERROR"), "SYSTEM_ERROR");
        assert_eq!(canonical("NOT_ENOUGH"), "NOT_ENOUGH");
        assert_eq!(canonical("SOMETHING_NEW"), "SOMETHING_NEW");
    }
}
