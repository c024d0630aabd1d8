//! An external sort: records in any order and any number go in, and come out by key, with bounded memory.
//!
//! Runs are sorted in memory and written to files that have no name, so that nothing is left of a process that is
//! killed. Keys are compared as bytes. It knows nothing of what it sorts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Bytes of records in one run: what a sorter holds in memory.
const RUN_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are read ahead from, or gathered for, one run.
const RUN_BUFFER_BYTES: usize = 32 * 1024;
/// Runs that are merged at once; more are merged into one before.
const RUNS_MAX: usize = 64;

/// What can be sorted.
pub trait Record: Sized + Send + 'static {
    /// Appends what it is sorted by. Equal keys come out in an order of no meaning, but always the same one.
    fn key(&self, into: &mut Vec<u8>);
    fn encode(&self, into: &mut Vec<u8>);
    /// None: these are not its bytes.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Takes records.
pub struct Sorter<R> {
    folder: PathBuf,
    run: Run,
    runs: Vec<File>,
    pushed: u64,
    run_bytes: usize,
    record: PhantomData<fn() -> R>,
}

/// Records one after the other, and where each begins.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    key_bytes: usize,
    bytes: usize,
}

impl Run {
    fn of(&self, place: Place) -> &[u8] {
        &self.bytes[place.at..place.at + place.bytes]
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let key = |place: &Place| &bytes[place.at..place.at + place.key_bytes];
        let whole = |place: &Place| &bytes[place.at..place.at + place.bytes];
        self.places.sort_unstable_by(|a, b| key(a).cmp(key(b)).then_with(|| whole(a).cmp(whole(b))));
    }

    fn write(&self, folder: &Path) -> io::Result<File> {
        let mut out = BufWriter::with_capacity(RUN_BUFFER_BYTES, tempfile::tempfile_in(folder)?);
        for place in &self.places {
            write_record(&mut out, place.key_bytes, self.of(*place))?;
        }
        rewound(out)
    }
}

impl<R: Record> Sorter<R> {
    /// `folder`: where runs are written that do not fit into memory.
    pub fn new(folder: &Path) -> Self {
        Self::with_runs_of(folder, RUN_BYTES)
    }

    fn with_runs_of(folder: &Path, run_bytes: usize) -> Self {
        let folder = folder.to_owned();
        Self { folder, run: Run::default(), runs: Vec::new(), pushed: 0, run_bytes, record: PhantomData }
    }

    pub fn len(&self) -> u64 {
        self.pushed
    }

    /// # Errors
    /// When a run cannot be written.
    pub async fn push(&mut self, record: &R) -> io::Result<()> {
        let Run { bytes, places } = &mut self.run;
        let at = bytes.len();
        record.key(bytes);
        let key_bytes = bytes.len() - at;
        record.encode(bytes);
        places.push(Place { at, key_bytes, bytes: bytes.len() - at });
        self.pushed += 1;
        if self.run.bytes.len() >= self.run_bytes {
            self.spill().await?;
        }
        Ok(())
    }

    async fn spill(&mut self) -> io::Result<()> {
        let (mut run, folder) = (std::mem::take(&mut self.run), self.folder.clone());
        let (mut run, file) = blocking(move || {
            run.sort();
            let file = run.write(&folder)?;
            Ok((run, file))
        })
        .await?;
        run.bytes.clear();
        run.places.clear();
        self.run = run;
        self.runs.push(file);
        if self.runs.len() >= RUNS_MAX {
            let (runs, folder) = (std::mem::take(&mut self.runs), self.folder.clone());
            self.runs.push(blocking(move || merged(runs, &folder)).await?);
        }
        Ok(())
    }

    /// All records, by key.
    ///
    /// # Errors
    /// When a run cannot be written or read.
    pub async fn sorted(mut self) -> io::Result<Sorted<R>> {
        if self.runs.is_empty() {
            let mut run = std::mem::take(&mut self.run);
            let run = blocking(move || {
                run.sort();
                Ok(run)
            })
            .await?;
            return Ok(Sorted { source: Source::Memory { run, next: 0 }, record: PhantomData });
        }
        if !self.run.places.is_empty() {
            self.spill().await?;
        }
        Ok(Sorted { source: Source::Runs(Merge::of(std::mem::take(&mut self.runs))?), record: PhantomData })
    }
}

/// Gives records in the order of their keys.
pub struct Sorted<R> {
    source: Source,
    record: PhantomData<fn() -> R>,
}

enum Source {
    Memory { run: Run, next: usize },
    Runs(Merge),
}

impl<R: Record> Sorted<R> {
    /// # Errors
    /// When a run cannot be read.
    pub fn next(&mut self) -> io::Result<Option<R>> {
        match &mut self.source {
            Source::Memory { run, next } => {
                let Some(place) = run.places.get(*next) else { return Ok(None) };
                *next += 1;
                decode(place.key_bytes, run.of(*place)).map(Some)
            }
            Source::Runs(merge) => {
                let Some(least) = merge.pop()? else { return Ok(None) };
                let record = decode(least.key_bytes, &least.bytes);
                merge.give_back(least);
                record.map(Some)
            }
        }
    }
}

fn decode<R: Record>(key_bytes: usize, bytes: &[u8]) -> io::Result<R> {
    R::decode(&bytes[key_bytes..]).ok_or_else(|| io::Error::other("a run of the sort holds other bytes"))
}

/// The heads of all runs, the least on top.
struct Merge {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<Head>>,
    /// Used again for the next head.
    spare: Vec<u8>,
}

struct Head {
    key_bytes: usize,
    bytes: Vec<u8>,
    run: usize,
}

impl Head {
    fn order(&self) -> (&[u8], &[u8], usize) {
        (&self.bytes[..self.key_bytes], &self.bytes, self.run)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl Merge {
    fn of(files: Vec<File>) -> io::Result<Self> {
        let runs: Vec<_> =
            files.into_iter().map(|file| BufReader::with_capacity(RUN_BUFFER_BYTES, file)).collect();
        let mut merge = Self { heads: BinaryHeap::with_capacity(runs.len()), runs, spare: Vec::new() };
        for run in 0..merge.runs.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }

    fn pop(&mut self) -> io::Result<Option<Head>> {
        let Some(Reverse(least)) = self.heads.pop() else { return Ok(None) };
        self.refill(least.run)?;
        Ok(Some(least))
    }

    fn give_back(&mut self, head: Head) {
        self.spare = head.bytes;
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.spare);
        if let Some(key_bytes) = read_record(&mut self.runs[run], &mut bytes)? {
            self.heads.push(Reverse(Head { key_bytes, bytes, run }));
        }
        Ok(())
    }
}

fn merged(runs: Vec<File>, folder: &Path) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(RUN_BUFFER_BYTES, tempfile::tempfile_in(folder)?);
    let mut merge = Merge::of(runs)?;
    while let Some(least) = merge.pop()? {
        write_record(&mut out, least.key_bytes, &least.bytes)?;
        merge.give_back(least);
    }
    rewound(out)
}

fn rewound(out: BufWriter<File>) -> io::Result<File> {
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn write_record(out: &mut impl Write, key_bytes: usize, bytes: &[u8]) -> io::Result<()> {
    let length = |bytes: usize| u32::try_from(bytes).map(u32::to_le_bytes).map_err(io::Error::other);
    out.write_all(&length(key_bytes)?)?;
    out.write_all(&length(bytes.len())?)?;
    out.write_all(bytes)
}

/// The length of the key; None at the end of the run.
fn read_record(run: &mut BufReader<File>, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut lengths = [0; 8];
    match run.read_exact(&mut lengths) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = |at: usize| {
        let bytes = [lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]];
        u32::from_le_bytes(bytes) as usize
    };
    into.clear();
    into.resize(length(4), 0);
    run.read_exact(into)?;
    Ok(Some(length(0)))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Word(String, u8);

    impl Record for Word {
        fn key(&self, into: &mut Vec<u8>) {
            into.extend_from_slice(self.0.as_bytes());
        }

        fn encode(&self, into: &mut Vec<u8>) {
            into.push(self.1);
            into.extend_from_slice(self.0.as_bytes());
        }

        fn decode(bytes: &[u8]) -> Option<Self> {
            let (&first, rest) = bytes.split_first()?;
            Some(Self(String::from_utf8(rest.to_vec()).ok()?, first))
        }
    }

    async fn sort(words: &[Word], run_bytes: usize) -> Vec<Word> {
        let mut sorter = Sorter::with_runs_of(&std::env::temp_dir(), run_bytes);
        for word in words {
            sorter.push(word).await.unwrap();
        }
        assert_eq!(sorter.len(), words.len() as u64);
        let mut sorted = sorter.sorted().await.unwrap();
        let mut all = Vec::new();
        while let Some(word) = sorted.next().unwrap() {
            all.push(word);
        }
        all
    }

    proptest! {
        #[test]
        fn what_went_in_comes_out_in_order_however_many_runs_it_took(
            words in proptest::collection::vec(("[a-c]{0,4}|订.", any::<u8>()), 0..300),
            run_bytes in 1usize..200,
        ) {
            let words: Vec<_> = words.into_iter().map(|(word, n)| Word(word, n)).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut expected = words.clone();
            expected.sort();
            prop_assert_eq!(runtime.block_on(sort(&words, run_bytes)), expected.clone());
            prop_assert_eq!(runtime.block_on(sort(&words, usize::MAX)), expected);
        }
    }
}
