//! YLH's callbacks: what the form holds and how it is signed (facts: ylh.md 9 and 10).

use serde_json::{Value, json};

use crate::credentials::credentials;
use crate::fault::Fault;
use crate::sealed::ylh_sign;
use crate::times;
use crate::world::event::{CancelOutcome, Line, Verdict};
use crate::world::order::{About, OrderNotice, SupplierOrder};

pub(crate) type Form = Vec<(&'static str, String)>;

/// The form that tells of `owed`, signed. `fault` may spoil the signature or the spelling.
pub(crate) fn form(order: &SupplierOrder, owed: &OrderNotice, fault: Option<Fault>) -> Form {
    let ours = credentials().ylh;
    let method = match owed.about {
        About::Confirmed | About::Refused(_) => "hmm.scm_heorder.confirm",
        About::Cancel(_) => "hmm.scm_heorder.cancel",
        About::OutOfStock(_) => "hmm.scm_heorder.oostock",
    };
    let mut data = data(order, owed, fault == Some(Fault::OddSpelling));
    if fault == Some(Fault::ItemsAsText) && !data["itemList"].is_null() {
        data["itemList"] = json!(data["itemList"].to_string());
    }
    let data = data.to_string();
    let stamp = times::packed(owed.made_at);
    let fields =
        [("AppKey", ours.callback_app_key), ("TimeStamp", &stamp), ("Method", method), ("Data", &data)];
    let secret = if fault == Some(Fault::BadSignature) { "not the secret" } else { ours.callback_secret };
    let sign = ylh_sign(secret, &fields);
    let mut form: Form = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if fault != Some(Fault::Unsigned) {
        form.push((if fault == Some(Fault::SmallSign) { "sign" } else { "Sign" }, sign));
    }
    form
}

fn data(order: &SupplierOrder, owed: &OrderNotice, oddly: bool) -> Value {
    let (state, reason) = match &owed.about {
        About::Confirmed => (1, ""),
        About::Refused(reason) => (0, reason.as_ref()),
        About::OutOfStock(reason) => (1, reason.as_ref()),
        About::Cancel(outcome) => (state_of(outcome), outcome.reason.as_ref()),
    };
    let mut data = json!({"PlatformOrderNo": order.so_id});
    if !matches!(owed.about, About::Refused(_)) {
        data["ExtOrderNo"] = json!(order.ext_order_no());
    }
    data["State"] = if oddly { json!(state.to_string()) } else { json!(state) };
    data[if oddly { "failMsg" } else { "FailMsg" }] = json!(reason);
    if let About::Cancel(outcome) = &owed.about {
        data["itemList"] = outcome.lines.iter().map(item).collect();
    }
    data
}

fn state_of(outcome: &CancelOutcome) -> u8 {
    match outcome.verdict {
        Verdict::Failed => 0,
        Verdict::Whole => 1,
        Verdict::Partly => 2,
    }
}

fn item(line: &Line) -> Value {
    json!({"productCode": line.code, "totalQty": line.qty, "receiveQty": line.received, "returnQty": line.returned,
        "rejectQty": line.rejected})
}

/// Whether the shop took the callback: HTTP 200 and `success:true`.
pub(crate) fn is_taken(status: u16, body: &[u8]) -> bool {
    status == 200
        && serde_json::from_slice::<Value>(body).is_ok_and(|answer| answer["success"] == json!(true))
}
