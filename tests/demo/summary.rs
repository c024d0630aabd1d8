//! What must hold of the summary that a demo ends with.

use serde_json::Value;

const FIGURES: [&str; 15] = [
    "/orders/placed",
    "/orders/completed",
    "/orders/cancelled",
    "/orders/refused",
    "/orders/stuck",
    "/notifications/sent",
    "/notifications/in_doubt",
    "/notifications/truth",
    "/notifications/doubled",
    "/findings/planted",
    "/findings/found",
    "/findings/invented",
    "/rows/read",
    "/rows/used",
    "/rows/rejected",
];

#[track_caller]
pub fn figure(summary: &Value, at: &str) -> u64 {
    summary.pointer(at).and_then(Value::as_u64).unwrap_or_else(|| panic!("{at} is no figure: {summary:#}"))
}

/// The shape that is promised: every figure is there.
#[track_caller]
pub fn has_its_shape(summary: &Value) {
    FIGURES.iter().chain(&["/dead_jobs"]).for_each(|at| {
        figure(summary, at);
    });
    assert!(summary["books"]["balanced"].is_boolean(), "{summary:#}");
    assert!(summary["seconds"].as_f64().unwrap() > 0.0, "{summary:#}");
    let effects = summary["effects"].as_array().unwrap();
    for name in ["ylh.create", "wechat.refund", "mini.subscribe_send", "mail.send"] {
        assert!(effects.iter().any(|effect| effect["effect"] == name), "{name} is missing: {summary:#}");
    }
}

/// All `orders` ended, each effect happened once, and the books balance.
#[track_caller]
pub fn went_well(summary: &Value, orders: u64) {
    let of = |at| figure(summary, at);
    assert_eq!(of("/orders/placed"), orders, "{summary:#}");
    assert_eq!(of("/orders/stuck"), 0, "{summary:#}");
    let ended = of("/orders/completed") + of("/orders/cancelled") + of("/orders/refused");
    assert_eq!(ended, orders, "{summary:#}");
    assert!(of("/orders/completed") > 0, "{summary:#}");
    assert_eq!(of("/dead_jobs"), 0, "{summary:#}");
    assert_eq!(summary["books"]["balanced"], true, "{summary:#}");
    for effect in summary["effects"].as_array().unwrap() {
        let of = |key: &str| figure(effect, &format!("/{key}"));
        assert_eq!(of("doubled"), 0, "{effect} of {summary:#}");
        let possible = of("ours")..=of("ours") + of("in_doubt");
        assert!(possible.contains(&of("truth")), "{effect} of {summary:#}");
    }
    assert_eq!(of("/notifications/doubled"), 0, "{summary:#}");
}
