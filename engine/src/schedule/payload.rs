//! A payload as TOML writes it, as the JSON that a job carries.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// The TOML value as JSON; a date or time becomes its text. An error is the place and what is wrong there.
pub(super) fn json_of(value: &Spanned<DeValue<'_>>) -> Result<serde_json::Value, (Range<usize>, String)> {
    let bad = |what: &str| (value.span(), what.to_owned());
    Ok(match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_err(|_| bad("the number is too large"))?.into()
        }
        DeValue::Float(n) => n
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(serde_json::Value::Number)
            .ok_or_else(|| bad("JSON has no such number"))?,
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(items) => items.iter().map(json_of).collect::<Result<Vec<_>, _>>()?.into(),
        DeValue::Table(table) => serde_json::Value::Object(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().clone().into_owned(), json_of(value)?)))
                .collect::<Result<_, _>>()?,
        ),
    })
}
