//! Amounts as a bill writes them: decimals in text, read digit by digit into whole units. No float is met.

use std::fmt::Write as _;

/// Behind the point of an amount in yuan: fen.
pub const FEN: usize = 2;
/// Behind the point of a fee in yuan: 1/100000 yuan.
pub const E5: usize = 5;
/// Behind the point of a rate in percent: `0.60%` is 600, in 1/100000.
pub const PERCENT_E5: usize = 3;
/// Of a count; WeChat prints some as `20.0`.
pub const COUNT: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("is empty")]
    Empty,
    #[error("is no decimal number")]
    NotDecimal,
    #[error("has more decimals than it may")]
    TooFine,
    #[error("does not fit")]
    TooLarge,
}

/// The text as a whole number of units of `10^-decimals`. Zeros behind the last decimal are ignored.
pub fn fixed(text: &str, decimals: usize) -> Result<i64, AmountError> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first() {
        None => return Err(AmountError::Empty),
        Some(b'-') => (true, &text[1..]),
        Some(_) => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(AmountError::NotDecimal);
    }
    let mut units = 0_i64;
    let mut take = |byte: u8| {
        if !byte.is_ascii_digit() {
            return Err(AmountError::NotDecimal);
        }
        let digit = i64::from(byte - b'0');
        units =
            units.checked_mul(10).and_then(|units| units.checked_add(digit)).ok_or(AmountError::TooLarge)?;
        Ok(())
    };
    whole.bytes().try_for_each(&mut take)?;
    let (kept, beyond) = fraction.as_bytes().split_at(fraction.len().min(decimals));
    kept.iter().copied().try_for_each(&mut take)?;
    (kept.len()..decimals).try_for_each(|_| take(b'0'))?;
    for byte in beyond {
        match byte {
            b'0' => {}
            b'1'..=b'9' => return Err(AmountError::TooFine),
            _ => return Err(AmountError::NotDecimal),
        }
    }
    Ok(if negative { -units } else { units })
}

/// The number of units of `10^-decimals` as a bill would print it.
pub fn shown(units: i128, decimals: usize) -> String {
    let mut text = if units < 0 { "-".to_owned() } else { String::new() };
    let (size, unit) = (units.unsigned_abs(), 10_u128.pow(u32::try_from(decimals).unwrap_or(0)));
    let _ = write!(text, "{}", size / unit);
    if decimals > 0 {
        let _ = write!(text, ".{:0decimals$}", size % unit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        assert_eq!(fixed("1999.98", FEN), Ok(199_998));
        assert_eq!(fixed("-0.02000", E5), Ok(-2_000));
        assert_eq!(fixed("0", E5), Ok(0));
        assert_eq!(fixed("0.0", FEN), Ok(0));
        assert_eq!(fixed("0.60", PERCENT_E5), Ok(600));
        assert_eq!(fixed("20.0", COUNT), Ok(20));
        assert_eq!(fixed(".5", FEN), Ok(50));
        assert_eq!(fixed("92233720368547758.07", FEN), Ok(i64::MAX));
        assert_eq!(fixed("92233720368547758.08", FEN), Err(AmountError::TooLarge));
        assert_eq!(fixed("0.001", FEN), Err(AmountError::TooFine));
        assert_eq!(fixed("", FEN), Err(AmountError::Empty));
        for bad in ["-", ".", "1,5", "1.2.3", "1e3", "+1", "NaN", "１", "--1", "1.0x", "0x1"] {
            assert_eq!(fixed(bad, FEN), Err(AmountError::NotDecimal), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(units in any::<i64>(), decimals in 0_usize..6) {
            prop_assume!(units != i64::MIN);
            prop_assert_eq!(fixed(&shown(units.into(), decimals), decimals), Ok(units));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", decimals in 0_usize..6) {
            let _ = fixed(&text, decimals);
        }
    }
}
