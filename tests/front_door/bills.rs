//! Bills as people see them through the door.

use chrono::NaiveDate;
use insta::assert_json_snapshot;
use windlass_jobs::payments::bill::{BillKey, BillType, BillWriter};

use crate::support::{TestDoor, normal};

const FUND: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号
`2026-01-05 10:00:00,`4200,`F4200,`交易,`交易,`收入,`5.00,`105.00,`system,`,`SO-1
资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额
`1.0,`1.0,`5.01,`0.0,`0.00
";

async fn store(door: &TestDoor, day: u32) {
    let day = NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
    let key = BillKey { mchid: "1900000001".to_owned(), day, kind: BillType::Fund };
    let mut writer = BillWriter::begin(&door.ledger, &key).await.unwrap();
    writer.write(FUND.as_bytes()).await.unwrap();
    let sealed = writer.seal().await.unwrap();
    let totals = sealed.totals.clone().unwrap();
    let mut tx = door.ledger.begin().await.unwrap();
    sealed.make_ready(&mut tx, &key, &"ab".repeat(20), &totals).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn bills_are_listed_with_what_they_came_to() {
    let door = TestDoor::open().await;
    assert_eq!(door.get("/v1/bills").await.json()["bills"], serde_json::json!([]));
    for day in 3..=5 {
        store(&door, day).await;
    }
    let told = door.get("/v1/bills?day=2026-01-05").await.json();
    assert_json_snapshot!("a_bill", normal(told));
    let first = door.get("/v1/bills?limit=2").await.json();
    let rest = door.get(&format!("/v1/bills?cursor={}", first["cursor"].as_str().unwrap())).await.json();
    assert_eq!((&rest["bills"][0]["day"], &rest["cursor"]), (&"2026-01-03".into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_list_of_bills_that_cannot_be_is_refused() {
    let door = TestDoor::open().await;
    for query in ["day=yesterday", "day=2026-1-5", "limit=0", "limit=501", "cursor=nonsense", "state=ready"] {
        let answer = door.get(&format!("/v1/bills?{query}")).await;
        assert_eq!(answer.problem(), "invalid-request", "{query}");
    }
}
