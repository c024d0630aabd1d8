//! What only a person can decide, from the command line, with a real server: each decision is carried out once, and what
//! is not open to it is refused with the reason.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::Clock;

use crate::process::wait::{WAIT_MAX, until};
use crate::process::{Ended, Place, Up};
use crate::site::request;

const TOTAL_FEN: i64 = 129_999;
/// What lets a way end soon, and lost messages be looked for.
const SETTINGS: &str = "complete_after_s = 600\nsweep_after_s = 600\ntrack_every_min_s = 60\nrefund_polls_s = [60]\n\
                        refund_gap_s = 60\n";

/// `windlass up` with an hour of the shop in a second.
struct Shop {
    place: Place,
    up: Up,
    till: String,
}

impl Shop {
    fn open() -> Self {
        let place = Place::new();
        let mut command = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
        let an_hour_ago = (Clock::system().wall() - Duration::from_secs(3_600)).to_rfc3339();
        command.env("WINDLASS_SPEED", "3600").env("WINDLASS_SPEED_SINCE", an_hour_ago);
        command.env("WINDLASS_SHOP", place.file("shop.toml", SETTINGS));
        let (running, told) = place.serve(command);
        let address = |of: &Value| of.as_str().unwrap().to_owned();
        let (door, till) = (address(&told["door"]), address(&told["sandbox"]["control"]));
        Self { place, up: Up { running, door }, till }
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.place.run(&[args, &["--server", &self.up.door]].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).well().json()
    }

    /// A customer goes to the till as `payer`, pays `paid_fen`, and orders as `openid`.
    fn order(&self, no: &str, product: &str, payer: &str, openid: &str, paid_fen: i64) {
        let checkout =
            json!({ "out_trade_no": no, "total_fen": paid_fen, "openid": payer, "pays_after_s": 5 });
        let (status, text) = request("POST", &self.till, "/control/payments", &[], &checkout.to_string());
        assert_eq!(status, 200, "{text}");
        let order = json!({ "order": {
            "no": no, "total_fen": TOTAL_FEN,
            "customer": { "openid": openid, "name": "测试", "mobile": "13000000001", "email": "a@customers.example" },
            "address": { "province": "江苏省", "city": "南京市", "area": "鼓楼区", "detail": "测试路1号", "county_code": "320106" },
            "lines": [{ "product_code": product, "name": "电热水器", "quantity": 1, "unit_price_fen": TOTAL_FEN }],
        }});
        self.json(&["enqueue", "fulfil_order", &order.to_string(), "--id", &format!("fulfil_order:{no}")]);
    }

    /// Waits for a case of that type about the order.
    #[track_caller]
    fn until_case(&self, no: &str, kind: &str) -> Value {
        until(&format!("{no} has a case {kind}"), || {
            let page = self.json(&["findings", "list", "--order-no", no, "--type", kind]);
            page["findings"].as_array().unwrap().first().cloned()
        })
    }

    fn case(&self, id: &str) -> Value {
        self.json(&["findings", "show", id])
    }

    /// Waits until the effect is in that state.
    #[track_caller]
    fn until_effect(&self, key: &str, state: &str) -> Value {
        until(&format!("{key} is {state}"), || {
            let page = self.json(&["effects", "list", "--state", state, "--limit", "200"]);
            page["effects"].as_array().unwrap().iter().find(|effect| effect["key"] == key).cloned()
        })
    }
}

#[test]
fn a_case_is_given_to_somebody_and_a_dispute_is_settled_once() {
    let shop = Shop::open();
    shop.order("SO-1001", "FAKE00001", "oONE", "oONE", TOTAL_FEN - 1);
    shop.order("SO-1002", "FAKE00001", "oTWO", "oTWO", TOTAL_FEN + 1);
    let first = shop.until_case("SO-1001", "payment_disputed");
    let (id, other) = (
        first["id"].as_str().unwrap().to_owned(),
        shop.until_case("SO-1002", "payment_disputed")["id"].as_str().unwrap().to_owned(),
    );
    assert_eq!(shop.json(&["findings", "assign", &id, "li"])["owner"], "li");
    let shown = shop.run(&["findings", "show", &id]).well().out;
    assert!(shown.contains("payment_disputed assigned") && shown.contains("owner: li"), "{shown}");
    let his = shop.run(&["findings", "list", "--owner", "li"]).well().out;
    assert!(his.contains(&id) && !his.contains(&other), "{his}");
    shop.run(&["findings", "assign", &id, " "]).says(1, &["owner"]);
    shop.run(&["findings", "assign", "nobody", "li"]).says(1, &["no such finding"]);

    let settle = |no: &str, decision: &str, reason: &str| {
        shop.run(&["payments", "settle", no, "--decision", decision, "--reason", reason])
    };
    settle("SO-1001", "accept", " ").says(1, &["/reason"]);
    settle("SO-1001", "keep", "a gift").says(2, &["keep", "accept"]);
    settle("SO-1009", "accept", "a gift").says(1, &["SO-1009"]);
    let told = settle("SO-1001", "accept", "the voucher was worth a fen").well();
    assert!(told.out.starts_with("SO-1001 paid"), "{told:?}");
    settle("SO-1001", "refund", "changed our mind").says(1, &["not in dispute"]);
    let over = shop.case(&id);
    assert_eq!(
        (&over["state"], &over["reason"]),
        (&json!("resolved"), &json!("the voucher was worth a fen"))
    );
    shop.run(&["findings", "assign", &id, "wang"]).says(1, &["resolved already"]);

    // The case of the other is closed by hand; its money still waits for a decision.
    let resolve = |adjustment: &str| {
        shop.run(&[
            "findings",
            "resolve",
            &other,
            "--reason",
            "a fen too much",
            "--adjustment-fen",
            adjustment,
        ])
    };
    resolve("a fen").says(2, &["--adjustment-fen"]);
    assert!(resolve("-1").well().out.contains("resolved"));
    resolve("-1").says(1, &["resolved already"]);
    assert_eq!(shop.case(&other)["adjustment_fen"], -1);
    assert!(settle("SO-1002", "refund", "paid too much").well().out.starts_with("SO-1002 "), "still open");
    shop.run(&["audit"]).well();
}

#[test]
fn a_refund_that_came_to_nothing_is_made_again_once() {
    let shop = Shop::open();
    // It cannot be bought, so its money goes back; and of this customer every refund is closed.
    shop.order("SO-1001", "NONE0001", "oREFUNDCLOSED", "oREFUNDCLOSED", TOTAL_FEN);
    let id = shop.until_case("SO-1001", "refund_closed")["id"].as_str().unwrap().to_owned();
    let waiting = shop.json(&["refunds", "list", "--state", "needs_person"]);
    assert_eq!(waiting["refunds"][0]["refund_no"], "SO-1001-R1", "{waiting}");
    let replace = |no: &str, reason: &str| shop.run(&["refunds", "replace", no, "--reason", reason]);
    replace("SO-1001-R1", "").says(1, &["/reason"]);
    replace("SO-1001-R7", "no such").says(1, &["SO-1001-R7"]);
    shop.run(&["refunds", "replace", "SO-1001-R1"]).says(2, &["--reason"]);
    let told = replace("SO-1001-R1", "the card is mended").well();
    assert!(told.out.contains("SO-1001-R1 replaced by SO-1001-R2"), "{told:?}");
    replace("SO-1001-R1", "once more").says(1, &["was replaced by SO-1001-R2"]);
    let over = shop.case(&id);
    assert_eq!((&over["state"], &over["reason"]), (&json!("resolved"), &json!("the card is mended")));
    shop.run(&["refunds", "list", "--state", "lost"]).says(1, &["needs_person"]);
    // The second is closed as well: a matter of its own.
    let listed = until("its end", || {
        let listed = shop.json(&["refunds", "list", "--state", "needs_person"]);
        (listed["refunds"][0]["refund_no"] == "SO-1001-R2").then_some(listed)
    });
    assert_eq!(listed["refunds"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn a_message_in_doubt_is_sent_again_only_by_a_persons_word() {
    let shop = Shop::open();
    shop.order("SO-1001", "FAKE00001", "oONE", "oONE", TOTAL_FEN);
    let key = "mail.send:SO-1001:order_paid:paid:mail";
    shop.until_effect(key, "done");
    let settle = |key: &str, outcome: &str, reason: &str| {
        shop.run(&["effects", "settle", key, "--outcome", outcome, "--reason", reason])
    };
    settle(key, "never_happened", "nobody got it").says(1, &["is done: nobody is in doubt about it"]);

    // As a mail server leaves it that takes a message and goes away without a word.
    let ledger = rusqlite::Connection::open(shop.place.data().join("ledger.db")).unwrap();
    ledger.busy_timeout(WAIT_MAX).unwrap();
    ledger
        .execute_batch(
            "BEGIN IMMEDIATE; \
             UPDATE effects SET state = 'in_doubt', settled_at = NULL, answer = NULL \
             WHERE key = 'mail.send:SO-1001:order_paid:paid:mail'; \
             UPDATE notifications SET state = 'in_doubt' \
             WHERE order_no = 'SO-1001' AND template = 'order_paid' AND channel = 'mail'; \
             COMMIT",
        )
        .unwrap();
    let listed = shop.run(&["effects", "list"]).well().out;
    assert!(listed.contains(key) && listed.contains("in_doubt"), "{listed}");
    settle(key, "never_happened", "\t").says(1, &["/reason"]);
    settle(key, "perhaps", "who knows").says(2, &["perhaps", "never_happened"]);
    settle("mail.send:nobody", "done", "it was there").says(1, &["mail.send:nobody"]);
    let told = settle(key, "never_happened", "the customer's server has nothing of it").well();
    assert!(told.out.contains("never_happened"), "{told:?}");
    // The next sweep sends it.
    let sent = shop.until_effect(key, "done");
    assert!(sent["tells"].as_i64().unwrap() >= 2, "{sent}");
    settle(key, "refused", "too late").says(1, &["nobody is in doubt about it"]);
    shop.run(&["effects", "list", "--state", "lost"]).says(1, &["in_doubt"]);
}

#[test]
fn a_shipment_that_wechat_does_not_take_is_settled_once() {
    let shop = Shop::open();
    // Another payer than the order says.
    shop.order("SO-1001", "FAKE00001", "oPAYER", "oSOMEBODYELSE", TOTAL_FEN);
    let id = shop.until_case("SO-1001", "upload_refused")["id"].as_str().unwrap().to_owned();
    let settle = |no: &str, outcome: &str, reason: &str| {
        shop.run(&["uploads", "settle", no, "--outcome", outcome, "--reason", reason])
    };
    settle("SO-1001", "lost", "who knows").says(2, &["lost", "not_needed"]);
    settle("SO-1001", "not_needed", "").says(1, &["/reason"]);
    settle("SO-1009", "not_needed", "no such").says(1, &["SO-1009"]);
    assert!(settle("SO-1001", "not_needed", "shipped by hand").well().out.contains("SO-1001 not_needed"));
    settle("SO-1001", "again", "changed our mind").says(1, &["nothing is to be decided"]);
    assert_eq!(shop.case(&id)["state"], "resolved");
}
