//! Chance that can be repeated: a draw is a hash of the seed and of what the draw is about, never of time or of
//! the order of calls. The hash is written out here because the standard library promises none that stays the
//! same between versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// FNV-1a over the parts (each closed by a byte that no text contains), mixed once more so that every bit counts.
pub(crate) fn draw(seed: u64, about: &[&str], nth: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in about {
        part.bytes().for_each(&mut take);
        take(0xff);
    }
    nth.to_le_bytes().into_iter().for_each(&mut take);
    mix(hash)
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A range of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub min: Duration,
    pub max: Duration,
}

impl Span {
    pub const fn secs(min: u64, max: u64) -> Self {
        Self { min: Duration::from_secs(min), max: Duration::from_secs(max) }
    }

    pub const fn minutes(min: u64, max: u64) -> Self {
        Self::secs(min * 60, max * 60)
    }

    pub const fn hours(min: u64, max: u64) -> Self {
        Self::secs(min * 3600, max * 3600)
    }

    /// The length that `drawn` picks out of this range, to the millisecond.
    pub(crate) fn pick(self, drawn: u64) -> Duration {
        let width_ms = self.max.saturating_sub(self.min).as_millis() as u64;
        self.min + Duration::from_millis(drawn % (width_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_each_thing_it_is_about() {
        let first = draw(1, &["ylh.create", "SO-1"], 0);
        assert_eq!(first, draw(1, &["ylh.create", "SO-1"], 0));
        for other in [
            draw(2, &["ylh.create", "SO-1"], 0),
            draw(1, &["ylh.create", "SO-1"], 1),
            draw(1, &["ylh.create", "SO-2"], 0),
            draw(1, &["ylh.createSO", "-1"], 0),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_span_picks_inside_itself() {
        let span = Span::minutes(1, 5);
        for nth in 0..1_000 {
            let picked = span.pick(draw(7, &["span"], nth));
            assert!(span.min <= picked && picked <= span.max);
        }
        assert_eq!(Span::secs(3, 3).pick(u64::MAX), Duration::from_secs(3));
    }
}
