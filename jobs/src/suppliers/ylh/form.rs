//! Reading `application/x-www-form-urlencoded`, within bounds.

/// Longest callback body.
pub const FORM_BYTES_MAX: usize = 256 * 1024;
pub const FORM_FIELDS_MAX: usize = 64;

/// The fields in their order; none when a bound is passed or a value is not UTF-8.
pub(super) fn fields(body: &[u8]) -> Option<Vec<(String, String)>> {
    if body.len() > FORM_BYTES_MAX {
        return None;
    }
    let mut fields = Vec::new();
    for part in body.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        if fields.len() == FORM_FIELDS_MAX {
            return None;
        }
        let equals = part.iter().position(|byte| *byte == b'=');
        let (name, value) = equals.map_or((part, &b""[..]), |at| (&part[..at], &part[at + 1..]));
        fields.push((decode(name)?, decode(value)?));
    }
    Some(fields)
}

/// `+` is a space, `%xx` a byte; a `%` that no two hex digits follow stands for itself.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'+', tail) => (b' ', tail),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high * 16 + low, after),
                _ => (b'%', tail),
            },
            (other, tail) => (*other, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let read =
            fields("AppKey=A%26B&Data=%7B%22a%22%3A+1%7D&Empty=&Bare&%E4%B8%AD=100%".as_bytes()).unwrap();
        let expected =
            [("AppKey", "A&B"), ("Data", r#"{"a": 1}"#), ("Empty", ""), ("Bare", ""), ("中", "100%")];
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_out_of_bounds_is_not_read() {
        assert!(fields(&vec![b'a'; FORM_BYTES_MAX + 1]).is_none());
        assert!(fields("a=1&".repeat(FORM_FIELDS_MAX + 1).as_bytes()).is_none());
        assert!(fields(b"a=%ff").is_none());
    }

    proptest! {
        #[test]
        fn any_value_survives_its_encoding(value in "\\PC{0,40}") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let read = fields(format!("v={encoded}").as_bytes()).unwrap();
            prop_assert_eq!(&read[0].1, &value);
        }
    }
}
