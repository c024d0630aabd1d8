//! Figures and texts as bills print them.

use std::fmt;

/// Fen as yuan: `1999.98`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yuan(pub(super) i64);

impl fmt::Display for Yuan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fen = self.0.unsigned_abs();
        write!(f, "{}{}.{:02}", if self.0 < 0 { "-" } else { "" }, fen / 100, fen % 100)
    }
}

/// A fee of so many fen with its five decimals: `12.00000`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fee(pub(super) i64);

impl fmt::Display for Fee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}000", Yuan(self.0))
    }
}

/// A text that stays on its line; commas and backticks are left as they are.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for c in self.0.chars() {
            match c {
                '\r' => f.write_str("\\r")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The rate of 0.60 %, rounded half up to the fen for each transaction (facts: wechat-pay.md 10).
pub(super) const fn fee_fen(fen: i64) -> i64 {
    (fen * 6 + 500) / 1_000
}

pub(super) const RATE: &str = "0.60%";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_those_of_the_samples() {
        for (fen, fee) in [(600, 4), (199_998, 1_200), (129_900, 779), (83, 0), (84, 1), (1, 0)] {
            assert_eq!(fee_fen(fen), fee, "{fen}");
        }
    }

    #[test]
    fn figures_are_printed_as_bills_print_them() {
        assert_eq!((Yuan(199_998).to_string(), Yuan(-5).to_string()), ("1999.98".into(), "-0.05".into()));
        assert_eq!((Fee(4).to_string(), Fee(-2).to_string()), ("0.04000".into(), "-0.02000".into()));
        assert_eq!(OneLine("a`,\r\nb").to_string(), "a`,\\r\\nb");
    }
}
