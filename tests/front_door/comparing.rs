//! Findings and reconciliations through the door.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use windlass_jobs::findings::{FindingType, NewFinding, finding_id};
use windlass_jobs::payments::bill::{BillKey, BillType, BillWriter};
use windlass_jobs::reconciliation::{Compared, Day, Wanted, compare};

use crate::support::{TestDoor, normal};

const MCHID: &str = "1900000001";

async fn raise(door: &TestDoor, kind: FindingType, key: &str) -> String {
    let mut tx = door.ledger.begin().await.unwrap();
    let finding = NewFinding {
        kind,
        key,
        order_no: Some("SO-1"),
        amount_fen: Some(129_999),
        text: "WeChat took a payment that our books lack.",
        evidence: json!({ "line": 2, "paid_at": "2026-01-05T04:00:00.000Z" }),
    };
    tx.raise(&finding).await.unwrap();
    tx.commit().await.unwrap();
    finding_id(kind, key)
}

#[tokio::test]
async fn a_case_is_listed_taken_and_settled() {
    let door = TestDoor::open().await;
    let id = raise(&door, FindingType::Long, "4201").await;
    raise(&door, FindingType::Fee, "4202").await;
    let list = door.get("/v1/findings?type=long&state=open").await.json();
    assert_eq!(list["findings"].as_array().unwrap().len(), 1);
    let page = door.get("/v1/findings?limit=1").await.json();
    let rest = door.get(&format!("/v1/findings?cursor={}", page["cursor"].as_str().unwrap())).await.json();
    assert_eq!((rest["findings"].as_array().unwrap().len(), &rest["cursor"]), (1, &Value::Null));

    let path = format!("/v1/findings/{id}");
    assert_eq!(door.post(&format!("{path}/assign"), &json!({ "owner": "li" })).await.json()["owner"], "li");
    let settle = json!({ "reason": "booked", "adjustment_fen": -5 });
    let resolved = door.post(&format!("{path}/resolve"), &settle).await;
    assert_eq!(resolved.json()["state"], "resolved");
    assert_json_snapshot!("a_settled_finding", normal(door.get(&path).await.json()));
    let again = door.post(&format!("{path}/resolve"), &json!({ "reason": "booked" })).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "finding-settled"));
}

#[tokio::test]
async fn what_is_wrong_about_a_case_is_told_with_its_place() {
    let door = TestDoor::open().await;
    let id = raise(&door, FindingType::Long, "4201").await;
    for (path, body, status, problem, place) in [
        ("/v1/findings/none/assign".to_owned(), json!({ "owner": "li" }), 404, "no-such-finding", ""),
        (format!("/v1/findings/{id}/assign"), json!({}), 422, "invalid-request", "/owner"),
        (format!("/v1/findings/{id}/assign"), json!({ "owner": 7 }), 422, "invalid-request", "/owner"),
        (format!("/v1/findings/{id}/resolve"), json!({ "reason": " " }), 422, "invalid-request", "/reason"),
        (
            format!("/v1/findings/{id}/resolve"),
            json!({ "reason": "x", "adjustment_fen": "5" }),
            422,
            "invalid-request",
            "/adjustment_fen",
        ),
    ] {
        let answer = door.post(&path, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{path} {body}");
        let told = &answer.json()["errors"][0]["pointer"];
        assert_eq!(told.as_str().unwrap_or_default(), place, "{path} {body}");
    }
    for query in ["type=ugly", "state=tired", "limit=0", "limit=501", "cursor=what", "colour=red"] {
        assert_eq!(door.get(&format!("/v1/findings?{query}")).await.status, 422, "{query}");
    }
    assert_eq!(door.get("/v1/findings/none").await.problem(), "no-such-finding");
}

/// A bill of one payment that nobody here knows.
async fn compared(door: &TestDoor) {
    let day: Day = "2026-01-05".parse().unwrap();
    let header = "交易时间,商户号,微信订单号,商户订单号,交易状态,应结订单金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款状态,手续费,费率,订单金额,申请退款金额";
    let line = "`2026-01-05 10:00:00,`1900000001,`4201,`<b>XX</b>,`SUCCESS,`7.00,`0,`0,`0.00,`0.00,`,`0.04000,`0.60%,`7.00,`0.00";
    let summary = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\n`1,`7.00,`0.00,`0.00,`0.04000,`7.00,`0.00";
    let key = BillKey { mchid: MCHID.to_owned(), day: day.date(), kind: BillType::Trade };
    let mut writer = BillWriter::begin(&door.ledger, &key).await.unwrap();
    writer.write(format!("{header}\n{line}\n{summary}\n").as_bytes()).await.unwrap();
    let sealed = writer.seal().await.unwrap();
    let mut tx = door.ledger.begin().await.unwrap();
    sealed.make_ready(&mut tx, &key, "abc", sealed.totals.as_ref().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = Wanted::new(MCHID, day, "job", &door.shop.settings);
    let ended = compare(&door.ledger, &wanted).await.unwrap();
    assert!(matches!(ended, Compared::Done(_)), "{ended:?}");
}

#[tokio::test]
async fn a_comparison_is_told_as_json_as_csv_and_as_a_page() {
    let door = TestDoor::open().await;
    compared(&door).await;
    let path = "/v1/reconciliations/2026-01-05";
    let mut told = door.get(path).await.json();
    told["report"]["seconds"] = json!(0.0);
    told["report"]["trade"]["id"] = json!("a bill");
    assert_json_snapshot!("a_reconciliation", normal(told));
    let csv = door.get(&format!("{path}?format=csv")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let file = "attachment; filename=\"reconciliation-2026-01-05-v1.csv\"";
    assert_eq!((csv.header("content-disposition"), csv.text.lines().count()), (Some(file), 2));
    let page = door.get(&format!("{path}?format=html&version=1")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(page.text.contains("&lt;b&gt;XX&lt;/b&gt;") && !page.text.contains("<b>XX"), "{}", page.text);
    let list = door.get("/v1/reconciliations").await.json();
    assert_eq!(list["reconciliations"][0]["day"], "2026-01-05");
    for (path, status) in [
        ("/v1/reconciliations/2026-01-06", 404),
        ("/v1/reconciliations/yesterday", 404),
        ("/v1/reconciliations/2026-01-05?version=2", 404),
        ("/v1/reconciliations/2026-01-05?format=pdf", 422),
        ("/v1/reconciliations?limit=0", 422),
        ("/v1/reconciliations?cursor=what", 422),
    ] {
        assert_eq!(door.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_comparison_by_hand_is_a_job_like_any_other() {
    let door = TestDoor::open().await;
    for (body, place) in [
        (json!({}), "/date"),
        (json!({ "date": "yesterday" }), "/date"),
        (json!({ "date": "2026-01-05", "again": "yes" }), "/again"),
    ] {
        let answer = door.post("/v1/reconciliations", &body).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!(place)), "{body}");
    }
    // The kinds of the tests' door are its own: what it says of this one is what it says of any.
    let answer = door.post("/v1/reconciliations", &json!({ "date": "2026-01-05" })).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "unknown-kind"));
}
