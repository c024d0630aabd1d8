//! `windlass up` with log files and the most talkative log that a shop would choose, and customers whose every trait is
//! known again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::wait::until;
use crate::process::{Place, Running};
use crate::site::request;

/// Longer than an order takes on a busy machine.
/// A day of the shop in less than half a minute.
const SPEED: &str = "3600";
/// What lets a way end soon.
const SETTINGS: &str = "complete_after_s = 600\nsweep_after_s = 1800\ntrack_every_min_s = 60\ntrack_every_max_s = 1800\n\
                        refund_polls_s = [60]\nrefund_gap_s = 60\n";

pub const NAME: &str = "标记人甲";
pub const MOBILE: &str = "13911112222";
pub const MAIL: &str = "mark.person@customers.example";
pub const STREET: &str = "标记路七十七号";
pub const OPENID: &str = "oMARKopenidABCDEFGHIJKLMNOPQ";
pub const BANK: &str = "标记银行卡0403";
pub const SECRET_KEY: &str = "MARKsecretkey-0123456789-abcdefghijklmnop";

pub struct Shop {
    pub place: Place,
    pub door: String,
    /// The sandbox's control port; empty where it is elsewhere.
    pub till: String,
    pub running: Running,
    /// An API key, as it is shown at the door.
    pub key: String,
}

impl Shop {
    pub fn open(prepare: impl FnOnce(&Place, &mut Command)) -> Self {
        let place = Place::new();
        let settings = |command: &mut Command| {
            command.env("WINDLASS_LOG", "debug").env("WINDLASS_LOG_DIR", place.path("logs"));
            command.env("WINDLASS_SLOW_QUERY_MS", "1").env("SECRET_KEY", SECRET_KEY);
        };
        let mut keys = place.command(&["keys", "create", "--name", "shop", "--scopes", "admin", "--json"]);
        settings(&mut keys);
        let key = place.start(keys).end().well().json()["key"].as_str().unwrap().to_owned();

        let mut up = place.command(&["up", "--json", "--listen", "127.0.0.1:0"]);
        settings(&mut up);
        up.env("WINDLASS_SPEED", SPEED).env("WINDLASS_SPEED_SINCE", an_hour_ago());
        up.env("WINDLASS_SHOP", place.file("shop.toml", SETTINGS));
        prepare(&place, &mut up);
        let (running, told) = place.serve(up);
        let address = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let (door, till) = (address(&told["door"]), address(&told["sandbox"]["control"]));
        Self { place, door, till, running, key }
    }

    pub fn logs(&self) -> PathBuf {
        self.place.path("logs")
    }

    /// Status and text.
    pub fn get(&self, path: &str) -> (u16, String) {
        request("GET", &self.door, path, &[&self.bearer()], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, String) {
        self.send(path, &body.to_string(), &[&self.bearer()])
    }

    pub fn send(&self, path: &str, body: &str, headers: &[&str]) -> (u16, String) {
        request("POST", &self.door, path, headers, body)
    }

    pub fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.key)
    }

    /// The customer goes to the till, pays `paid_fen` and orders.
    pub fn order(&self, no: &str, product: &str, paid_fen: i64) {
        let checkout =
            json!({ "out_trade_no": no, "total_fen": paid_fen, "openid": OPENID, "pays_after_s": 5 });
        let (status, text) = request("POST", &self.till, "/control/payments", &[], &checkout.to_string());
        assert_eq!(status, 200, "{text}");
        let (status, text) = self.post("/v1/jobs", &handed_in(no, product));
        assert_eq!(status, 202, "{text}");
    }

    pub fn view(&self, no: &str) -> Option<Value> {
        let (status, text) = self.get(&format!("/v1/orders/{no}"));
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// Waits until the order is in that state.
    #[track_caller]
    pub fn until_state(&self, no: &str, state: &str) -> Value {
        until(&format!("{no} is {state}"), || {
            self.view(no).filter(|view| view["state"] == state || view["order"]["state"] == state)
        })
    }

    /// Every log file under its stream (`app`, `audit`), all processes together.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for file in fs::read_dir(self.logs()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(stream) = name.strip_suffix(".log").and_then(|name| name.split('-').next()) {
                files.entry(stream.to_owned()).or_default().push_str(&fs::read_to_string(path).unwrap());
            }
        }
        files
    }

    /// The payment audit, in the order of writing.
    pub fn audit(&self) -> Vec<Value> {
        let files = self.files();
        let text = files.get("audit").map_or("", String::as_str);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub const TOTAL_FEN: i64 = 129_999;

pub fn handed_in(no: &str, product: &str) -> Value {
    json!({
        "kind": "fulfil_order", "id": format!("fulfil_order:{no}"), "tags": [format!("order:{no}")],
        "payload": { "order": {
            "no": no, "total_fen": TOTAL_FEN, "remark": format!("请打电话 {MOBILE} 给{NAME}"),
            "customer": { "openid": OPENID, "name": NAME, "mobile": MOBILE, "email": MAIL },
            "address": { "province": "江苏省", "city": "南京市", "area": "鼓楼区", "detail": STREET, "county_code": "320106" },
            "lines": [{ "product_code": product, "name": "电热水器", "quantity": 1, "unit_price_fen": TOTAL_FEN }],
        }},
    })
}

fn an_hour_ago() -> String {
    let clock = windlass_engine::Clock::system();
    (clock.wall() - Duration::from_secs(3_600)).to_rfc3339()
}
