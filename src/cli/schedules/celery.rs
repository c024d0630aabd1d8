//! The beat entries of a Celery installation as schedules, each with the times at which it will really fire: a
//! `crontab(minute=30)` that somebody took for "every 30 minutes" shows itself.
//!
//! Read from Python source (nothing of it runs), from JSON of the same dictionary, or from a dump of
//! django-celery-beat's tables. Facts: celery-wire.md 10. What has no equivalent is refused with its reason, never left out.

use std::time::Duration;

use serde_json::Value;
use windlass_engine::schedule::Rhythm;

use super::crontab::{Dialect, Fields};
use super::python::{Py, Token, Word, expression, tokens};

mod dump;
mod values;
mod write;

use self::values::{field, json, seconds, shown, text};

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

#[cfg(test)]
mod tests;
