//! Beat entries as a file of schedules, each with the next times at which it fires and what a person must look at.

use std::time::Duration;

use serde_json::Value;
use windlass_engine::schedule::{Rhythm, nearest, written};
use windlass_engine::{JobTable, Timestamp};
use windlass_jobs::JOBS;

use super::super::{next_times, source_of};
use super::{Beat, Entry};

/// Characters of a schedule's name.
const NAME_CHARS_MAX: usize = 48;
/// Instants shown with each entry.
const SHOWN: usize = 5;
const DAY: Duration = Duration::from_secs(86_400);

impl Beat {
    /// Entries that have no schedule of ours.
    pub fn refused(&self) -> usize {
        self.entries.iter().filter(|entry| entry.rhythm.is_err()).count()
    }

    /// A file of schedules.
    pub fn toml(&self, now: Timestamp) -> String {
        let mut text = String::from(
            "# From Celery beat. Look at the next times of each; then `windlass check` says whether the jobs and their\n\
             # payloads are right.\n",
        );
        for note in &self.notes {
            text.push_str(&format!("# ! {}\n", one_line(note)));
        }
        let mut names: Vec<String> = Vec::new();
        for entry in &self.entries {
            let name = name_beside(&names, &entry.name);
            text.push('\n');
            text.push_str(&entry.toml(&name, now));
            names.push(name);
        }
        text
    }
}

impl Entry {
    fn toml(&self, name: &str, now: Timestamp) -> String {
        let mut text = format!("# {}: {}\n", one_line(&self.name), one_line(&self.source));
        let mut notes = self.notes.clone();
        let rhythm = match &self.rhythm {
            Ok(rhythm) => rhythm,
            Err(why) => {
                text.push_str(&format!("# ! refused, task {}: {}\n", one_line(&self.task), one_line(why)));
                return text;
            }
        };
        let next = next_times(rhythm, now, SHOWN);
        let a_day = rhythm.between(now, now + DAY, 100_000).len();
        text.push_str(&format!("# {a_day} times in the next 24 hours; the next are\n"));
        for at in &next {
            text.push_str(&format!("#   {}\n", rhythm.local(*at)));
        }
        let job = self.job(&mut notes);
        let expires = self.expires(rhythm, now, &mut notes);
        if !self.args.is_empty() {
            let args = Value::Array(self.args.clone());
            notes.push(format!("its args {args} have no names here: give them some in the payload"));
        }
        for note in &notes {
            text.push_str(&format!("# ! {}\n", one_line(note)));
        }
        text.push_str(&format!("[{name}]\n{}\njob = {}\n", source_of(rhythm), quoted(&job)));
        if !self.kwargs.is_empty() {
            let pairs: Vec<_> = self
                .kwargs
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{} = {}", quoted(name), inline(value)))
                .collect();
            text.push_str(&format!("payload = {{ {} }}\n", pairs.join(", ")));
        }
        if let Some(queue) = &self.queue {
            text.push_str(&format!("queue = {}\n", quoted(queue)));
        }
        text.push_str("overlap = \"skip\"\ncatch_up = \"one\"\n");
        if let Some(expires) = expires {
            text.push_str(&format!("expires = \"{}\"\n", written(expires)));
        }
        if !self.enabled {
            text.push_str("enabled = false\n");
        }
        text
    }

    /// The kind: the last part of the task's name.
    fn job(&self, notes: &mut Vec<String>) -> String {
        let job = self.task.rsplit('.').next().unwrap_or_default().to_owned();
        let table = JobTable::new(JOBS);
        if table.get(&job).is_none() {
            let near = nearest(&job, table.iter().map(|kind| kind.name));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            notes.push(format!("there is no kind of job called {job} (task {}){hint}", self.task));
        }
        job
    }

    fn expires(&self, rhythm: &Rhythm, now: Timestamp, notes: &mut Vec<String>) -> Option<Duration> {
        let expires = Duration::from_secs(self.expires_s.filter(|s| (1.0..1e9).contains(s))? as u64);
        let times = next_times(rhythm, now, 200);
        let shortest = times.windows(2).map(|pair| pair[1].since(pair[0])).min()?;
        if expires < shortest {
            return Some(expires);
        }
        notes.push(format!(
            "its expires of {} is not shorter than the {} between two instants, and is left out",
            written(expires),
            written(shortest)
        ));
        None
    }
}

/// The entry's name in our letters, with a number where another entry has it.
fn name_beside(taken: &[String], name: &str) -> String {
    let plain = name_of(name);
    let numbered = (2..).map(|nth| {
        let tail = format!("_{nth}");
        format!("{}{tail}", &plain[..plain.len().min(NAME_CHARS_MAX - tail.len())])
    });
    std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// The name with nothing but `a-z 0-9 _`.
fn name_of(name: &str) -> String {
    let mut plain = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => plain.push(c),
            _ if plain.ends_with('_') || plain.is_empty() => {}
            _ => plain.push('_'),
        }
    }
    let plain: String = plain.trim_end_matches('_').chars().take(NAME_CHARS_MAX).collect();
    if plain.is_empty() { "entry".to_owned() } else { plain }
}

/// What stands in a comment must not end it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as JSON writes it, which TOML reads.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let pairs = members.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<_> =
                pairs.map(|(name, value)| format!("{} = {}", quoted(name), inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter(|item| !item.is_null()).map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}
