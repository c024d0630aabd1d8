//! From a bill to books that are right: what reconciliation finds is healed by a fresh query, or not at all.

use windlass_engine::NewJob;
use windlass_jobs::findings::{
    Finding, FindingFilter, FindingState, FindingType, NewFinding, finding, finding_id, findings,
};
use windlass_jobs::orders::OrderState;
use windlass_jobs::payments::bill::{BillKey, BillType, BillWriter};
use windlass_jobs::reconciliation::{Day, HealFinding, ReconcilePayments};
use windlass_testing::bills::{MCHID, TradeBill};
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town, fulfil, order};

on_every_engine! {
    money_that_only_the_bill_told_of_goes_back_after_a_fresh_query,
    a_bill_that_wechat_itself_contradicts_moves_no_money,
    a_refund_that_wechat_has_is_recorded_after_a_fresh_query,
}

/// Nobody looks after an order but healing, and it is given up after a minute.
fn left_alone() -> Plan {
    let mut plan = Plan::calm();
    plan.settings.time_to_pay_s = 60;
    plan.settings.sweep_after_s = 30 * 24 * 3_600;
    plan
}

impl Town {
    /// Keeps a bill of today and sends its comparison.
    async fn compare(&self, bill: TradeBill) {
        let ledger = self.house().shop.ledger.clone();
        let day = Day::of(self.ground.clock.now());
        let keep = async move {
            let key = BillKey { mchid: MCHID.to_owned(), day: day.date(), kind: BillType::Trade };
            let mut writer = BillWriter::begin(&ledger, &key).await.expect("begun");
            writer.write(bill.file().as_bytes()).await.expect("written");
            let sealed = writer.seal().await.expect("sealed");
            let mut tx = ledger.begin().await.expect("begun");
            let totals = sealed.totals.as_ref().expect("a bill");
            sealed.make_ready(&mut tx, &key, "made by hand", totals).await.expect("ready");
            tx.commit().await.expect("committed");
        };
        self.house().on_runtime(keep).await;
        let job = ReconcilePayments { day: day.to_string(), again: false };
        self.house().accept(vec![NewJob::of(&job, &self.ground.clock)]).await;
    }

    /// The case of this type, once it is as wanted.
    async fn case(&self, kind: FindingType, wanted: impl Fn(&Finding) -> bool) -> Finding {
        let found = self
            .look(async || {
                let ledger = self.house().shop.ledger.clone();
                let list = async move {
                    let filter = FindingFilter { kind: Some(kind), ..FindingFilter::default() };
                    findings(&ledger, &filter, 10, None).await.expect("listed").findings
                };
                self.house().on_runtime(list).await.into_iter().find(|case| wanted(case))
            })
            .await;
        found.expect("the case is never so")
    }

    /// An order that was given up before anybody paid.
    async fn given_up(&self, no: &str) -> windlass_jobs::orders::Order {
        let order = order(no, &["FAKE00001"]);
        self.house().accept(vec![fulfil(&order, &self.ground.clock)]).await;
        self.until(no, OrderState::Cancelled).await;
        self.deafen();
        order
    }

    /// WeChat's number of a payment, once it is made.
    async fn transaction(&self, no: &'static str) -> String {
        let made = self
            .look(async || {
                let shop = self.house().shop.clone();
                let ask = async move { shop.wechat_pay.query_by_out_trade_no(no).await };
                self.house().on_runtime(ask).await.ok().flatten()?.transaction_id
            })
            .await;
        made.expect("WeChat never has the payment")
    }
}

async fn money_that_only_the_bill_told_of_goes_back_after_a_fresh_query(engine: Engine) {
    let town = Town::build(engine, left_alone()).await;
    let late = town.given_up("SO-8001").await;
    town.check_out(&late, Some(10)).await;
    let transaction = town.transaction("SO-8001").await;
    let now = town.ground.clock.now();
    town.compare(TradeBill::default().payment("SO-8001", &transaction, now, late.total_fen)).await;
    let case = town.case(FindingType::LatePay, |case| case.state == FindingState::Resolved).await;
    assert_eq!((case.key, case.settled_by.as_deref()), (transaction.clone(), Some("heal_finding")));
    assert_eq!(case.evidence["fresh_query"]["transaction_id"], transaction.as_str());
    let back = |view: &windlass_jobs::orders::OrderView| {
        view.refunds.iter().any(|refund| refund.state.as_str() != "requested")
    };
    let view = town.until_view("SO-8001", "its money back", back).await;
    assert_eq!((view.payment.state.as_str(), view.refunds.len()), ("late", 1));
    assert_eq!(view.refunds[0].amount_fen, late.total_fen);
}

async fn a_bill_that_wechat_itself_contradicts_moves_no_money(engine: Engine) {
    let town = Town::build(engine, left_alone()).await;
    let order = town.given_up("SO-8002").await;
    let now = town.ground.clock.now();
    town.compare(TradeBill::default().payment("SO-8002", "4200invented", now, order.total_fen)).await;
    let asked = |case: &Finding| !case.evidence["fresh_query"].is_null();
    let case = town.case(FindingType::LatePay, asked).await;
    assert_eq!((case.state, &case.key), (FindingState::Open, &"4200invented".to_owned()));
    let view = town.view("SO-8002").await.expect("recorded");
    assert_eq!((view.payment.state.as_str(), view.refunds.len()), ("closed", 0));
}

async fn a_refund_that_wechat_has_is_recorded_after_a_fresh_query(engine: Engine) {
    let town = Town::build(engine, left_alone()).await;
    town.order("SO-8003", &["FAKE00001"], Some(5)).await;
    town.until_view("SO-8003", "being paid", |view| view.payment.state.as_str() == "succeeded").await;
    town.cancel("SO-8003").await;
    let view = town.until("SO-8003", OrderState::Cancelled).await;
    let (refund_no, refund_id) = (view.refunds[0].refund_no.clone(), view.refunds[0].refund_id.clone());
    assert!(!refund_id.is_empty());
    // As if its answer and every word of it had been lost.
    town.write("UPDATE refunds SET state = 'requested', refund_id = '', settled_at = NULL").await;
    let shop = town.house().shop.clone();
    let (clock, key) = (town.ground.clock.clone(), refund_no.clone());
    let raise = async move {
        let mut tx = shop.ledger.begin().await.expect("begun");
        let lost = NewFinding {
            kind: FindingType::Status,
            key: &key,
            order_no: Some("SO-8003"),
            amount_fen: None,
            text: "The bill has a refund that is requested in our books.",
            evidence: serde_json::json!({ "out_refund_no": key, "refund_id": refund_id }),
        };
        tx.raise(&lost).await.expect("raised");
        let heal = HealFinding { finding_id: finding_id(FindingType::Status, &key) };
        tx.enqueue(&NewJob::of(&heal, &clock)).await.expect("enqueued");
        tx.commit().await.expect("committed");
    };
    town.house().on_runtime(raise).await;
    town.case(FindingType::Status, |case| case.state == FindingState::Resolved).await;
    let view = town.view("SO-8003").await.expect("recorded");
    assert_eq!((view.refunds[0].state.as_str(), view.refunds.len()), ("succeeded", 1));
    let ledger = town.house().shop.ledger.clone();
    let id = finding_id(FindingType::Status, &refund_no);
    let case = town.house().on_runtime(async move { finding(&ledger, &id).await }).await.expect("read");
    assert_eq!(case.expect("raised").evidence["fresh_query"]["state"], "succeeded");
}
