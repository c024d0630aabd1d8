//! The books beside WeChat's list of what was paid and shipped: what one side has and the other has not is a case, and
//! nothing else is.

use std::collections::BTreeMap;

use serde_json::json;
use windlass_jobs::by_hand::ByHand;
use windlass_jobs::findings::{FindingState, FindingType};
use windlass_jobs::mini_program::{LogisticsType, PaidOrder, ShippedParcel, ShippingUpload, UploadAnswer};
use windlass_jobs::orders::{CompareShipments, OrderState, OrderView, UploadOutcome, settle_upload};
use windlass_jobs::shop_time::{in_beijing, next_midnight_beijing};
use windlass_sandbox::Span;
use windlass_testing::{Engine, NOON, on_every_engine};

use crate::town::{Plan, Town, fulfil, order};

on_every_engine! {
    a_night_on_which_both_sides_agree_finds_nothing_in_calm_and_in_storm,
    a_shipment_that_wechat_lost_is_a_case_and_is_told_again_by_hand,
    what_somebody_else_shipped_is_a_case_until_the_books_have_it,
    a_payment_that_wechat_does_not_list_is_a_case_until_it_does,
    money_for_an_order_that_nobody_handed_in_is_a_case,
}

/// Half a day in twelve seconds: a day must be over before it is compared.
const SPEED: f64 = 3_600.0;
const BY: ByHand<'static> = ByHand { who: "王会计 (k1)", reason: "looked at the mini-program" };

/// A town whose days are short, and which believes soon that WeChat does not list a payment.
fn short_days(plan: Plan) -> Plan {
    let mut plan = Plan { speed: SPEED, ..plan };
    plan.settings.upload_unknown_payment_s = 60;
    plan
}

/// Nothing comes of an order there.
fn silent(mut plan: Plan) -> Plan {
    plan.pace.confirm = Span::hours(1_000, 1_001);
    plan
}

impl Town {
    /// Has every day compared on which somebody paid, once it is over; answers how many cases of each type there are, and
    /// how many orders each side has.
    async fn compared(&self) -> (BTreeMap<String, u64>, u64, u64) {
        let last_paid = async || self.truth().await.1.payments.values().filter_map(|paid| paid.paid_at).max();
        let last = self.look(last_paid).await.expect("somebody pays");
        let over = next_midnight_beijing(last);
        let is_over = async || (self.ground.clock.now() >= over).then_some(());
        self.look(is_over).await.expect("the day ends");
        let (mut found, mut ours, mut listed, mut at) = (BTreeMap::new(), 0, 0, NOON);
        while at < over {
            let day = in_beijing(at).date_naive().to_string();
            let told = self.result_of(&CompareShipments { day: Some(day) }).await;
            for (kind, n) in told["found"].as_object().expect("by type") {
                *found.entry(kind.clone()).or_default() += n.as_u64().expect("a number");
            }
            ours += told["ours"].as_u64().expect("a number");
            listed += told["listed"].as_u64().expect("a number");
            at = next_midnight_beijing(at);
        }
        (found, ours, listed)
    }

    async fn found(&self) -> BTreeMap<String, u64> {
        self.compared().await.0
    }

    async fn paid_by(&self, no: &str) -> String {
        let view = self.until_view(no, "its payment", |view| view.payment.transaction_id.is_some()).await;
        view.payment.transaction_id.expect("just seen")
    }
}

fn one(kind: &str) -> BTreeMap<String, u64> {
    BTreeMap::from([(kind.to_owned(), 1)])
}

async fn a_night_on_which_both_sides_agree_finds_nothing_in_calm_and_in_storm(engine: Engine) {
    for plan in [Plan::calm(), Plan::storm(11)] {
        let mut plan = short_days(plan);
        // The shop's hours pass in moments: a notice that is there before its order means nothing.
        plan.settings.unknown_order_after_s = 7 * 24 * 3_600;
        let town = Town::build(engine, plan).await;
        for no in ["SO-D001", "SO-D002", "SO-D003"] {
            town.order(no, &["FAKE00001"], Some(5)).await;
        }
        town.order("SO-D004", &["FAKE00001"], None).await;
        town.order("SO-D005", &["NONE0001"], Some(5)).await;
        // While they are on their way, and when they have come to their ends.
        town.compared().await;
        town.cancel("SO-D004").await;
        town.until_ended(5).await;
        // The one whose goods nobody has was paid for, too.
        assert_eq!(town.compared().await, (BTreeMap::new(), 4, 4));
        for no in ["SO-D001", "SO-D002", "SO-D003", "SO-D004", "SO-D005"] {
            let kinds: Vec<_> = town.findings(no).await.iter().map(|found| found.kind).collect();
            let ours = |kind: &FindingType| {
                use FindingType::{Long, PaymentUnlisted, ShipmentMissing, ShipmentUnknown};
                [Long, PaymentUnlisted, ShipmentMissing, ShipmentUnknown].contains(kind)
            };
            assert!(!kinds.iter().any(ours), "{no}: {kinds:?}");
        }
    }
}

async fn a_shipment_that_wechat_lost_is_a_case_and_is_told_again_by_hand(engine: Engine) {
    let town = Town::build(engine, short_days(Plan::calm())).await;
    let mut asked = order("SO-D101", &["FAKE00001"]);
    town.check_out(&asked, Some(5)).await;
    // Another payer than the order says: WeChat takes nothing, and the books are made to say that it did.
    asked.customer.openid = "openid-of-somebody-else".to_owned();
    town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
    town.until_finding("SO-D101", FindingType::UploadRefused, FindingState::Open).await;
    town.write("UPDATE orders SET openid = 'openid-SO-D101'").await;
    town.write("UPDATE shipping_uploads SET state = 'uploaded'").await;

    assert_eq!(town.found().await, one("shipment_missing"));
    let found = town.until_finding("SO-D101", FindingType::ShipmentMissing, FindingState::Open).await;
    assert_eq!(found.evidence["wechat"], "ToShip");
    let waits = |view: &OrderView| view.shipping_upload.as_ref().is_some_and(|up| up.state == "needs_person");
    town.until_view("SO-D101", "a person's turn", waits).await;
    assert_eq!(town.found().await, BTreeMap::new(), "it is a person's, and found once");

    let shop = town.house().shop.clone();
    let again = async move { settle_upload(&shop, "SO-D101", UploadOutcome::Again, BY).await };
    town.house().on_runtime(again).await.expect("settled");
    let uploaded = |view: &OrderView| view.shipping_upload.as_ref().is_some_and(|up| up.state == "uploaded");
    town.until_view("SO-D101", "its upload", uploaded).await;
    town.until_finding("SO-D101", FindingType::ShipmentMissing, FindingState::Resolved).await;
    assert_eq!(town.truth().await.1.payments["SO-D101"].shipped_times, 1);
    assert_eq!(town.found().await, BTreeMap::new());
}

async fn what_somebody_else_shipped_is_a_case_until_the_books_have_it(engine: Engine) {
    let town = Town::build(engine, short_days(silent(Plan::calm()))).await;
    town.order("SO-D201", &["FAKE00001"], Some(5)).await;
    let transaction_id = town.paid_by("SO-D201").await;
    let (shop, now) = (town.house().shop.clone(), town.ground.clock.now());
    let by_hand = async move {
        let parcel = ShippedParcel {
            tracking_no: "YT1".into(),
            express_company: "YTO".into(),
            item_desc: "测试*1".into(),
            contact: None,
        };
        let upload = ShippingUpload {
            order: PaidOrder::TransactionId(transaction_id),
            logistics_type: LogisticsType::Express,
            split: None,
            parcels: vec![parcel],
            uploaded_at: now,
            payer_openid: "openid-SO-D201".into(),
            paid_at: now,
        };
        shop.mini_program.upload_shipping_info(&upload).await
    };
    assert_eq!(town.house().on_runtime(by_hand).await.expect("taken"), UploadAnswer::Done);

    assert_eq!(town.found().await, one("shipment_unknown"));
    let found = town.until_finding("SO-D201", FindingType::ShipmentUnknown, FindingState::Open).await;
    assert_eq!(found.evidence["parcels"], json!(["YT1"]));
    assert_eq!(town.found().await, one("shipment_unknown"), "it is so still");
    town.write(
        "INSERT INTO shipping_uploads (order_no, state, touched_at) VALUES ('SO-D201', 'uploaded', 0)",
    )
    .await;
    town.compared().await;
    town.until_finding("SO-D201", FindingType::ShipmentUnknown, FindingState::Superseded).await;
}

async fn a_payment_that_wechat_does_not_list_is_a_case_until_it_does(engine: Engine) {
    let town = Town::build(engine, short_days(silent(Plan::calm()))).await;
    town.order("SO-D301", &["FAKE00001"], Some(5)).await;
    town.until("SO-D301", OrderState::Placed).await;
    town.write(
        "UPDATE payments SET transaction_id = '4200000000209901010000000001', known_by = transaction_id",
    )
    .await;
    assert_eq!(town.found().await, one("payment_unlisted"));
    town.until_finding("SO-D301", FindingType::PaymentUnlisted, FindingState::Open).await;
    town.write("UPDATE payments SET transaction_id = known_by, known_by = 'query'").await;
    assert_eq!(town.found().await, BTreeMap::new());
    town.until_finding("SO-D301", FindingType::PaymentUnlisted, FindingState::Superseded).await;
}

async fn money_for_an_order_that_nobody_handed_in_is_a_case(engine: Engine) {
    let mut plan = short_days(Plan::calm());
    plan.settings.unknown_order_after_s = 60;
    let town = Town::build(engine, plan).await;
    // Nor does any callback tell of it.
    town.deafen();
    town.check_out(&order("SO-D401", &["FAKE00001"]), Some(5)).await;
    assert_eq!(town.compared().await, (one("long"), 0, 1));
    let found = town.until_finding("SO-D401", FindingType::Long, FindingState::Open).await;
    assert_eq!(found.amount_fen, Some(119_999));
}
