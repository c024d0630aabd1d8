//! The names of traces and spans, and the header in which they travel (W3C Trace Context, 3.2).

use std::fmt;

/// Names a trace: 16 bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Names a span within its trace: 8 bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// Where in which trace something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// Whether the spans of the trace are kept.
    pub sampled: bool,
}

/// Version, trace, span and flags with a hyphen between.
const PARTS_CHARS: [usize; 4] = [2, 32, 16, 2];
const TRACEPARENT_CHARS: usize = 55;
const FLAG_SAMPLED: u8 = 1;

impl TraceContext {
    /// Reads a `traceparent`. What is not one is nothing: the header of a stranger is no reason to refuse a request. A
    /// version above ours may have more at its end, and what we know of it holds.
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.get(..TRACEPARENT_CHARS)?;
        let more = &text[TRACEPARENT_CHARS..];
        let mut parts = known.split('-');
        let [version, trace_id, span_id, flags] = PARTS_CHARS.map(|chars| {
            parts.next().filter(|part| {
                part.len() == chars && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
        });
        let version = u8::from_str_radix(version?, 16).ok()?;
        let fits = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let flags = u8::from_str_radix(flags?, 16).ok()?;
        let (trace_id, span_id) = (TraceId::parse(trace_id?)?, SpanId::parse(span_id?)?);
        fits.then_some(Self { trace_id, span_id, sampled: flags & FLAG_SAMPLED != 0 })
    }

    /// As the header says it.
    pub fn to_traceparent(self) -> String {
        let flags = u8::from(self.sampled) * FLAG_SAMPLED;
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl TraceId {
    pub(super) fn fresh() -> Self {
        Self(fastrand::u128(1..).to_be_bytes())
    }

    fn parse(hex: &str) -> Option<Self> {
        let number = u128::from_str_radix(hex, 16).ok().filter(|number| *number != 0)?;
        Some(Self(number.to_be_bytes()))
    }

    /// The part by which samplers of all processes and programs judge alike.
    pub(super) fn low_half(self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

impl SpanId {
    pub(super) fn fresh() -> Self {
        Self(fastrand::u64(1..).to_be_bytes())
    }

    fn parse(hex: &str) -> Option<Self> {
        let number = u64::from_str_radix(hex, 16).ok().filter(|number| *number != 0)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_alike() {
        let context = TraceContext::parse(SAMPLED).unwrap();
        assert!(context.sampled);
        assert_eq!(context.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(context.to_traceparent(), SAMPLED);
    }

    #[test]
    fn what_is_no_header_is_ignored() {
        for text in [
            "",
            "00-nonsense",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_newer_version_may_say_more_and_flags_of_others_are_let_be() {
        let newer = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-comes-then";
        assert_eq!(TraceContext::parse(newer), TraceContext::parse(SAMPLED));
        assert_eq!(TraceContext::parse(&newer.replace("-what", "what")), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_looked_at(text in ".{0,80}") {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert_eq!(TraceContext::parse(&context.to_traceparent()), Some(context));
            }
        }
    }
}
