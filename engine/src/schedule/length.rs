//! Lengths of time as people write them in a schedule: `90s`, `15m`, `1h30m`, `2d`.

use std::time::Duration;

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no length of time: write whole numbers with s, m, h or d, such as \"90s\", \"15m\" or \"1h30m\""
)]
pub struct BadLength(pub String);

/// Reads a length. Every number needs its unit; units may follow one another.
pub fn length_of(text: &str) -> Result<Duration, BadLength> {
    let bad = || BadLength(text.to_owned());
    let (mut total_s, mut rest) = (0u64, text.trim());
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let mut tail = tail.chars();
        let unit_s = match tail.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        total_s = number.checked_mul(unit_s).and_then(|s| s.checked_add(total_s)).ok_or_else(bad)?;
        rest = tail.as_str();
    }
    Ok(Duration::from_secs(total_s))
}

/// The length as [`length_of`] reads it.
pub fn written(length: Duration) -> String {
    let mut rest_s = length.as_secs();
    let mut text = String::new();
    for (unit_s, unit) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
        if rest_s >= unit_s {
            text.push_str(&format!("{}{unit}", rest_s / unit_s));
            rest_s %= unit_s;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_length_reads_back_what_it_writes(secs in 0u64..10_000_000) {
            let length = Duration::from_secs(secs);
            prop_assert_eq!(length_of(&written(length)), Ok(length));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,12}") {
            let _ = length_of(&text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in
            ["", "15", "m", "1h30", "1.5h", "-1m", "1w", "99999999999999999999s", "20000000000000000d"]
        {
            assert_eq!(length_of(text), Err(BadLength(text.to_owned())));
        }
        assert_eq!(length_of("1h30m"), Ok(Duration::from_secs(5_400)));
    }
}
