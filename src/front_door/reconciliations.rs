//! `/v1/reconciliations`: what became of comparing a day's bills with the books, for programs, spreadsheets and
//! people.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_engine::Job;
use windlass_jobs::findings::Finding;
use windlass_jobs::reconciliation::{
    Day, RECONCILIATION_ROWS_MAX, ReconcilePayments, Reconciliation, csv, findings_of, html, reconciliation,
    reconciliations,
};

use super::Door;
use super::body::{Fields, Named, Params, read_json};
use super::business::tell_times;
use super::caller::Caller;
use super::enqueue;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page when the caller does not say.
const RECONCILIATION_ROWS: u32 = 50;
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Cases of one answer in JSON and on one page; the CSV has all.
const FINDINGS_TOLD: u32 = 500;
/// The page has a style of its own and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/reconciliations`: the newest day first, every version of it.
pub async fn list(Given(door): Given<Door>, Params(which): Params<Which>) -> Result<Json<Value>, Problem> {
    let limit = which.limit.unwrap_or(RECONCILIATION_ROWS);
    if !(1..=RECONCILIATION_ROWS_MAX).contains(&limit) {
        let fault = Fault::of("limit", format!("must be between 1 and {RECONCILIATION_ROWS_MAX}"));
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(vec![fault]));
    }
    let mut told = json!(reconciliations(&door.ledger, limit, which.cursor.as_deref()).await?);
    tell_times(&mut told);
    Ok(Json(told))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    version: Option<i64>,
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
    Html,
}

/// `GET /v1/reconciliations/{date}`: the newest version, or the one of `?version=`; as JSON, CSV (its findings, one a
/// line) or HTML by `?format=`, else by what is accepted.
pub async fn show(
    Given(door): Given<Door>,
    Named(date): Named,
    Params(how): Params<How>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let none = |why: String| Problem::new(Kind::NoSuchReconciliation, why);
    let day: Day = date.parse().map_err(|bad| none(format!("{bad}.")))?;
    let of = reconciliation(&door.ledger, day, how.version)
        .await?
        .ok_or_else(|| none(format!("{day} was not compared, or not in that version.")))?;
    match how.format.unwrap_or_else(|| accepted(&headers)) {
        Format::Json => told(&door, &of).await,
        Format::Csv => as_csv(&door, &of).await,
        Format::Html => {
            let (findings, more) = first_findings(&door, &of).await?;
            let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            Ok(([kind, policy], html(&of, &findings, more)).into_response())
        }
    }
}

/// What a browser or a spreadsheet asks for; else JSON.
fn accepted(headers: &HeaderMap) -> Format {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').find_map(|kind| match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => Some(Format::Json),
        "text/csv" => Some(Format::Csv),
        "text/html" => Some(Format::Html),
        _ => None,
    });
    first.unwrap_or(Format::Json)
}

async fn told(door: &Door, of: &Reconciliation) -> Result<Response, Problem> {
    let (findings, more) = first_findings(door, of).await?;
    let mut told = json!(of);
    told["findings"] = json!(findings);
    told["has_more_findings"] = json!(more);
    tell_times(&mut told);
    Ok(Json(told).into_response())
}

async fn first_findings(door: &Door, of: &Reconciliation) -> Result<(Vec<Finding>, bool), Problem> {
    let mut findings = findings_of(&door.ledger, &of.id, FINDINGS_TOLD, "").await?;
    let more = match findings.last() {
        Some(last) if findings.len() == FINDINGS_TOLD as usize => {
            !findings_of(&door.ledger, &of.id, 1, &last.id).await?.is_empty()
        }
        _ => false,
    };
    findings.sort_by(|a, b| (a.kind.as_str(), &a.key).cmp(&(b.kind.as_str(), &b.key)));
    Ok((findings, more))
}

async fn as_csv(door: &Door, of: &Reconciliation) -> Result<Response, Problem> {
    let (mut file, mut after) = (csv(&[], true), String::new());
    loop {
        let page = findings_of(&door.ledger, &of.id, RECONCILIATION_ROWS_MAX, &after).await?;
        file.push_str(&csv(&page, false));
        match page.last() {
            Some(last) => after.clone_from(&last.id),
            None => break,
        }
    }
    let name = format!("attachment; filename=\"reconciliation-{}-v{}.csv\"", of.day, of.version);
    let name = HeaderValue::from_str(&name).map_err(Problem::internal)?;
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], file).into_response())
}

/// `POST /v1/reconciliations`: `{"date", "again"?}` hands in a `reconcile_payments`; the answer is that of
/// `POST /v1/jobs`.
pub async fn run(
    Given(door): Given<Door>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let (mut fields, mut faults) = (Fields::parse(&text)?, Vec::new());
    let date: Option<String> = fields.take("date", &mut faults);
    let again: Option<bool> = fields.take("again", &mut faults);
    fields.end(&["date", "again"], &mut faults);
    match date.as_deref().map(str::parse::<Day>) {
        Some(Ok(_)) => {}
        Some(Err(bad)) => faults.push(Fault::at("/date", bad.to_string())),
        None if faults.iter().any(|fault| fault.pointer.as_deref() == Some("/date")) => {}
        None => faults.push(Fault::at("/date", "is missing")),
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "No such day can be compared.").faults(faults));
    }
    let wanted = json!({
        "kind": ReconcilePayments::KIND,
        "payload": { "day": date, "again": again.unwrap_or(false) },
    });
    enqueue::enqueue_text(&door, &caller, &headers, wanted.to_string().as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_page_and_a_program_json() {
        let of = |accept: &'static str| {
            accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Html);
        assert_eq!(of("text/csv"), Format::Csv);
        assert_eq!(of("application/json, text/html"), Format::Json);
        assert_eq!(of("*/*"), Format::Json);
        assert_eq!(accepted(&HeaderMap::new()), Format::Json);
    }
}
