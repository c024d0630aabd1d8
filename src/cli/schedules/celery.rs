//! The beat entries of a Celery installation as schedules, each with the times at which it will really fire: a
//! `crontab(minute=30)` that somebody took for "every 30 minutes" shows itself.
//!
//! Read from Python source (nothing of it runs), from JSON of the same dictionary, or from a dump of
//! django-celery-beat's tables. Facts: celery-wire.md 10. What has no equivalent is refused with its reason, never left out.

use std::time::Duration;

use serde_json::Value;
use windlass_engine::schedule::{Rhythm, nearest, written};
use windlass_engine::{JobTable, Timestamp};
use windlass_jobs::JOBS;

use super::crontab::{Dialect, Fields};
use super::python::{Py, Token, Word, expression, tokens};
use super::{next_times, source_of};

mod dump;

/// Characters of a schedule's name.
const NAME_CHARS_MAX: usize = 48;
/// Instants shown with each entry.
const SHOWN: usize = 5;
const DAY: Duration = Duration::from_secs(86_400);

/// What a file holds.
pub struct Beat {
    pub entries: Vec<Entry>,
    /// What a person should know of the file as a whole.
    pub notes: Vec<String>,
}

/// One beat entry.
pub struct Entry {
    pub name: String,
    pub task: String,
    /// The schedule as it was written.
    pub source: String,
    pub rhythm: Result<Rhythm, String>,
    pub args: Vec<Value>,
    pub kwargs: Vec<(String, Value)>,
    pub queue: Option<String>,
    pub expires_s: Option<f64>,
    pub enabled: bool,
    pub notes: Vec<String>,
}

/// Reads a file. `zone` is that of entries that name none.
///
/// # Errors
/// Where it cannot be read, or that it has no beat entry.
pub fn read(source: &str, zone: Option<&str>) -> Result<Beat, String> {
    let beat = if source.trim_start().starts_with(['{', '[']) {
        let json = serde_json::from_str(source).map_err(|e| format!("it is no JSON: {e}"))?;
        dump::read(&json, zone)?
    } else {
        python(source, zone)?
    };
    if beat.entries.is_empty() {
        let notes = beat.notes.join("; ");
        return Err(format!("there is no beat entry: no beat_schedule is set in it. {notes}")
            .trim()
            .to_owned());
    }
    Ok(beat)
}

fn python(source: &str, zone: Option<&str>) -> Result<Beat, String> {
    let tokens = tokens(source);
    let mut notes = Vec::new();
    let own_zone = timezone(&tokens);
    let zone = match (zone, &own_zone) {
        (Some(zone), _) => zone,
        (None, Some(own)) => own,
        (None, None) => {
            notes.push(
                "the file sets no timezone: Celery reads its crontabs in UTC, and so are they here"
                    .to_owned(),
            );
            "UTC"
        }
    };
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(Token { line, word }) = tokens.get(at) {
        at += 1;
        match word {
            Word::Text(text) if text.contains("beat_schedule") || text.contains("crontab(") => {
                notes.push(format!(
                    "line {line}: a schedule in a text; Celery never ran it, and it is left out"
                ));
            }
            Word::Name(name) if is_beat(name) => {
                at = dictionary(&tokens, at, zone, &mut entries, &mut notes)?
            }
            Word::Name(name) if name.ends_with("add_periodic_task") && is_sign(&tokens, at, '(') => {
                at -= 1;
                if let Py::Call { args, named, .. } = expression(&tokens, &mut at)? {
                    entries.push(added(&args, &named, zone));
                }
            }
            _ => {}
        }
    }
    Ok(Beat { entries, notes })
}

fn is_beat(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".update").unwrap_or(&name);
    name.ends_with("beat_schedule") || name.ends_with("celerybeat_schedule")
}

fn is_sign(tokens: &[Token], at: usize, sign: char) -> bool {
    tokens.get(at).is_some_and(|token| token.word == Word::Sign(sign))
}

/// Reads what is given to a `beat_schedule`: `= {…}`, `.update({…})` or `["name"] = {…}`. Answers where it ends.
fn dictionary(
    tokens: &[Token],
    mut at: usize,
    zone: &str,
    entries: &mut Vec<Entry>,
    notes: &mut Vec<String>,
) -> Result<usize, String> {
    let one = match tokens.get(at + 1).map(|token| &token.word) {
        Some(Word::Text(name)) if is_sign(tokens, at, '[') && is_sign(tokens, at + 3, '=') => {
            Some(name.clone())
        }
        _ => None,
    };
    at += match (&one, is_sign(tokens, at, '='), is_sign(tokens, at, '(')) {
        (Some(_), ..) => 4,
        (None, true, _) if !is_sign(tokens, at + 1, '=') => 1,
        (None, _, true) => 1,
        // It is only mentioned.
        _ => return Ok(at),
    };
    let line = tokens.get(at).map_or(0, |token| token.line);
    let value = expression(tokens, &mut at)?;
    match (one, value) {
        (Some(name), value) => entries.push(entry(&name, &value, zone)),
        (None, Py::Dict(pairs)) => {
            for (name, value) in pairs {
                match name {
                    Py::Text(name) => entries.push(entry(&name, &value, zone)),
                    _ => notes.push(format!(
                        "line {line}: some entries are put together by code and cannot be read"
                    )),
                }
            }
        }
        _ => {
            notes.push(format!("line {line}: this beat_schedule is put together by code and cannot be read"))
        }
    }
    Ok(at)
}

/// What `app.conf.timezone`, `CELERY_TIMEZONE` or `timezone=` is set to.
fn timezone(tokens: &[Token]) -> Option<String> {
    tokens.windows(3).find_map(|window| match [&window[0].word, &window[1].word, &window[2].word] {
        [Word::Name(name), Word::Sign('='), Word::Text(zone)]
            if name == "timezone" || name.ends_with(".timezone") || name == "CELERY_TIMEZONE" =>
        {
            Some(zone.clone())
        }
        _ => None,
    })
}

fn entry(name: &str, value: &Py, zone: &str) -> Entry {
    let get = |key: &str| match value {
        Py::Dict(pairs) => {
            pairs.iter().find(|(known, _)| *known == Py::Text(key.to_owned())).map(|(_, value)| value)
        }
        _ => None,
    };
    let mut entry = Entry::new(name, get("task").and_then(text).unwrap_or_default());
    match get("schedule") {
        Some(schedule) => entry.fires(schedule, zone),
        None => entry.rhythm = Err("it has no schedule that can be read".to_owned()),
    }
    entry.args = match get("args") {
        Some(Py::List(args)) => args.iter().map(json).collect(),
        _ => Vec::new(),
    };
    if let Some(Py::Dict(pairs)) = get("kwargs") {
        entry.kwargs = pairs.iter().filter_map(|(name, value)| Some((text(name)?, json(value)))).collect();
    }
    if let Some(Py::Dict(options)) = get("options") {
        for (option, value) in options {
            entry.option(&text(option).unwrap_or_default(), value);
        }
    }
    entry
}

/// `sender.add_periodic_task(30.0, task.s(…), name="…")`
fn added(args: &[Py], named: &[(String, Py)], zone: &str) -> Entry {
    let get = |key: &str| named.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let (task, task_args, task_named) = match args.get(1).or(get("sig")) {
        Some(Py::Call { name, args, named }) => (name.clone(), args.clone(), named.clone()),
        Some(Py::Name(name)) => (name.clone(), Vec::new(), Vec::new()),
        _ => Default::default(),
    };
    let task = task.strip_suffix(".s").or(task.strip_suffix(".si")).unwrap_or(&task).to_owned();
    let name = get("name").and_then(text).unwrap_or_else(|| task.clone());
    let mut entry = Entry::new(&name, task);
    match args.first().or(get("schedule")) {
        Some(schedule) => entry.fires(schedule, zone),
        None => entry.rhythm = Err("it has no schedule that can be read".to_owned()),
    }
    entry.args = task_args.iter().map(json).collect();
    entry.kwargs = task_named.iter().map(|(name, value)| (name.clone(), json(value))).collect();
    for (option, value) in named.iter().filter(|(name, _)| name != "name") {
        entry.option(option, value);
    }
    entry
}

impl Entry {
    fn new(name: &str, task: String) -> Self {
        Self {
            name: name.to_owned(),
            task,
            source: String::new(),
            rhythm: Err("it has no schedule that can be read".to_owned()),
            args: Vec::new(),
            kwargs: Vec::new(),
            queue: None,
            expires_s: None,
            enabled: true,
            notes: Vec::new(),
        }
    }

    fn option(&mut self, name: &str, value: &Py) {
        match (name, value) {
            ("queue" | "routing_key", Py::Text(queue)) if self.queue.is_none() => self.queue = Some(queue.clone()),
            ("expires", value) => match seconds(value) {
                Some(expires_s) => self.expires_s = Some(expires_s),
                None => self.notes.push("its expires cannot be read".to_owned()),
            },
            ("priority", _) => self.notes.push(
                "its priority is left out: write critical, high, normal or low (in Celery on Redis 0 comes first, on \
                 RabbitMQ last)"
                    .to_owned(),
            ),
            _ => {}
        }
    }

    fn fires(&mut self, schedule: &Py, zone: &str) {
        self.source = shown(schedule);
        self.rhythm = match schedule {
            Py::Call { name, args, named } => match name.rsplit('.').next().unwrap_or_default() {
                "crontab" => self.crontab(args, named, zone),
                "schedule" | "timedelta" => every(seconds(schedule)),
                "solar" => Err("a solar schedule has no equivalent".to_owned()),
                other => Err(format!("{other}() is code: its schedule cannot be read")),
            },
            Py::Name(name) => Err(format!("{name} is worked out by code: its schedule cannot be read")),
            number => every(seconds(number)),
        };
    }

    fn crontab(&mut self, args: &[Py], named: &[(String, Py)], zone: &str) -> Result<Rhythm, String> {
        const ORDER: [&str; 5] = ["minute", "hour", "day_of_week", "day_of_month", "month_of_year"];
        let mut fields: [Option<String>; 5] = Default::default();
        for (place, value) in args.iter().enumerate() {
            let slot = fields.get_mut(place).ok_or("crontab() has five fields")?;
            *slot = Some(field(value)?);
        }
        for (name, value) in named {
            let place = ORDER.iter().position(|known| known == name);
            match place {
                Some(place) => fields[place] = Some(field(value)?),
                None => self.notes.push(format!("crontab's {name} is left out")),
            }
        }
        let [minute, hour, weekday, day, month] = fields;
        let of = |field: &Option<String>| field.clone().unwrap_or_else(|| "*".to_owned());
        if minute.is_none() && hour.is_some() {
            self.notes.push(format!("without a minute it fires every minute of the hour {}", of(&hour)));
        }
        self.six([of(&minute), of(&hour), of(&day), of(&month), of(&weekday)], zone)
    }

    /// Minute, hour, day, month, weekday.
    fn six(&mut self, fields: [String; 5], zone: &str) -> Result<Rhythm, String> {
        let [minute, hour, day, month, weekday] = &fields;
        if hour == "*" && minute.parse::<u32>().is_ok_and(|minute| minute > 1) {
            self.notes.push(format!(
                "once an hour, at minute {minute}; every {minute} minutes would be minute=\"*/{minute}\""
            ));
        }
        if day != "*" && weekday != "*" {
            self.notes.push("day and weekday must both fit, in Celery as here".to_owned());
        }
        let six = Fields { minute, hour, day, month, weekday }.six(Dialect::Celery)?;
        Rhythm::cron_in(&six, zone).map_err(|e| e.to_string())
    }
}

fn every(length_s: Option<f64>) -> Result<Rhythm, String> {
    match length_s {
        Some(s) if s >= 1.0 && s.fract() == 0.0 => {
            Rhythm::every(Duration::from_secs_f64(s)).map_err(|e| e.to_string())
        }
        Some(s) => Err(format!("every {s} s: a schedule fires every whole second at most")),
        None => Err("its length cannot be read".to_owned()),
    }
}

/// A number, a `timedelta(…)` or a `schedule(run_every=…)` in seconds.
fn seconds(value: &Py) -> Option<f64> {
    let number = |value: &Py| match value {
        Py::Int(number) => Some(*number as f64),
        Py::Float(number) => Some(*number),
        _ => None,
    };
    match value {
        Py::Call { name, args, named } => match name.rsplit('.').next()? {
            "timedelta" => {
                const UNITS: [(&str, f64); 7] = [
                    ("days", 86_400.0),
                    ("seconds", 1.0),
                    ("microseconds", 1e-6),
                    ("milliseconds", 1e-3),
                    ("minutes", 60.0),
                    ("hours", 3_600.0),
                    ("weeks", 604_800.0),
                ];
                let mut total = 0.0;
                for (value, (_, unit)) in args.iter().zip(UNITS) {
                    total += number(value)? * unit;
                }
                for (name, value) in named {
                    let (_, unit) = UNITS.iter().find(|(known, _)| known == name)?;
                    total += number(value)? * unit;
                }
                Some(total)
            }
            "schedule" => {
                let named = named.iter().find(|(name, _)| name == "run_every").map(|(_, value)| value);
                seconds(args.first().or(named)?)
            }
            _ => None,
        },
        value => number(value),
    }
}

/// A field of a crontab: a text, a number, or several in a list.
fn field(value: &Py) -> Result<String, String> {
    match value {
        Py::Text(text) => Ok(text.replace(' ', "")),
        Py::Int(number) => Ok(number.to_string()),
        Py::List(items) => Ok(items.iter().map(field).collect::<Result<Vec<_>, _>>()?.join(",")),
        other => Err(format!("{} is worked out by code: the crontab cannot be read", shown(other))),
    }
}

fn text(value: &Py) -> Option<String> {
    match value {
        Py::Text(text) | Py::Name(text) => Some(text.clone()),
        _ => None,
    }
}

fn json(value: &Py) -> Value {
    match value {
        Py::None => Value::Null,
        Py::Bool(flag) => (*flag).into(),
        Py::Int(number) => (*number).into(),
        Py::Float(number) => (*number).into(),
        Py::Text(text) => text.clone().into(),
        Py::List(items) => items.iter().map(json).collect(),
        Py::Dict(pairs) => pairs
            .iter()
            .filter_map(|(name, value)| Some((text(name)?, json(value))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Py::Call { .. } | Py::Name(_) => shown(value).into(),
    }
}

/// As it was written, more or less.
fn shown(value: &Py) -> String {
    let list = |items: &[Py]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match value {
        Py::None => "None".to_owned(),
        Py::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Py::Int(number) => number.to_string(),
        Py::Float(number) => format!("{number:?}"),
        Py::Text(text) => format!("'{}'", text.escape_default()),
        Py::List(items) => format!("[{}]", list(items)),
        Py::Dict(_) => "{…}".to_owned(),
        Py::Name(name) => name.clone(),
        Py::Call { name, args, named } => {
            let args = args
                .iter()
                .map(shown)
                .chain(named.iter().map(|(name, value)| format!("{name}={}", shown(value))));
            format!("{name}({})", args.collect::<Vec<_>>().join(", "))
        }
    }
}

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
            let mut name = name_of(&entry.name);
            let mut nth = 2;
            while names.contains(&name) {
                let tail = format!("_{nth}");
                name = format!(
                    "{}{tail}",
                    &name_of(&entry.name)[..name_of(&entry.name).len().min(NAME_CHARS_MAX - tail.len())]
                );
                nth += 1;
            }
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

#[cfg(test)]
mod tests;
