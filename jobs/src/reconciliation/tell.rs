//! A comparison for people: its cases as CSV, the whole as a page of HTML that needs nothing else.

use std::fmt::{self, Write};

use super::report::{Leg, Report, Side};
use super::view::Reconciliation;
use crate::findings::Finding;
use crate::money::Fen;

/// Cases on the page, and in the document of a comparison; the CSV has all.
pub const PAGE_FINDINGS_MAX: u32 = 500;

const CSV_HEADER: &str = "id,type,key,state,owner,order_no,amount_fen,adjustment_fen,raised_at,settled_at,settled_by,reason,text,evidence\r\n";

/// One case a line, CRLF between (RFC 4180). A text that a spreadsheet would take for a formula begins with a quote.
pub fn csv(findings: &[Finding], with_header: bool) -> String {
    let mut out = if with_header { CSV_HEADER.to_owned() } else { String::new() };
    for case in findings {
        let time = |at: Option<windlass_engine::Timestamp>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let number = |fen: Option<i64>| fen.map(|fen| fen.to_string()).unwrap_or_default();
        let fields = [
            case.id.clone(),
            case.kind.as_str().to_owned(),
            guarded(&case.key),
            case.state.as_str().to_owned(),
            guarded(case.owner.as_deref().unwrap_or_default()),
            guarded(case.order_no.as_deref().unwrap_or_default()),
            number(case.amount_fen),
            number(case.adjustment_fen),
            time(Some(case.raised_at)),
            time(case.settled_at),
            guarded(case.settled_by.as_deref().unwrap_or_default()),
            guarded(case.reason.as_deref().unwrap_or_default()),
            guarded(&case.text),
            case.evidence.to_string(),
        ];
        let line: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out.push_str(&line.join(","));
        out.push_str("\r\n");
    }
    out
}

/// What came from a bill may be meant for the spreadsheet of whoever opens it.
fn guarded(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Text that shows as it is.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;margin:1rem 0;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ddd;\
text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
code{font-size:.9em}.muted{color:#666}.settled{color:#888}";

/// The page. `findings`: the first cases, at most [`PAGE_FINDINGS_MAX`]; `more`: there are others.
pub fn html(of: &Reconciliation, findings: &[Finding], more: bool) -> String {
    let report: Report = serde_json::from_value(of.report.clone()).unwrap_or_default();
    let mut page = String::new();
    // Writing into a text does not fail.
    let _ = write_page(&mut page, of, &report, findings, more);
    page
}

fn write_page(
    page: &mut String,
    of: &Reconciliation,
    report: &Report,
    findings: &[Finding],
    more: bool,
) -> fmt::Result {
    let day = Escaped(&of.day);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Reconciliation of {day}</title>\
         <style>{STYLE}</style></head><body><h1>Reconciliation of {day}</h1>\
         <p>Merchant {}, version {}: <strong>{}</strong>",
        Escaped(&of.mchid),
        of.version,
        of.state.as_str()
    )?;
    match of.finished_at {
        Some(at) => write!(page, ", {} ({:.1} s)</p>", at.to_rfc3339(), report.seconds)?,
        None => write!(page, ", begun {}</p>", of.started_at.to_rfc3339())?,
    }
    if !of.reason.is_empty() {
        write!(page, "<p><strong>{}</strong></p>", Escaped(&of.reason))?;
    }
    bills(page, report)?;
    if of.state == super::ReconciliationState::Done {
        legs(page, report)?;
        if let Some(changed) = &report.changed {
            write!(
                page,
                "<p>Against version {}: {} new findings, {} found again, {} gone, {} superseded.</p>",
                changed.since_version, changed.new, changed.still, changed.gone, changed.superseded
            )?;
        }
        write!(
            page,
            "<p>Sent to be healed: {}; held back by the bound: {}. Revoked payments: {}.</p>",
            report.heals_sent, report.heals_held, report.revoked
        )?;
    }
    match &report.open.oldest_raised_at {
        Some(at) => {
            write!(
                page,
                "<p>Open after it: {} cases, the oldest of {}.</p>",
                report.open.count,
                Escaped(at)
            )?;
        }
        None => page.push_str("<p>No case is open after it.</p>"),
    }
    cases(page, report, findings, more)?;
    page.push_str("</body></html>\n");
    Ok(())
}

fn bills(page: &mut String, report: &Report) -> fmt::Result {
    page.push_str("<table><tr><th>bill</th><th>version</th><th class=\"n\">rows</th><th class=\"n\">bad rows</th><th>SHA1</th></tr>");
    for (name, bill) in [("trade", &report.trade), ("flow of funds", &report.fund)] {
        match bill {
            Some(bill) => write!(
                page,
                "<tr><td>{name}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
                bill.version,
                bill.rows,
                bill.bad_rows,
                Escaped(&bill.sha1)
            )?,
            None => write!(page, "<tr><td>{name}</td><td colspan=\"4\" class=\"muted\">none</td></tr>")?,
        }
    }
    page.push_str("</table>");
    Ok(())
}

fn legs(page: &mut String, report: &Report) -> fmt::Result {
    page.push_str("<table><tr><th></th>");
    for name in ["ours", "WeChat's", "matched", "of other days", "in bills of other days", "carried"] {
        write!(page, "<th class=\"n\">{name}</th>")?;
    }
    page.push_str("</tr>");
    let rows = [
        ("payments", Some(&report.payments)),
        ("refunds", Some(&report.refunds)),
        ("funds", report.funds.as_ref()),
    ];
    for (name, leg) in rows {
        let Some(Leg { ours, theirs, matched, of_other_days, elsewhere, carried }) = leg else { continue };
        write!(page, "<tr><td>{name}</td>")?;
        for Side { count, sum_fen } in [ours, theirs, matched, of_other_days, elsewhere, carried] {
            write!(page, "<td class=\"n\">{count}<br><span class=\"muted\">{}</span></td>", Fen(*sum_fen))?;
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
    Ok(())
}

fn cases(page: &mut String, report: &Report, findings: &[Finding], more: bool) -> fmt::Result {
    if report.findings.is_empty() && findings.is_empty() {
        page.push_str("<p>Nothing was found.</p>");
        return Ok(());
    }
    page.push_str("<h2>Findings</h2><ul>");
    for (kind, count) in &report.findings {
        write!(page, "<li>{}: {count}</li>", Escaped(kind))?;
    }
    page.push_str("</ul>");
    if report.findings_not_raised > 0 {
        write!(page, "<p>{} more were counted and not raised.</p>", report.findings_not_raised)?;
    }
    page.push_str(
        "<table><tr><th>type</th><th>state</th><th>order</th><th class=\"n\">amount</th><th>what</th></tr>",
    );
    for case in findings {
        write!(
            page,
            "<tr{}><td>{}<br><code>{}</code></td><td>{}{}</td><td>{}</td><td class=\"n\">{}</td><td>{}<br>\
             <span class=\"muted\">{}</span></td></tr>",
            if case.state.is_settled() { " class=\"settled\"" } else { "" },
            case.kind.as_str(),
            Escaped(&case.id),
            case.state.as_str(),
            case.owner.as_deref().map(|owner| format!("<br>{}", Escaped(owner))).unwrap_or_default(),
            Escaped(case.order_no.as_deref().unwrap_or_default()),
            case.amount_fen.map(|fen| Fen(fen).to_string()).unwrap_or_default(),
            Escaped(&case.text),
            Escaped(case.reason.as_deref().unwrap_or_default()),
        )?;
    }
    page.push_str("</table>");
    if more {
        page.push_str("<p>There are more: the CSV has all.</p>");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_engine::Timestamp;

    use super::super::ReconciliationState;
    use super::*;
    use crate::findings::{FindingState, FindingType};

    fn case() -> Finding {
        Finding {
            id: "00ff".to_owned(),
            kind: FindingType::BadRow,
            key: "=cmd|'/c calc'!A1".to_owned(),
            state: FindingState::Open,
            owner: None,
            order_no: Some("<script>".to_owned()),
            amount_fen: Some(-5),
            text: "says \"no\",\nand <b>more</b>".to_owned(),
            evidence: json!({ "line": 1 }),
            reason: None,
            settled_by: None,
            adjustment_fen: None,
            raised_at: Timestamp::from_secs(1_767_585_600),
            changed_at: Timestamp::from_secs(1_767_585_600),
            settled_at: None,
        }
    }

    #[test]
    fn a_line_of_csv_is_quoted_and_never_a_formula() {
        let told = csv(&[case()], true);
        let (header, line) = told.split_once("\r\n").unwrap();
        assert_eq!(header.split(',').count(), 14);
        assert_eq!(
            line,
            "00ff,bad_row,'=cmd|'/c calc'!A1,open,,<script>,-5,,2026-01-05T04:00:00.000Z,,,,\
             \"says \"\"no\"\",\nand <b>more</b>\",\"{\"\"line\"\":1}\"\r\n"
        );
        assert_eq!(csv(&[], false), "");
    }

    #[test]
    fn nothing_of_a_bill_becomes_markup() {
        let of = Reconciliation {
            id: "m:2026-01-05:v1".to_owned(),
            mchid: "1900000001".to_owned(),
            day: "2026-01-05".to_owned(),
            version: 1,
            state: ReconciliationState::Done,
            trade_sha1: String::new(),
            fund_sha1: String::new(),
            attempt: 1,
            job_id: String::new(),
            reason: "<i>".to_owned(),
            report: json!(Report { findings: [("bad_row".to_owned(), 1)].into(), ..Report::default() }),
            started_at: Timestamp::from_secs(1_767_585_600),
            finished_at: None,
        };
        let page = html(&of, &[case()], true);
        assert!(
            page.contains("&lt;script&gt;") && page.contains("&lt;b&gt;more") && page.contains("&lt;i&gt;")
        );
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"));
        assert!(page.contains("the CSV has all"));
    }
}
