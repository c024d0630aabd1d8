//! Reading fields that the outside sends in more than one form (facts: haier.md 10.3, 3; ylh.md 10).

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The text of a JSON string, number or boolean; none for null, lists and objects.
pub fn text_of(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'n' | b'[' | b'{' => None,
        _ => Some(raw.get().to_owned()),
    }
}

/// A text that may come as a number, or not at all (then empty). For `deserialize_with`.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(maybe_text(deserializer)?.unwrap_or_default())
}

/// A text that may come as a number; absent, null and blank are none.
pub fn maybe_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(text_of(&raw).filter(|text| !text.trim().is_empty()))
}

/// A whole number that may come as a text.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let decimal = crate::money::Decimal::deserialize(deserializer)?;
    decimal.to_whole().ok_or_else(|| D::Error::custom("not a whole number"))
}

/// `"1"`, `1`, `true` and `"true"` are true; everything else is false.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = text(deserializer)?;
    Ok(matches!(text.trim(), "1" | "true" | "TRUE" | "True"))
}

/// A list whose rows may be missing (null), or whose one row may come without the list.
pub fn rows<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    rows_of(&raw).map_err(D::Error::custom)
}

/// As [`rows`], of a JSON text; a text inside the text is read too.
pub fn rows_of<T: DeserializeOwned>(raw: &RawValue) -> Result<Vec<T>, serde_json::Error> {
    match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw.get()),
        Some(b'{') => Ok(vec![serde_json::from_str(raw.get())?]),
        Some(b'"') => {
            let inner: String = serde_json::from_str(raw.get())?;
            if inner.trim().is_empty() {
                return Ok(Vec::new());
            }
            let inner = RawValue::from_string(inner)?;
            // One level only: a text inside a text inside a text is nobody's form.
            if inner.get().starts_with('"') {
                return Err(serde_json::Error::custom("a list, not a text"));
            }
            rows_of(&inner)
        }
        Some(b'n') => Ok(Vec::new()),
        _ => Err(serde_json::Error::custom("neither list nor object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        #[serde(default, deserialize_with = "text")]
        name: String,
        #[serde(default, deserialize_with = "whole")]
        count: i64,
        #[serde(default, deserialize_with = "flag")]
        on: bool,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Holder {
        #[serde(default, deserialize_with = "rows")]
        rows: Vec<Row>,
    }

    #[test]
    fn each_form_of_a_field_reads_the_same() {
        let read = |text| serde_json::from_str::<Row>(text).unwrap();
        let plain = Row { name: "7".into(), count: 12, on: true };
        assert_eq!(read(r#"{"name":"7","count":12,"on":true}"#), plain);
        assert_eq!(read(r#"{"name":7,"count":"12","on":"1"}"#), plain);
        assert_eq!(read(r#"{"name":7,"count":"12.0","on":1}"#), plain);
        assert!(serde_json::from_str::<Row>(r#"{"count":"12.5"}"#).is_err());
    }

    #[test]
    fn each_form_of_a_list_reads_the_same() {
        let read = |text| serde_json::from_str::<Holder>(text).unwrap().rows.len();
        assert_eq!(read(r#"{"rows":[{"name":"a"}]}"#), 1);
        assert_eq!(read(r#"{"rows":{"name":"a"}}"#), 1);
        assert_eq!(read(r#"{"rows":"[{\"name\":\"a\"}]"}"#), 1);
        assert_eq!(read(r#"{"rows":null}"#), 0);
        assert_eq!(read(r#"{"rows":""}"#), 0);
        assert!(serde_json::from_str::<Holder>(r#"{"rows":7}"#).is_err());
    }
}
