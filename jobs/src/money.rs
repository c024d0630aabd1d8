//! Money: whole fen, and the decimals in which the outside writes yuan and rates.
//!
//! Nothing here ever passes through a float: a decimal is read from its text, digit by digit.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Most digits behind the point that a [`Decimal`] keeps.
pub const SCALE_MAX: u32 = 12;
/// Most digits in all; what is longer is no amount of a shop's.
const DIGITS_MAX: usize = 30;
const DECIMAL_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("not a decimal number")]
    NotDecimal,
    #[error("more decimals than fen can hold")]
    NotWholeFen,
    #[error("amount out of range")]
    OutOfRange,
}

/// An amount in fen (1/100 yuan). Serialised as an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fen(pub i64);

impl Fen {
    pub const ZERO: Fen = Fen(0);

    pub const fn get(self) -> i64 {
        self.0
    }

    pub fn checked_add(self, other: Fen) -> Option<Fen> {
        self.0.checked_add(other.0).map(Fen)
    }

    pub fn checked_sub(self, other: Fen) -> Option<Fen> {
        self.0.checked_sub(other.0).map(Fen)
    }

    pub fn checked_mul(self, times: i64) -> Option<Fen> {
        self.0.checked_mul(times).map(Fen)
    }

    /// The sum, or none when it does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Fen>) -> Option<Fen> {
        amounts.into_iter().try_fold(Fen::ZERO, Fen::checked_add)
    }

    /// From a text in yuan such as `1999.98`. A digit other than 0 behind the fen is an error.
    pub fn parse_yuan(text: &str) -> Result<Fen, MoneyError> {
        text.parse::<Decimal>()?.to_fen()
    }

    /// As [`Fen::parse_yuan`], but a fraction of a fen is rounded half up (away from zero).
    pub fn parse_yuan_rounded(text: &str) -> Result<Fen, MoneyError> {
        text.parse::<Decimal>()?.to_fen_half_up()
    }
}

/// Yuan with two decimals: `1999.98`.
impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let fen = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", fen / 100, fen % 100)
    }
}

/// An amount written as a JSON number of yuan with two decimals. Only for `serde_json`'s own writer:
/// it hands over the text as it is, so that no float comes between.
#[derive(Clone, Copy, Debug)]
pub struct YuanNumber(pub Fen);

impl Serialize for YuanNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A decimal as the outside writes it: `unscaled / 10^scale`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    unscaled: i128,
    scale: u32,
}

impl Decimal {
    pub const fn new(unscaled: i128, scale: u32) -> Self {
        assert!(scale <= SCALE_MAX, "a decimal's scale is bounded");
        Self { unscaled, scale }
    }

    /// As an amount of yuan, exactly.
    pub fn to_fen(self) -> Result<Fen, MoneyError> {
        let (whole, rest) = self.in_hundredths()?;
        if rest != 0 { Err(MoneyError::NotWholeFen) } else { narrow(whole) }
    }

    /// As an amount of yuan; a fraction of a fen is rounded half up (away from zero).
    pub fn to_fen_half_up(self) -> Result<Fen, MoneyError> {
        let (whole, rest) = self.in_hundredths()?;
        let unit = 10_i128.pow(self.scale.saturating_sub(2));
        narrow(if rest.abs() * 2 >= unit && rest != 0 { whole + rest.signum() } else { whole })
    }

    /// As a whole number, or none when there is a fraction or it does not fit.
    pub fn to_whole(self) -> Option<i64> {
        let unit = 10_i128.pow(self.scale);
        if self.unscaled % unit == 0 { i64::try_from(self.unscaled / unit).ok() } else { None }
    }

    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let left = self.unscaled.checked_mul(10_i128.pow(scale - self.scale))?;
        let right = other.unscaled.checked_mul(10_i128.pow(scale - other.scale))?;
        Some(Decimal { unscaled: left.checked_sub(right)?, scale })
    }

    /// The product, cut to [`SCALE_MAX`] decimals.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let unscaled = self.unscaled.checked_mul(other.unscaled)?;
        let scale = self.scale + other.scale;
        let excess = scale.saturating_sub(SCALE_MAX);
        Some(Decimal { unscaled: unscaled / 10_i128.pow(excess), scale: scale - excess })
    }

    fn in_hundredths(self) -> Result<(i128, i128), MoneyError> {
        if self.scale <= 2 {
            let whole = self.unscaled.checked_mul(10_i128.pow(2 - self.scale));
            return whole.map(|whole| (whole, 0)).ok_or(MoneyError::OutOfRange);
        }
        let unit = 10_i128.pow(self.scale - 2);
        Ok((self.unscaled / unit, self.unscaled % unit))
    }
}

fn narrow(fen: i128) -> Result<Fen, MoneyError> {
    i64::try_from(fen).map(Fen).map_err(|_| MoneyError::OutOfRange)
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.checked_sub(*other).is_some_and(|difference| difference.unscaled == 0)
    }
}

/// As it was read, without an exponent: `0.05`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, digits) = (if self.unscaled < 0 { "-" } else { "" }, self.unscaled.unsigned_abs());
        let unit = 10_u128.pow(self.scale);
        match self.scale as usize {
            0 => write!(f, "{sign}{digits}"),
            scale => write!(f, "{sign}{}.{:0scale$}", digits / unit, digits % unit),
        }
    }
}

impl From<Fen> for Decimal {
    fn from(fen: Fen) -> Self {
        Decimal { unscaled: i128::from(fen.0), scale: 2 }
    }
}

/// Reads `-12.50`, `.5` and, as Java prints a BigDecimal, `1.2E+3`. Spaces around it are ignored.
impl std::str::FromStr for Decimal {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        if text.len() > DECIMAL_BYTES_MAX {
            return Err(MoneyError::OutOfRange);
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::NotDecimal)?)
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes().first() {
            Some(b'-') => (true, &mantissa[1..]),
            Some(b'+') => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MoneyError::NotDecimal);
        }
        let scale = i32::try_from(fraction.len()).map_err(|_| MoneyError::OutOfRange)?;
        Decimal::shifted(&all, negative, scale.saturating_sub(exponent))
    }
}

impl Decimal {
    fn shifted(digits: &str, negative: bool, scale: i32) -> Result<Self, MoneyError> {
        let mut digits = digits.trim_start_matches('0').to_owned();
        let mut scale = scale;
        while scale > 0 && digits.ends_with('0') {
            digits.pop();
            scale -= 1;
        }
        if digits.is_empty() {
            return Ok(Decimal::default());
        }
        if scale < 0 {
            let zeros = usize::try_from(-i64::from(scale)).map_err(|_| MoneyError::OutOfRange)?;
            if zeros > DIGITS_MAX {
                return Err(MoneyError::OutOfRange);
            }
            digits.push_str(&"0".repeat(zeros));
            scale = 0;
        }
        let scale = u32::try_from(scale).map_err(|_| MoneyError::OutOfRange)?;
        if digits.len() > DIGITS_MAX || scale > SCALE_MAX {
            return Err(MoneyError::OutOfRange);
        }
        let unscaled: i128 = digits.parse().map_err(|_| MoneyError::NotDecimal)?;
        Ok(Decimal { unscaled: if negative { -unscaled } else { unscaled }, scale })
    }
}

/// From a JSON number or a JSON string, by its text. Only for `serde_json`'s own reader, and not inside
/// `flatten` or `untagged`, which would read a float first.
impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if text.starts_with('"') {
            let inner: String = serde_json::from_str(text).map_err(D::Error::custom)?;
            return inner.parse().map_err(D::Error::custom);
        }
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn yuan_is_read_exactly_or_not_at_all() {
        assert_eq!(Fen::parse_yuan("1999.98"), Ok(Fen(199_998)));
        assert_eq!(Fen::parse_yuan("-0.01"), Ok(Fen(-1)));
        assert_eq!(Fen::parse_yuan("7"), Ok(Fen(700)));
        assert_eq!(Fen::parse_yuan("1.2E+3"), Ok(Fen(120_000)));
        assert_eq!(Fen::parse_yuan("0.100000"), Ok(Fen(10)));
        assert_eq!(Fen::parse_yuan("0.005"), Err(MoneyError::NotWholeFen));
        for bad in ["", ".", "-", "1,5", "1.2.3", "NaN", "0x1", "1e", "--1", "１"] {
            assert_eq!(Fen::parse_yuan(bad), Err(MoneyError::NotDecimal), "{bad}");
        }
        assert_eq!(Fen::parse_yuan("99999999999999999999"), Err(MoneyError::OutOfRange));
        assert_eq!(Fen::parse_yuan("1e999999999"), Err(MoneyError::OutOfRange));
        assert_eq!(Fen::parse_yuan("1e-2147483648"), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn rounding_happens_only_when_asked_and_half_goes_up() {
        assert_eq!(Fen::parse_yuan_rounded("0.005"), Ok(Fen(1)));
        assert_eq!(Fen::parse_yuan_rounded("0.0049"), Ok(Fen(0)));
        assert_eq!(Fen::parse_yuan_rounded("-0.005"), Ok(Fen(-1)));
        assert_eq!(Fen::parse_yuan_rounded("2.675"), Ok(Fen(268)));
    }

    #[test]
    fn a_decimal_reads_a_json_number_and_a_json_string_alike() {
        let read = |text| serde_json::from_str::<Decimal>(text).unwrap();
        assert_eq!(read("1879.05").to_fen(), Ok(Fen(187_905)));
        assert_eq!(read("\"1879.05\"").to_fen(), Ok(Fen(187_905)));
        // 0.1 + 0.2 as a float would not be 0.3; here no float is met.
        assert_eq!(read("0.30000000000"), read("\"0.3\""));
        assert!(serde_json::from_str::<Decimal>("true").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(fen in any::<i64>()) {
            prop_assert_eq!(Fen::parse_yuan(&Fen(fen).to_string()), Ok(Fen(fen)));
            let json = serde_json::to_string(&YuanNumber(Fen(fen))).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap().to_fen(), Ok(Fen(fen)));
        }

        #[test]
        fn a_decimal_is_written_as_it_reads(unscaled in any::<i64>(), scale in 0..=SCALE_MAX) {
            let decimal = Decimal::new(i128::from(unscaled), scale);
            prop_assert_eq!(decimal.to_string().parse::<Decimal>(), Ok(decimal));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-+0-9.eE ]{0,80}") {
            let _ = Fen::parse_yuan_rounded(&text);
        }

        #[test]
        fn rounding_is_off_by_half_a_fen_at_most(fen in -1_000_000_i64..1_000_000, third in 0_i64..10) {
            let text = format!("{}{third}", Fen(fen));
            let rounded = Fen::parse_yuan_rounded(&text).unwrap().get();
            let tenths = fen * 10 + if fen < 0 { -third } else { third };
            prop_assert!((rounded * 10 - tenths).abs() <= 5);
        }
    }
}
