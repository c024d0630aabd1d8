//! No personal datum and no secret is in a log, whatever goes wrong.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use windlass_sandbox::credentials;

use crate::echo::{self, Echo};
use crate::process::wait::until;
use crate::shop::{BANK, MAIL, MOBILE, NAME, OPENID, SECRET_KEY, STREET, Shop, TOTAL_FEN, handed_in};

/// What must be in no line; the passwords are the sandbox's or the environment's.
fn marks(shop: &Shop) -> Vec<String> {
    let sandbox = credentials();
    let known =
        [NAME, MOBILE, MAIL, STREET, OPENID, BANK, SECRET_KEY, echo::TOKEN, "MARKpassword", &shop.key];
    let passwords = [
        sandbox.haier.client_secret,
        sandbox.haier.password,
        sandbox.haier.seller_password,
        sandbox.haier.customer_password,
        sandbox.ylh.client_password,
        sandbox.ylh.password,
        sandbox.ylh.callback_secret,
        sandbox.wechat_pay.api_v3_key,
        sandbox.mini_program.secret,
    ];
    known.into_iter().chain(passwords).map(str::to_owned).collect()
}

#[track_caller]
fn nothing_is_told(shop: &Shop) {
    let mut texts: Vec<(String, String)> = shop.files().into_iter().collect();
    texts.push(("stderr".to_owned(), shop.running.said()));
    for (file, text) in texts {
        for mark in marks(shop) {
            let lines: Vec<_> = text.lines().filter(|line| line.contains(&mark)).take(3).collect();
            assert!(lines.is_empty(), "{mark} stands in {file}: {lines:#?}");
        }
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn whole_orders_leave_lines_for_everything_and_nothing_personal() {
    let shop = Shop::open(|_, _| {});
    shop.order("SO-L001", "FAKE00001", TOTAL_FEN);
    shop.order("SO-L002", "FAKE00001", TOTAL_FEN);
    // A customer whose goods the supplier cannot deliver: the money goes back.
    shop.order("SO-L003", "FAIL00001", TOTAL_FEN);
    shop.until_state("SO-L001", "completed");
    shop.until_state("SO-L002", "completed");
    shop.until_state("SO-L003", "refused");
    shop.post("/v1/jobs", &json!({ "kind": "flaky", "id": "fl", "payload": { "fail_attempts": 1 } }));
    shop.post("/v1/jobs", &json!({ "kind": "panic", "id": "pa", "max_attempts": 1 }));
    until("both are over", || {
        let over =
            |id: &str, state: &str| shop.get(&format!("/v1/jobs/{id}")).1.contains(&format!("\"{state}\""));
        (over("fl", "completed") && over("pa", "dead")).then_some(())
    });
    assert!(shop.get("/v1/orders/SO-L001").1.contains("SO-L001"));
    nothing_is_told(&shop);

    shop.running.terminate();
    until("its last lines are written", || shop.files()["app"].contains("stopping").then_some(()));
    let files = shop.files();
    // One line an attempt, with all that is to be known of it.
    let app = lines(&files["app"]);
    let of_job = |id: &str| {
        app.iter().filter(|line| line["id"] == id && line["outcome"].is_string()).collect::<Vec<_>>()
    };
    let paid = of_job("fulfil_order:SO-L001");
    assert_eq!(paid.len(), 1, "{paid:#?}");
    assert_eq!(
        (&paid[0]["kind"], &paid[0]["outcome"], &paid[0]["attempt"]),
        (&json!("fulfil_order"), &json!("completed"), &json!(1))
    );
    assert!(
        paid[0]["ran_ms"].is_u64() && paid[0]["waited_ms"].is_u64() && paid[0]["queue"] == "orders",
        "{}",
        paid[0]
    );
    let tries: Vec<_> = of_job("fl").iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(tries, ["retried", "completed"]);
    // A panic is an error with its place, in both files, and as JSON.
    for file in ["app", "error"] {
        let panicked = lines(&files[file]).into_iter().find(|line| line["message"] == "panicked").unwrap();
        assert!(panicked["place"].as_str().unwrap().contains("diagnostics.rs"), "{panicked}");
        assert_eq!(panicked["said"], "panicking on purpose");
    }
    assert!(lines(&files["error"]).iter().all(|line| line["level"] == "ERROR"));
    // Requests by route, with the id of the key.
    let requests = lines(&files["api"]);
    let is_order = |line: &&Value| line["route"] == "/v1/orders/{no}" && line["status"] == 200;
    let order = requests.iter().find(is_order).unwrap();
    assert_eq!(order["method"], "GET");
    assert_eq!(order["key"].as_str().unwrap(), shop.key.split('_').nth(1).unwrap());
    // Statements without what was bound to them.
    let slow = lines(&files["slow"]);
    assert!(slow.iter().all(|line| line["slow_threshold"] == "1ms"), "{:?}", slow.first());
    for file in std::fs::read_dir(shop.logs()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        let wanted = if file.file_name().to_str().unwrap().ends_with(".log") { 0o640 } else { mode & 0o640 };
        assert_eq!(mode, wanted, "{file:?}");
    }
}

#[test]
fn a_supplier_that_echoes_what_it_was_sent_tells_the_log_nothing() {
    let echo = Echo::start();
    let shop = Shop::open(|_, up| {
        for (name, value) in [
            ("YLH_CLIENT_ID", "open_api_shop"),
            ("YLH_CLIENT_PASSWORD", "MARKpassword-of-the-client"),
            ("YLH_USERNAME", "MARKpassword-user"),
            ("YLH_PASSWORD", "MARKpassword-of-the-user"),
            ("YLH_SOURCE_SYSTEM", "SHOP"),
            ("YLH_SHOP_NAME", "Shop"),
            ("YLH_SELLER_CODE", "8800000042"),
            ("YLH_CALLBACK_APP_KEY", "APPKEY9"),
            ("YLH_CALLBACK_SECRET", "MARKpassword-of-callbacks"),
        ] {
            up.env(name, value);
        }
        for base in ["YLH_AUTH_URL", "YLH_ORDER_URL", "YLH_STOCK_URL"] {
            up.env(base, &echo.url);
        }
    });
    shop.order("SO-L101", "FAKE00001", TOTAL_FEN);
    until("the order was placed in vain", || (echo.calls.load(Ordering::Relaxed) > 1).then_some(()));
    let failed = until("the log has it", || {
        let app = shop.files().remove("app")?;
        let line =
            app.lines().find(|line| line.contains("place_supplier_order") && line.contains("HTTP 500"))?;
        Some(line.to_owned())
    });
    assert!(failed.contains("***"), "what was struck out shows as such: {failed}");
    nothing_is_told(&shop);
}

#[test]
fn what_is_refused_tells_the_log_nothing() {
    let shop = Shop::open(|_, _| {});
    // Bodies that are wrong in every way, with everything in them that must not be told.
    let mut wrong = handed_in("SO-L201", "FAKE00001");
    wrong["payload"]["order"]["customer"]["mobile"] = json!({ "number": MOBILE });
    assert_eq!(shop.post("/v1/jobs", &wrong).0, 422);
    let mut unknown = handed_in("SO-L202", "FAKE00001");
    unknown["payload"][NAME] = json!(STREET);
    assert_eq!(shop.post("/v1/jobs", &unknown).0, 422);
    let whole = handed_in("SO-L203", "FAKE00001").to_string();
    assert_eq!(shop.send("/v1/jobs", &whole[..whole.len() - 9], &[&shop.bearer()]).0, 400);
    assert_eq!(
        shop.send("/v1/jobs", &whole, &["X-Api-Key: wl_0123456789ab_MARKpassword-that-is-no-key"]).0,
        401
    );
    let by_phone = [format!("X-Request-Id: {MAIL}"), shop.bearer()];
    assert_eq!(shop.send("/v1/jobs", &whole, &by_phone.each_ref().map(String::as_str)).0, 202);
    for path in [
        format!("/v1/orders/{MOBILE}"),
        format!("/v1/jobs?tag={MOBILE}"),
        format!("/nothing/{MOBILE}?token={OPENID}"),
    ] {
        shop.get(&path);
    }
    // Callbacks of nobody, with what real ones hold.
    let forged = json!({ "mobile": MOBILE, "payer": { "openid": OPENID }, "user_received_account": BANK, "name": NAME });
    for path in ["/callbacks/ylh", "/callbacks/wechat-pay/payment", "/callbacks/wechat-pay/refund"] {
        let signed =
            ["Wechatpay-Signature: MARKpassword", "Wechatpay-Serial: 5157F0", "Wechatpay-Timestamp: 1"];
        let (status, text) = shop.send(path, &forged.to_string(), &signed);
        assert!(status >= 400 || text.contains("fail") || text.contains("false"), "{path}: {status} {text}");
    }
    // Another program's row in the outbox, whose payload is none.
    let ledger = rusqlite::Connection::open(shop.place.data().join("ledger.db")).unwrap();
    ledger.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let payload = json!({ "order": format!("{NAME} {STREET} {MOBILE}") }).to_string();
    ledger
        .execute("INSERT INTO outbox (id, kind, payload) VALUES ('bad-row', 'fulfil_order', ?1)", [payload])
        .unwrap();
    until("the row is set aside", || shop.files().get("error")?.contains("bad-row").then_some(()));
    until("the requests are there", || {
        let files = shop.files();
        let api = files.get("api")?;
        (api.contains("\"status\":401") && api.contains("/callbacks/wechat-pay/refund")).then_some(())
    });
    nothing_is_told(&shop);
}
