//! Values of Python as an entry needs them: lengths in seconds, fields of a crontab, JSON.

use serde_json::Value;

use super::super::python::Py;

/// A number, a `timedelta(…)` or a `schedule(run_every=…)` in seconds.
pub(super) fn seconds(value: &Py) -> Option<f64> {
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
pub(super) fn field(value: &Py) -> Result<String, String> {
    match value {
        Py::Text(text) => Ok(text.replace(' ', "")),
        Py::Int(number) => Ok(number.to_string()),
        Py::List(items) => Ok(items.iter().map(field).collect::<Result<Vec<_>, _>>()?.join(",")),
        other => Err(format!("{} is worked out by code: the crontab cannot be read", shown(other))),
    }
}

pub(super) fn text(value: &Py) -> Option<String> {
    match value {
        Py::Text(text) | Py::Name(text) => Some(text.clone()),
        _ => None,
    }
}

pub(super) fn json(value: &Py) -> Value {
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
pub(super) fn shown(value: &Py) -> String {
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
