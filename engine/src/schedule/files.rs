//! The files of the schedules: `*.toml` of one folder, each table an entry.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

use super::lane::{Lane, Misfit};
use super::problem::{Problem, ScheduleProblems, Source};
use super::{Entry, reader};

/// Schedules of all files together.
pub const SCHEDULES_MAX: usize = 1_000;
/// Bytes of one file.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// All schedules, by name in order. Every one of them is sound.
#[derive(Clone, Debug, Default)]
pub struct Schedules(Vec<Entry>);

impl Schedules {
    /// Reads every `*.toml` of `folder`, not of the folders in it. `lane_of` tells where jobs of a kind go, or
    /// why a kind and payload make no job ([`crate::JobTable::lane`] is one).
    ///
    /// # Errors
    /// Every problem of every file at once. Nothing is loaded then.
    pub fn load(
        folder: &Path,
        lane_of: &dyn Fn(&str, &RawValue) -> Result<Lane, Misfit>,
    ) -> Result<Self, ScheduleProblems> {
        let mut problems = Vec::new();
        let sources: Vec<Source> = files_of(folder, &mut problems)
            .into_iter()
            .filter_map(|file| read_file(file).map_err(|problem| problems.push(problem)).ok())
            .collect();
        let mut entries = Vec::new();
        let mut places: HashMap<String, Problem> = HashMap::new();
        for source in &sources {
            read_source(source, lane_of, &mut entries, &mut places, &mut problems);
        }
        if entries.len() > SCHEDULES_MAX {
            problems.push(whole(folder, format!("{} schedules: at most {SCHEDULES_MAX}", entries.len())));
        }
        if !problems.is_empty() {
            return Err(ScheduleProblems(problems));
        }
        entries.sort_by(|a: &Entry, b| a.name.cmp(&b.name));
        Ok(Self(entries))
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok().map(|at| &self.0[at])
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn files_of(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder)
        .and_then(|items| items.map(|item| item.map(|item| item.path())).collect::<Result<Vec<_>, _>>());
    let mut files = listed.unwrap_or_else(|e| {
        problems.push(whole(folder, format!("the folder of the schedules cannot be read: {e}")));
        Vec::new()
    });
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn read_file(file: PathBuf) -> Result<Source, Problem> {
    let bad = |what| whole(&file, what);
    let bytes = std::fs::metadata(&file).map_err(|e| bad(format!("cannot be read: {e}")))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(bad(format!("{bytes} bytes: at most {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(&file).map_err(|e| bad(format!("cannot be read: {e}")))?;
    Ok(Source { file, text })
}

fn read_source(
    source: &Source,
    lane_of: reader::LaneOf<'_>,
    entries: &mut Vec<Entry>,
    places: &mut HashMap<String, Problem>,
    problems: &mut Vec<Problem>,
) {
    let (document, faults) = DeTable::parse_recoverable(&source.text);
    for fault in faults {
        problems.push(source.problem(None, fault.span().unwrap_or_default(), fault.message().trim()));
    }
    // In the order of the file, not of the alphabet: so are they mended.
    let mut tables: Vec<_> = document.get_ref().iter().collect();
    tables.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in tables {
        let DeValue::Table(table) = value.get_ref() else {
            let what =
                format!("`{}` stands outside of a schedule: each begins with its [name]", name.get_ref());
            problems.push(source.problem(None, name.span(), what));
            continue;
        };
        let place = source.problem(None, name.span(), "");
        if let Some(first) = places.get(name.get_ref().as_ref()) {
            let (file, line) = (first.file.display(), first.line.unwrap_or_default());
            let what = format!("the name is taken: {file}:{line} has a schedule of this name");
            problems.push(source.problem(Some(name.get_ref()), name.span(), what));
        } else {
            places.insert(name.get_ref().clone().into_owned(), place);
        }
        entries.extend(reader::read(source, name, table, lane_of, problems));
    }
}

fn whole(file: &Path, what: String) -> Problem {
    Problem { file: file.to_owned(), line: None, schedule: None, what }
}
