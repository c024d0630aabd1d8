//! What the routes share by which a person decides: a body of a decision and its reason, and the ways in which it is
//! refused. The decisions themselves are the business's (`windlass_jobs::by_hand`).

use axum::body::Body;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use windlass_jobs::by_hand::{ByHand, NotDone, REASON_BYTES_MAX};

use super::body::{Fields, read_json};
use super::problem::{Fault, Kind, Problem};

const BODY_BYTES_MAX: usize = 16 * 1024;

/// What was decided, and why.
pub struct Decided<T> {
    pub what: T,
    pub reason: String,
}

/// Reads `{<field>: …, reason}`; both are needed.
pub async fn decided<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    field: &'static str,
) -> Result<Decided<T>, Problem> {
    let text = read_json(headers, body, BODY_BYTES_MAX).await?;
    let mut fields = Fields::parse(&text)?;
    let mut faults = Vec::new();
    let what = fields.take::<T>(field, &mut faults);
    if what.is_none() && faults.is_empty() {
        faults.push(Fault::at(format!("/{field}"), "is missing: say what was decided"));
    }
    let reason = reason(&mut fields, &mut faults);
    fields.end(&[field, "reason"], &mut faults);
    match (what, reason) {
        (Some(what), Some(reason)) if faults.is_empty() => Ok(Decided { what, reason }),
        _ => Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults)),
    }
}

/// Reads `{reason}`.
pub async fn reasoned(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let text = read_json(headers, body, BODY_BYTES_MAX).await?;
    let mut fields = Fields::parse(&text)?;
    let mut faults = Vec::new();
    let reason = reason(&mut fields, &mut faults);
    fields.end(&["reason"], &mut faults);
    match reason {
        Some(reason) if faults.is_empty() => Ok(reason),
        _ => Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults)),
    }
}

fn reason(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let told = faults.len();
    let reason = fields.take::<String>("reason", faults);
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    match &reason {
        None if faults.len() == told => {
            faults.push(Fault::at("/reason", "is missing: it stands in the audit log"));
        }
        Some(reason) if reason.len() > REASON_BYTES_MAX || reason.contains(char::is_control) => {
            let message = format!("at most {REASON_BYTES_MAX} bytes, and no control characters");
            faults.push(Fault::at("/reason", message));
        }
        _ => {}
    }
    reason
}

pub fn by<'a>(who: &'a str, reason: &'a str) -> ByHand<'a> {
    ByHand { who, reason }
}

/// A decision that was not carried out, as a problem; `missing` says what there is none of.
pub fn not_done(missing: Kind) -> impl FnOnce(NotDone) -> Problem {
    move |why| match why {
        NotDone::NoSuch(detail) => Problem::new(missing, detail),
        NotDone::NotOpen(detail) => Problem::new(Kind::NotOpen, detail),
        NotDone::Ledger(error) => error.into(),
    }
}
