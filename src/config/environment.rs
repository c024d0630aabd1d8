//! The variables as they were found, and every problem met while reading them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use windlass_jobs::outside::Secret;

use super::dotenv::lines_of;
use super::problem::ConfigProblem;
use super::variables::{VARIABLES, Variable};

/// Bytes of a file that holds a secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

pub(super) struct Environment {
    /// Set and not empty; a variable that is set to nothing is not set.
    values: BTreeMap<String, String>,
    pub problems: Vec<ConfigProblem>,
    pub warnings: Vec<String>,
    asked: BTreeSet<&'static str>,
}

impl Environment {
    /// `variables` win over the lines of the file.
    pub fn new(variables: BTreeMap<String, String>, dotenv: &Path) -> Self {
        let mut this = Self {
            values: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            asked: BTreeSet::new(),
        };
        this.read_dotenv(dotenv);
        this.values.extend(variables);
        this.values.retain(|_, value| !value.trim().is_empty());
        this.check_names();
        this
    }

    fn read_dotenv(&mut self, file: &Path) {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
            Err(e) => return self.problem(&file.display().to_string(), format!("cannot be read: {e}")),
        };
        let (lines, faults) = lines_of(&text);
        for (line, why) in faults {
            self.problem(&format!("{}:{line}", file.display()), why);
        }
        for (line, key, value) in lines {
            if self.values.insert(key.clone(), value).is_some() {
                self.problem(&format!("{}:{line}", file.display()), format!("{key} is set twice"));
            }
        }
    }

    /// A slip in a name of ours would otherwise go unseen. Other names may be anybody's.
    fn check_names(&mut self) {
        let known = |name: &str| {
            let plain = name.strip_suffix("_FILE").unwrap_or(name);
            VARIABLES
                .iter()
                .any(|variable| variable.name == name || (variable.secret && variable.name == plain))
        };
        let unknown: Vec<String> = self
            .values
            .keys()
            .filter(|name| name.starts_with("WINDLASS_") && !known(name))
            .cloned()
            .collect();
        for name in unknown {
            self.problem(&name, "no such variable");
        }
    }

    /// Whether the variable, one of its other names or its file is set.
    pub fn has(&self, name: &str) -> bool {
        let variable = row(name);
        variable
            .names()
            .any(|name| self.values.contains_key(name) || self.values.contains_key(&file_of(name)))
    }

    /// The value, by the variable's own name before its others; a secret may come from the file that `NAME_FILE`
    /// names, without the line break at its end.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let variable = row(name);
        self.asked.insert(variable.name);
        let found = variable.names().find_map(|name| {
            let file = variable.secret.then(|| self.values.get(&file_of(name))).flatten();
            match (self.values.get(name), file) {
                (None, None) => None,
                (value, file) => Some((name, value.cloned(), file.cloned())),
            }
        });
        match found? {
            (name, Some(_), Some(_)) => {
                self.problem(name, format!("set twice: as {name} and as {}", file_of(name)));
                None
            }
            (_, value, None) => value.map(|value| value.trim().to_owned()),
            (name, None, Some(file)) => match read_secret(Path::new(&file)) {
                Ok(value) => Some(value),
                Err(why) => {
                    self.problem(&file_of(name), format!("{file}: {why}"));
                    None
                }
            },
        }
    }

    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::from)
    }

    /// The value as a `T`; `form` says how it is written.
    pub fn parsed<T: FromStr>(&mut self, name: &str, form: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(name, format!("\"{text}\" is not {form}"));
        }
        parsed
    }

    pub fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        if found.is_none() {
            let choices: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            self.problem(name, format!("\"{text}\" is not one of {}", choices.join(", ")));
        }
        found
    }

    /// `true` or `false`, in the forms that Django's settings use.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        const FORMS: [(&str, bool); 6] =
            [("true", true), ("True", true), ("1", true), ("false", false), ("False", false), ("0", false)];
        self.one_of(name, &FORMS)
    }

    pub fn problem(&mut self, variable: &str, what: impl Into<String>) {
        self.problems.push(ConfigProblem { variable: variable.to_owned(), what: what.into() });
    }

    /// Something that works and is worth a word.
    pub fn warning(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }

    /// # Panics
    /// When the table has a variable that nothing reads: found by any test that reads a configuration.
    pub fn check_all_read(&self) {
        let unread: Vec<_> = VARIABLES
            .iter()
            .map(|variable| variable.name)
            .filter(|name| !self.asked.contains(name))
            .collect();
        debug_assert!(unread.is_empty(), "every variable of the table is read, but not {unread:?}");
    }
}

fn row(name: &str) -> &'static Variable {
    VARIABLES
        .iter()
        .find(|variable| variable.name == name)
        .expect("every variable that is read is in the table")
}

fn file_of(name: &str) -> String {
    format!("{name}_FILE")
}

fn read_secret(file: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(file).map_err(|e| e.to_string())?.len();
    if bytes > SECRET_FILE_BYTES_MAX {
        return Err(format!("{bytes} bytes: at most {SECRET_FILE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() { Err("the file is empty".to_owned()) } else { Ok(value.to_owned()) }
}
