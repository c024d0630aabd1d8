//! One made-up message a template: templates are tried on it when they are loaded, and people look at it before they
//! trust their own wording.

use serde_json::{Value, json};

use super::Template;
use super::message::{
    AboutOrder, Balance, Counted, DailySummary, DayOfMoney, DayOfOrders, DeadJobsByKind, DeadKind,
    FindingLine, FindingsOfType, FindingsRaised, Line, Message, OrderCancelled, OrderCompleted, OrderPaid,
    OrderRefused, OrderShipped, Parcel, ReceiptReminder, Reconciled, RefundMade, RefundsOpen,
};

/// What the template would speak of.
pub fn sample(template: Template) -> Value {
    match template {
        Template::OrderPaid => of(&OrderPaid { order: order(), amount: "¥2599.98".to_owned() }),
        Template::OrderShipped => of(&shipped()),
        Template::ReceiptReminder => of(&ReceiptReminder { order: order() }),
        Template::OrderCompleted => of(&OrderCompleted { order: order() }),
        Template::OrderCancelled => of(&OrderCancelled { order: order(), reason: "不想要了".to_owned() }),
        Template::OrderRefused => of(&OrderRefused { order: order(), reason: "缺货".to_owned() }),
        Template::RefundMade => of(&RefundMade {
            order: order(),
            refund_no: "R-1001-1".to_owned(),
            amount: "¥1299.99".to_owned(),
            reason: "少发一件".to_owned(),
        }),
        Template::DailySummary => of(&summary()),
        Template::FindingsRaised => of(&findings()),
    }
}

fn of<M: Message>(message: &M) -> Value {
    // A struct of texts and numbers always is JSON.
    serde_json::to_value(message).unwrap_or(json!({}))
}

fn order() -> AboutOrder {
    let line =
        |name: &str, quantity| Line { name: name.to_owned(), quantity, unit_price: "¥1299.99".to_owned() };
    AboutOrder {
        order_no: "SO-1001".to_owned(),
        customer_name: "王小明 <b>&".to_owned(),
        products: "电热水器 60L 等2件".to_owned(),
        lines: vec![line("电热水器 60L", 1), line("厨宝 <6.6L>", 1)],
        total: "¥2599.98".to_owned(),
        time: "2026年1月5日 12:00".to_owned(),
    }
}

fn shipped() -> OrderShipped {
    let parcel =
        |tracking_no: &str| Parcel { carrier: "日日顺".to_owned(), tracking_no: tracking_no.to_owned() };
    OrderShipped {
        order: order(),
        carrier: "日日顺".to_owned(),
        tracking_no: "RRS0000000001".to_owned(),
        parcels: vec![parcel("RRS0000000001"), parcel("RRS0000000002")],
    }
}

fn summary() -> DailySummary {
    let counted = |name: &str, count| Counted { name: name.to_owned(), count };
    DailySummary {
        day: "2026-01-04".to_owned(),
        orders: DayOfOrders {
            placed: 120,
            ended: vec![counted("completed", 98), counted("cancelled", 7), counted("refused", 2)],
            open: 31,
        },
        money: DayOfMoney {
            paid: "¥155998.80".to_owned(),
            paid_count: 113,
            refunded: "¥9099.93".to_owned(),
            refunded_count: 7,
            net: "¥146898.87".to_owned(),
        },
        refunds_open: RefundsOpen {
            count: 2,
            amount: "¥2599.98".to_owned(),
            oldest: Some("2026年1月4日 22:10".to_owned()),
        },
        findings: vec![FindingsOfType {
            name: "long".to_owned(),
            raised: 1,
            open: 2,
            oldest: Some("2026年1月3日 10:20".to_owned()),
        }],
        dead_jobs: DeadJobsByKind {
            total: 1,
            kinds: vec![DeadKind {
                kind: "upload_shipping".to_owned(),
                count: 1,
                reason: "10060004: not shippable".to_owned(),
            }],
            whole: true,
        },
        effects_in_doubt: vec![counted("mail.send", 1)],
        balances: vec![Balance {
            account: "8800000001".to_owned(),
            amount: "¥50000.00".to_owned(),
            asked: "2026年1月5日 8:00".to_owned(),
        }],
        reconciliations: vec![Reconciled {
            day: "2026-01-03".to_owned(),
            what: "trade".to_owned(),
            state: "done".to_owned(),
            findings: 1,
        }],
        is_quiet: false,
    }
}

fn findings() -> FindingsRaised {
    FindingsRaised {
        findings: vec![FindingLine {
            id: "7d1f0a22c4b35e90".to_owned(),
            name: "long".to_owned(),
            order_no: Some("SO-1001".to_owned()),
            amount: Some("¥1299.99".to_owned()),
            text: "WeChat has a payment that we do not know: look for the order.".to_owned(),
            raised: "2026年1月5日 10:21".to_owned(),
        }],
        more: 0,
        open: 3,
    }
}
