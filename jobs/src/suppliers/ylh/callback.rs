//! YLH's callbacks: is it YLH's, what does it say, what do we answer (facts: ylh.md 9, 10).
//!
//! What follows from one is decided elsewhere. The signature ignores letter case and has no nonce: whoever acts
//! on a callback matches numbers exactly and can bear a repetition.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use super::form;
use crate::outside::lenient::{maybe_text, rows as rows_field, text, whole};
use crate::outside::{Secret, same_bytes};
use crate::shop_time::{compact_beijing, parse_compact_beijing};

/// What we gave YLH. Several secrets while one takes the place of another.
#[derive(Clone, Debug)]
pub struct CallbackKeys {
    pub app_key: String,
    pub secrets: Vec<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Confirm,
    Cancel,
    OutOfStock,
}

/// A callback whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub method: Method,
    /// YLH's `TimeStamp`; a re-delivery may keep the old one.
    pub at: Option<Timestamp>,
    /// Haier's number (`SO...`); sent on success.
    pub ext_order_no: Option<String>,
    /// Our number: `soId` or `onlineNo`, which of them is not printed.
    pub platform_order_no: String,
    /// 1 done, 0 not done, 2 (cancel) in part.
    pub state: i64,
    pub fail_msg: Option<String>,
    /// Totals of each order line, never increments.
    pub items: Vec<CallbackItem>,
    /// `Data` as it was signed, to be kept.
    pub data: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct CallbackItem {
    #[serde(deserialize_with = "text")]
    pub product_code: String,
    #[serde(default, deserialize_with = "whole")]
    pub total_qty: i64,
    #[serde(default, deserialize_with = "whole")]
    pub receive_qty: i64,
    #[serde(default, deserialize_with = "whole")]
    pub return_qty: i64,
    #[serde(default, deserialize_with = "whole")]
    pub reject_qty: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefused {
    #[error("the form cannot be read")]
    UnreadableForm,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("not our AppKey")]
    UnknownAppKey,
    #[error("the signature is wrong")]
    BadSignature,
    /// Rightly signed, but of a kind that we do not know.
    #[error("unknown Method")]
    UnknownMethod(String),
    /// Rightly signed, but its Data is not what the method has.
    #[error("Data cannot be read: {0}")]
    UnreadableData(String),
}

impl CallbackRefused {
    /// The error code of our answer.
    pub const fn code(&self) -> &'static str {
        match self {
            CallbackRefused::UnreadableForm | CallbackRefused::Missing(_) => "bad_request",
            CallbackRefused::UnknownAppKey | CallbackRefused::BadSignature => "bad_signature",
            CallbackRefused::UnknownMethod(_) => "unknown_method",
            CallbackRefused::UnreadableData(_) => "bad_data",
        }
    }
}

/// Checks and reads the body of a callback.
///
/// # Errors
/// Why it is not to be acted on.
pub fn verify_form(body: &[u8], keys: &CallbackKeys) -> Result<Callback, CallbackRefused> {
    verify(&form::fields(body).ok_or(CallbackRefused::UnreadableForm)?, keys)
}

/// As [`verify_form`], of the decoded fields.
///
/// # Errors
/// Why it is not to be acted on.
pub fn verify(fields: &[(String, String)], keys: &CallbackKeys) -> Result<Callback, CallbackRefused> {
    let field = |wanted: &'static str| {
        let found = fields.iter().find(|(name, value)| name == wanted && !value.trim().is_empty());
        found.map(|(_, value)| value.as_str()).ok_or(CallbackRefused::Missing(wanted))
    };
    // The name was seen in lower case too (facts: ylh.md 9).
    let sign = field("Sign").or_else(|_| field("sign")).map_err(|_| CallbackRefused::Missing("Sign"))?;
    if !same_bytes(field("AppKey")?.as_bytes(), keys.app_key.as_bytes()) {
        return Err(CallbackRefused::UnknownAppKey);
    }
    let given = sign.trim().to_ascii_uppercase();
    // All secrets are tried, so that the time does not tell which one was right.
    let matches = keys.secrets.iter().filter(|secret| !secret.is_empty()).fold(false, |any, secret| {
        same_bytes(signature(fields, secret.expose()).as_bytes(), given.as_bytes()) | any
    });
    if !matches {
        return Err(CallbackRefused::BadSignature);
    }
    read(field("Method")?, field("TimeStamp")?, field("Data")?)
}

/// The signature over all fields but the signature itself.
fn signature(fields: &[(String, String)], secret: &str) -> String {
    let mut signed: Vec<&(String, String)> = fields
        .iter()
        .filter(|(name, value)| !name.eq_ignore_ascii_case("sign") && !value.trim().is_empty())
        .collect();
    signed.sort_by(|left, right| left.0.cmp(&right.0));
    let middle: String = signed.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    let text = format!("{secret}{middle}{secret}").to_lowercase();
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect()
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "ExtOrderNo", default, deserialize_with = "maybe_text")]
    ext_order_no: Option<String>,
    #[serde(rename = "PlatformOrderNo", deserialize_with = "text")]
    platform_order_no: String,
    #[serde(rename = "State", deserialize_with = "whole")]
    state: i64,
    #[serde(rename = "FailMsg", alias = "failMsg", default, deserialize_with = "maybe_text")]
    fail_msg: Option<String>,
    #[serde(rename = "itemList", default, deserialize_with = "rows_field")]
    items: Vec<CallbackItem>,
}

fn read(method: &str, stamp: &str, data: &str) -> Result<Callback, CallbackRefused> {
    let method = match method.trim() {
        "hmm.scm_heorder.confirm" => Method::Confirm,
        "hmm.scm_heorder.cancel" => Method::Cancel,
        "hmm.scm_heorder.oostock" => Method::OutOfStock,
        other => return Err(CallbackRefused::UnknownMethod(other.chars().take(64).collect())),
    };
    let unreadable = |reason: String| CallbackRefused::UnreadableData(reason);
    let parsed: Data = serde_json::from_str(data).map_err(|error| unreadable(error.to_string()))?;
    if parsed.platform_order_no.is_empty() {
        return Err(unreadable("PlatformOrderNo is empty".to_owned()));
    }
    let negative = |item: &CallbackItem| {
        [item.total_qty, item.receive_qty, item.return_qty, item.reject_qty]
            .iter()
            .any(|quantity| *quantity < 0)
    };
    if parsed.items.iter().any(negative) {
        return Err(unreadable("a quantity is negative".to_owned()));
    }
    Ok(Callback {
        method,
        at: parse_compact_beijing(stamp),
        ext_order_no: parsed.ext_order_no,
        platform_order_no: parsed.platform_order_no,
        state: parsed.state,
        fail_msg: parsed.fail_msg,
        items: parsed.items,
        data: data.to_owned(),
    })
}

/// The JSON that YLH expects back, always with HTTP 200 (facts: ylh.md 9).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallbackAnswer {
    success: bool,
    code: String,
    description: String,
    time_stamp: String,
    data: AnswerData,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerData {
    status_code: u16,
    message: String,
    platform_order_no: String,
}

impl CallbackAnswer {
    /// We have it; what it asks for is done later.
    pub fn taken(platform_order_no: &str, now: Timestamp) -> Self {
        Self::new(true, "success", "成功", 200, platform_order_no, now)
    }

    /// We do not take it: a wrong signature, or an order that we do not know.
    pub fn refused(code: &str, description: &str, platform_order_no: &str, now: Timestamp) -> Self {
        Self::new(false, code, description, 400, platform_order_no, now)
    }

    fn new(
        success: bool,
        code: &str,
        description: &str,
        status_code: u16,
        number: &str,
        now: Timestamp,
    ) -> Self {
        let message = description.to_owned();
        Self {
            success,
            code: code.to_owned(),
            description: description.to_owned(),
            time_stamp: compact_beijing(now),
            data: AnswerData { status_code, message, platform_order_no: number.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"ExtOrderNo":"SO.1","PlatformOrderNo":"P1","State":1}"#;
    const SIGN: &str = "0876BEDCE9C7EBB49F47844583AC1E05";

    fn keys() -> CallbackKeys {
        CallbackKeys { app_key: "APPKEY1".into(), secrets: vec!["old".into(), "secret1".into()] }
    }

    fn fields(data: &str, sign: &str) -> Vec<(String, String)> {
        let method = "hmm.scm_heorder.confirm";
        [
            ("AppKey", "APPKEY1"),
            ("TimeStamp", "20260101120000"),
            ("Sign", sign),
            ("Method", method),
            ("Data", data),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn signed(method: &str, data: &str) -> Vec<(String, String)> {
        let mut fields = fields(data, "");
        fields[3].1 = method.to_owned();
        fields[2].1 = signature(&fields, "secret1");
        fields
    }

    #[test]
    fn the_worked_example_of_the_sheet_is_accepted() {
        let callback = verify(&fields(DATA, SIGN), &keys()).unwrap();
        assert_eq!((callback.method, callback.state), (Method::Confirm, 1));
        assert_eq!(callback.ext_order_no.as_deref(), Some("SO.1"));
        assert_eq!(callback.at, Timestamp::parse_rfc3339("2026-01-01T12:00:00+08:00").ok());
        let mut lower = fields(DATA, &SIGN.to_lowercase());
        lower[2].0 = "sign".into();
        lower.push(("Remark".into(), "  ".into()));
        assert!(verify(&lower, &keys()).is_ok());
    }

    #[test]
    fn anything_changed_is_refused() {
        let refused = |fields: &[(String, String)]| verify(fields, &keys()).unwrap_err();
        assert_eq!(refused(&fields(&DATA.replace("P1", "P2"), SIGN)), CallbackRefused::BadSignature);
        assert_eq!(refused(&fields(&DATA.replace(",\"S", ", \"S"), SIGN)), CallbackRefused::BadSignature);
        assert_eq!(refused(&fields(DATA, "0876")), CallbackRefused::BadSignature);
        assert_eq!(refused(&fields(DATA, "")), CallbackRefused::Missing("Sign"));
        let mut extra = fields(DATA, SIGN);
        extra.push(("Extra".into(), "1".into()));
        assert_eq!(refused(&extra), CallbackRefused::BadSignature);
        let mut other = fields(DATA, SIGN);
        other[0].1 = "APPKEY2".into();
        assert_eq!(refused(&other), CallbackRefused::UnknownAppKey);
        let no_secret = CallbackKeys { app_key: "APPKEY1".into(), secrets: vec![Secret::default()] };
        let mut empty = fields(DATA, "");
        empty[2].1 = signature(&empty, "");
        assert_eq!(verify(&empty, &no_secret), Err(CallbackRefused::BadSignature));
    }

    #[test]
    fn a_cancel_is_read_in_every_form_it_comes_in() {
        let item = r#"{"productCode":"F1","totalQty":3,"receiveQty":"3","returnQty":1,"rejectQty":0}"#;
        let list =
            format!(r#"{{"PlatformOrderNo":"P1-1","State":"2","failMsg":"部分","x":1,"itemList":[{item}]}}"#);
        let nested = serde_json::to_string(&format!("[{item}]")).unwrap();
        let nested = list.replace(&format!("[{item}]"), &nested);
        for data in [list, nested] {
            let callback = verify(&signed("hmm.scm_heorder.cancel", &data), &keys()).unwrap();
            assert_eq!((callback.method, callback.state), (Method::Cancel, 2));
            assert_eq!(callback.fail_msg.as_deref(), Some("部分"));
            assert_eq!((callback.items[0].receive_qty, callback.items[0].return_qty), (3, 1));
            assert_eq!(callback.data, data);
        }
    }

    #[test]
    fn a_right_signature_on_something_else_is_told_apart() {
        let refused = |method: &str, data: &str| verify(&signed(method, data), &keys()).unwrap_err();
        assert!(matches!(refused("hmm.other", DATA), CallbackRefused::UnknownMethod(_)));
        assert_eq!(refused("hmm.scm_heorder.confirm", "{").code(), "bad_data");
        let negative = r#"{"PlatformOrderNo":"P","State":2,"itemList":[{"productCode":"F","returnQty":-1}]}"#;
        assert_eq!(refused("hmm.scm_heorder.cancel", negative).code(), "bad_data");
    }

    #[test]
    fn the_answer_has_the_form_that_ylh_reads() {
        let now = Timestamp::parse_rfc3339("2026-01-05T13:39:56+08:00").unwrap();
        let json = serde_json::to_value(CallbackAnswer::taken("P20260105001", now)).unwrap();
        let expected = serde_json::json!({"success":true,"code":"success","description":"成功",
            "timeStamp":"20260105133956",
            "data":{"statusCode":200,"message":"成功","platformOrderNo":"P20260105001"}});
        assert_eq!(json, expected);
    }
}
