//! Which traces are kept, by the names that OpenTelemetry's SDKs share (`OTEL_TRACES_SAMPLER`).

use super::context::TraceId;

/// Decides for a whole trace, so that none is kept in part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whoever sent the context has decided.
    follows_parent: bool,
    /// The share of the other traces that is kept, 0 to 1.
    share: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSampler {
    #[error(
        "{0:?} is no sampler: always_on, always_off, traceidratio, or one of them behind parentbased_, such as \
         parentbased_traceidratio"
    )]
    Name(String),
    #[error("{0:?} is no share of traces: a number from 0 to 1")]
    Share(String),
}

impl Sampler {
    /// `parentbased_always_on`: what holds where nothing is set.
    pub const DEFAULT: Self = Self { follows_parent: true, share: 1.0 };

    /// The sampler of that name; `share` is its argument, where it takes one.
    ///
    /// # Errors
    /// When there is none, or the share is none.
    pub fn named(name: &str, share: Option<&str>) -> Result<Self, BadSampler> {
        let (follows_parent, of_roots) = match name.strip_prefix("parentbased_") {
            Some(of_roots) => (true, of_roots),
            None => (false, name),
        };
        let share = match of_roots {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => read_share(share.unwrap_or("1"))?,
            _ => return Err(BadSampler::Name(name.to_owned())),
        };
        Ok(Self { follows_parent, share })
    }

    /// Whether the trace is kept. `parent`: what whoever sent it decided.
    pub(super) fn keeps(self, trace_id: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(kept) if self.follows_parent => kept,
            _ if self.share >= 1.0 => true,
            // 63 bits, as the SDKs for Go and Rust count: they and we keep the same traces.
            _ => ((trace_id.low_half() >> 1) as f64) < self.share * (1_u64 << 63) as f64,
        }
    }
}

fn read_share(text: &str) -> Result<f64, BadSampler> {
    let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| BadSampler::Share(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_is_known_by_its_name() {
        let id = TraceId::fresh();
        for (name, alone, under_kept, under_dropped) in [
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("parentbased_always_on", true, true, false),
            ("parentbased_always_off", false, true, false),
        ] {
            let sampler = Sampler::named(name, None).unwrap();
            let kept = [None, Some(true), Some(false)].map(|parent| sampler.keeps(id, parent));
            assert_eq!(kept, [alone, under_kept, under_dropped], "{name}");
        }
        assert_eq!(Sampler::named("parentbased_always_on", None), Ok(Sampler::DEFAULT));
    }

    #[test]
    fn a_share_of_the_traces_is_kept_whole() {
        let sampler = Sampler::named("parentbased_traceidratio", Some("0.25")).unwrap();
        let kept = (0..10_000).filter(|_| sampler.keeps(TraceId::fresh(), None)).count();
        assert!((2_200..2_800).contains(&kept), "{kept} of 10,000");
        let id = TraceId::fresh();
        assert_eq!(sampler.keeps(id, None), sampler.keeps(id, None), "every process decides alike");
        let none = Sampler::named("traceidratio", Some("0")).unwrap();
        assert!(!(0..1_000).any(|_| none.keeps(TraceId::fresh(), Some(true))));
    }

    #[test]
    fn what_is_no_sampler_is_told() {
        assert!(matches!(Sampler::named("jaeger_remote", None), Err(BadSampler::Name(_))));
        for share in ["1.5", "-0.1", "half", "NaN"] {
            assert!(
                matches!(Sampler::named("traceidratio", Some(share)), Err(BadSampler::Share(_))),
                "{share}"
            );
        }
    }
}
