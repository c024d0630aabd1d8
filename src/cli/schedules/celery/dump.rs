//! Beat entries as JSON: the dictionary of `beat_schedule`, or a dump of django-celery-beat's tables
//! (facts: celery-wire.md 10).

use serde_json::{Map, Value};

use super::super::python::{Py, expression, tokens};
use super::{Beat, Entry, every};

const APP: &str = "django_celery_beat.";

pub(super) fn read(json: &Value, zone: Option<&str>) -> Result<Beat, String> {
    match json {
        Value::Array(rows) => Ok(dumped(rows, zone)),
        Value::Object(entries) => {
            let mut notes = Vec::new();
            let zone = zone.unwrap_or_else(|| {
                notes.push(
                    "no timezone is said: the crontabs are read in UTC, as Celery does; see --zone"
                        .to_owned(),
                );
                "UTC"
            });
            let entries = entries.iter().map(|(name, value)| listed(name, value, zone)).collect();
            Ok(Beat { entries, notes })
        }
        _ => Err("it is neither a dictionary of entries nor a dump".to_owned()),
    }
}

fn listed(name: &str, value: &Value, zone: &str) -> Entry {
    let mut entry = Entry::new(name, text(value, "task"));
    match value.get("schedule") {
        Some(Value::Number(number)) => {
            entry.source = number.to_string();
            entry.rhythm = every(number.as_f64());
        }
        Some(Value::String(written)) => said(&mut entry, written, zone),
        Some(Value::Object(fields)) => {
            let fields = fields.get("crontab").and_then(Value::as_object).unwrap_or(fields);
            from_fields(&mut entry, fields, zone);
        }
        _ => {}
    }
    content(&mut entry, value.get("args"), value.get("kwargs"));
    let options = value.get("options").and_then(Value::as_object);
    for (option, value) in options.into_iter().flatten() {
        entry.option(option, &python(value));
    }
    entry
}

/// `crontab(minute=30)`, or what Python shows of one: `<crontab: 30 * * * * (m/h/dM/MY/d)>`.
fn said(entry: &mut Entry, written: &str, zone: &str) {
    let repr = written.trim().strip_prefix("<crontab:").and_then(|rest| rest.split('(').next());
    match repr {
        Some(fields) => {
            entry.source = written.to_owned();
            let fields: Vec<String> = fields.split_whitespace().map(str::to_owned).collect();
            entry.rhythm = match <[String; 5]>::try_from(fields) {
                Ok(fields) => entry.six(fields, zone),
                Err(_) => Err("a crontab has five fields".to_owned()),
            };
        }
        None => match expression(&tokens(written), &mut 0) {
            Ok(schedule) => entry.fires(&schedule, zone),
            Err(why) => entry.rhythm = Err(why),
        },
    }
}

fn from_fields(entry: &mut Entry, fields: &Map<String, Value>, zone: &str) {
    if let Some(number) = fields.get("every").and_then(Value::as_f64) {
        let period = fields.get("period").and_then(Value::as_str).unwrap_or("seconds");
        entry.source = format!("every {number} {period}");
        let unit = match period {
            "days" => 86_400.0,
            "hours" => 3_600.0,
            "minutes" => 60.0,
            "seconds" => 1.0,
            "microseconds" => 1e-6,
            other => {
                entry.rhythm = Err(format!("the period {other} is not known"));
                return;
            }
        };
        entry.rhythm = every(Some(number * unit));
        return;
    }
    let named = fields.iter().filter(|(name, _)| *name != "timezone");
    let named = named.map(|(name, value)| (name.clone(), python(value))).collect();
    let zone = fields.get("timezone").and_then(Value::as_str).unwrap_or(zone);
    entry.fires(&Py::Call { name: "crontab".to_owned(), args: Vec::new(), named }, zone);
}

/// The rows of `manage.py dumpdata django_celery_beat`.
fn dumped(rows: &[Value], zone: Option<&str>) -> Beat {
    let of = |model: &str| {
        let model = format!("{APP}{model}");
        rows.iter().filter(move |row| text(row, "model") == model)
    };
    let find =
        |model: &str, key: &Value| of(model).find(|row| row.get("pk") == Some(key)).map(|row| &row["fields"]);
    let mut entries = Vec::new();
    for task in of("periodictask").map(|row| &row["fields"]) {
        let mut entry = Entry::new(&text(task, "name"), text(task, "task"));
        let key = |name: &str| task.get(name).filter(|key| !key.is_null());
        if let Some(fields) =
            key("crontab").and_then(|key| find("crontabschedule", key)).and_then(Value::as_object)
        {
            from_fields(&mut entry, fields, zone.unwrap_or("UTC"));
        } else if let Some(fields) =
            key("interval").and_then(|key| find("intervalschedule", key)).and_then(Value::as_object)
        {
            from_fields(&mut entry, fields, "UTC");
        } else if key("solar").is_some() {
            entry.rhythm = Err("a solar schedule has no equivalent".to_owned());
        } else if key("clocked").is_some() {
            entry.rhythm = Err("it fires once: hand in a job with run_at".to_owned());
        }
        if task.get("one_off") == Some(&Value::Bool(true)) && entry.rhythm.is_ok() {
            entry.rhythm = Err("one_off: it fires once; hand in a job with run_at".to_owned());
        }
        let inner = |name: &str| serde_json::from_str::<Value>(&text(task, name)).ok();
        content(&mut entry, inner("args").as_ref(), inner("kwargs").as_ref());
        entry.queue = Some(text(task, "queue")).filter(|queue| !queue.is_empty());
        entry.expires_s = task.get("expire_seconds").and_then(Value::as_f64);
        entry.enabled = task.get("enabled") != Some(&Value::Bool(false));
        entries.push(entry);
    }
    Beat { entries, notes: Vec::new() }
}

fn content(entry: &mut Entry, args: Option<&Value>, kwargs: Option<&Value>) {
    entry.args = args.and_then(Value::as_array).cloned().unwrap_or_default();
    let kwargs = kwargs.and_then(Value::as_object).cloned().unwrap_or_default();
    entry.kwargs = kwargs.into_iter().collect();
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A JSON value as Python would have it.
fn python(value: &Value) -> Py {
    match value {
        Value::Null => Py::None,
        Value::Bool(flag) => Py::Bool(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Py::Float(number.as_f64().unwrap_or_default()), Py::Int)
        }
        Value::String(text) => Py::Text(text.clone()),
        Value::Array(items) => Py::List(items.iter().map(python).collect()),
        Value::Object(members) => {
            Py::Dict(members.iter().map(|(name, value)| (Py::Text(name.clone()), python(value))).collect())
        }
    }
}
