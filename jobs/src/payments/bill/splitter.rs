//! Bytes in pieces of any size, out as numbered lines. Memory is bounded by one line.

/// A line may have so many bytes; of a longer one its beginning is kept.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// From 1.
    pub number: u64,
    pub bytes: &'a [u8],
    /// Longer than [`LINE_BYTES_MAX`]: `bytes` is its beginning.
    pub is_cut: bool,
}

#[derive(Default)]
pub struct Splitter {
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    is_cut: bool,
    /// Lines that are over.
    lines: u64,
}

impl Splitter {
    /// Calls `each` with every line that ends within `bytes`.
    pub fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(RawLine<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            self.lines += 1;
            if self.held.is_empty() && line.len() <= LINE_BYTES_MAX {
                each(trimmed(self.lines, line, false))?;
            } else {
                self.hold(line);
                let line = std::mem::take(&mut self.held);
                let is_cut = std::mem::take(&mut self.is_cut);
                each(trimmed(self.lines, &line, is_cut))?;
            }
        }
        self.hold(bytes);
        Ok(())
    }

    /// Calls `each` with the last line when the file does not end with a line's end.
    pub fn finish<E>(mut self, mut each: impl FnMut(RawLine<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.held.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.held);
        each(trimmed(self.lines + 1, &line, self.is_cut))
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }
}

fn trimmed(number: u64, line: &[u8], is_cut: bool) -> RawLine<'_> {
    let line = if number == 1 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
    RawLine { number, bytes: line.strip_suffix(b"\r").unwrap_or(line), is_cut }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(u64, Vec<u8>, bool)> {
        let mut found = Vec::new();
        let mut keep = |line: RawLine<'_>| {
            found.push((line.number, line.bytes.to_vec(), line.is_cut));
            Ok::<(), Infallible>(())
        };
        let mut splitter = Splitter::default();
        for piece in pieces {
            splitter.push(piece, &mut keep).unwrap();
        }
        splitter.finish(&mut keep).unwrap();
        found
    }

    #[test]
    fn a_mark_of_byte_order_and_either_line_end_are_no_part_of_a_line() {
        let expected = [(1, b"a".to_vec(), false), (2, b"b".to_vec(), false), (3, b"c".to_vec(), false)];
        assert_eq!(lines(&[b"\xef\xbb\xbfa\r\nb\nc"]), expected);
        assert_eq!(lines(&[b"\xef", b"\xbb\xbfa\r", b"\nb", b"\nc\r\n"]), expected);
    }

    #[test]
    fn a_line_without_end_holds_no_more_memory_than_a_line_may() {
        let piece = vec![b'x'; 50_000];
        let mut splitter = Splitter::default();
        for _ in 0..100 {
            splitter.push(&piece, |_| Ok::<(), Infallible>(())).unwrap();
        }
        assert_eq!(splitter.held.len(), LINE_BYTES_MAX);
        let found = lines(&[&piece, &piece, b"\nnext\n"]);
        assert_eq!(found[0].1.len(), LINE_BYTES_MAX);
        assert!(found[0].2);
        assert_eq!(found[1], (2, b"next".to_vec(), false));
        let exact = vec![b'y'; LINE_BYTES_MAX];
        assert!(!lines(&[&exact, b"\n"])[0].2);
        assert!(!lines(&[&exact])[0].2);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_lines_are_the_same(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(lines(&pieces), lines(&[&bytes]));
        }
    }
}
