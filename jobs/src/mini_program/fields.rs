//! What fits into the fields of a subscribe message (facts: wechat-mini-program.md 2).
//!
//! Lengths are counted in characters. Cutting is done here, before sending: what does not fit is refused as a
//! whole by WeChat.

/// A field's type: the key without its number (`thing2` is a `thing`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Thing,
    Number,
    Letter,
    Symbol,
    CharacterString,
    Time,
    Date,
    Amount,
    PhoneNumber,
    CarNumber,
    Name,
    Phrase,
    /// One of a template's listed values, which only the template knows.
    Enum,
}

/// Why a value does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct FieldFlaw {
    pub key: String,
    pub reason: &'static str,
}

const AMOUNT_DIGITS_MAX: usize = 10;

impl FieldKind {
    pub fn of_key(key: &str) -> Option<Self> {
        Some(match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "thing" => FieldKind::Thing,
            "number" => FieldKind::Number,
            "letter" => FieldKind::Letter,
            "symbol" => FieldKind::Symbol,
            "character_string" => FieldKind::CharacterString,
            "time" => FieldKind::Time,
            "date" => FieldKind::Date,
            "amount" => FieldKind::Amount,
            "phone_number" => FieldKind::PhoneNumber,
            "car_number" => FieldKind::CarNumber,
            "name" => FieldKind::Name,
            "phrase" => FieldKind::Phrase,
            "enum" => FieldKind::Enum,
            _ => return None,
        })
    }

    /// Most characters of a value; none where the sheet names no number.
    fn chars_max(self, text: &str) -> Option<usize> {
        Some(match self {
            FieldKind::Thing => 20,
            FieldKind::Number | FieldKind::Letter | FieldKind::CharacterString => 32,
            FieldKind::Symbol | FieldKind::Phrase => 5,
            FieldKind::PhoneNumber => 17,
            FieldKind::CarNumber => 8,
            FieldKind::Name if text.is_ascii() => 20,
            FieldKind::Name => 10,
            FieldKind::Time | FieldKind::Date | FieldKind::Amount | FieldKind::Enum => return None,
        })
    }

    fn takes(self, c: char) -> bool {
        match self {
            FieldKind::Number => c.is_ascii_digit() || matches!(c, '.' | '-'),
            FieldKind::Letter => c.is_ascii_alphabetic(),
            FieldKind::Symbol => !c.is_alphanumeric() && !c.is_whitespace(),
            FieldKind::CharacterString => c.is_ascii_graphic() || c == ' ',
            FieldKind::PhoneNumber => c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '*' | '(' | ')'),
            FieldKind::Phrase => !c.is_ascii() && c.is_alphanumeric(),
            _ => !c.is_control(),
        }
    }
}

/// `text` made to fit: what the field does not take is left out, and it is cut by characters. A value that
/// cutting would change in meaning (amount, time, number, phone) is not cut; [`check`] refuses it.
pub fn fit(kind: FieldKind, text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match kind {
        FieldKind::Thing
        | FieldKind::Name
        | FieldKind::Phrase
        | FieldKind::CharacterString
        | FieldKind::Letter => {
            let taken: String = text.trim().chars().filter(|c| kind.takes(*c)).collect();
            let chars_max = kind.chars_max(&taken).unwrap_or(usize::MAX);
            taken.chars().take(chars_max).collect::<String>().trim_end().to_owned()
        }
        _ => text.trim().to_owned(),
    }
}

/// Whether WeChat will take `value` in the field `key`.
///
/// # Errors
/// What is wrong with it.
pub fn check(key: &str, value: &str) -> Result<(), FieldFlaw> {
    let flaw = |reason| FieldFlaw { key: key.to_owned(), reason };
    let kind = FieldKind::of_key(key).ok_or_else(|| flaw("is no field type"))?;
    if value.trim().is_empty() {
        return Err(flaw("is empty"));
    }
    if kind.chars_max(value).is_some_and(|chars_max| value.chars().count() > chars_max) {
        return Err(flaw("is too long"));
    }
    if !value.chars().all(|c| kind.takes(c)) {
        return Err(flaw("holds a character that the field does not take"));
    }
    if kind == FieldKind::Amount && !is_amount(value) {
        return Err(flaw("is not an amount"));
    }
    if matches!(kind, FieldKind::Time | FieldKind::Date) && !value.contains(|c: char| c.is_ascii_digit()) {
        return Err(flaw("is not a time"));
    }
    Ok(())
}

/// One currency sign, up to ten digits with decimals, and maybe `元` (facts: `¥29.90`).
fn is_amount(value: &str) -> bool {
    let value = value.strip_suffix('元').unwrap_or(value);
    let signs = ['¥', '￥', '$', '€', '£'];
    let number = value.strip_prefix(signs).unwrap_or(value);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals) && whole.len() <= AMOUNT_DIGITS_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cutting_counts_characters_and_not_bytes() {
        let long = "海尔冰箱".repeat(6);
        assert_eq!(fit(FieldKind::Thing, &long).chars().count(), 20);
        assert_eq!(fit(FieldKind::Phrase, "已发货，请注意查收"), "已发货请注");
        assert_eq!(fit(FieldKind::CharacterString, "单号T2026"), "T2026");
        assert_eq!(fit(FieldKind::Name, "Ann 张三丰张三丰张三丰"), "Ann 张三丰张三丰");
        assert_eq!(fit(FieldKind::Thing, " a\nb "), "a b");
    }

    #[test]
    fn what_wechat_would_refuse_is_refused_here() {
        for (key, good) in [
            ("thing2", "测试冰箱"),
            ("amount3", "¥1999.98"),
            ("amount3", "1999元"),
            ("time4", "2026年1月5日 10:00"),
            ("character_string1", "T20260105000001"),
            ("phone_number1", "+86-13000000000"),
            ("phrase1", "配送中"),
        ] {
            assert_eq!(check(key, good), Ok(()), "{key}={good}");
        }
        for (key, bad) in [
            ("thing1", " "),
            ("thing1", "一二三四五六七八九十一二三四五六七八九十一"),
            ("amount3", "¥12345678901"),
            ("amount3", "about 5"),
            ("character_string1", "订单"),
            ("phrase1", "abc"),
            ("time1", "soon"),
            ("things", "x"),
        ] {
            assert!(check(key, bad).is_err(), "{key}={bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_made_to_fit_fits_or_is_empty(text in "\\PC{0,60}") {
            for key in ["thing1", "name1", "phrase1", "character_string1", "letter1"] {
                let fitted = fit(FieldKind::of_key(key).unwrap(), &text);
                prop_assert!(fitted.trim().is_empty() || check(key, &fitted).is_ok(), "{}={}", key, fitted);
            }
        }
    }
}
