//! The course of things: takes each step when its time has come. Most steps only make a fact; a notice has to be
//! delivered first, and is told again until the shop takes it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::http::{HeaderValue, header};
use tokio::task::JoinSet;
use windlass_engine::Timestamp;

use crate::config::{Callbacks, Pace};
use crate::fault::{Endpoint, Fault};
use crate::wechat_pay::notices::{Letter, PayNotice};
use crate::wechat_pay::{Keys, notices};
use crate::world::event::Fact;
use crate::world::order::Stage;
use crate::world::state::State;
use crate::world::step::{Lane, Step, StepKind};
use crate::world::{Scene, Unrecorded, World};
use crate::{wechat_pay, ylh};

/// Callbacks under way at the same time.
const DELIVERIES_MAX: usize = 32;
/// Real time that the shop has to answer a callback (facts: wechat-pay.md 4).
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Course {
    world: Arc<World>,
    keys: Arc<Keys>,
    http: reqwest::Client,
}

impl Course {
    pub(crate) fn new(world: Arc<World>, keys: Arc<Keys>) -> Result<Self> {
        // An error means that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { world, keys, http })
    }

    /// Runs until it is dropped, and the deliveries under way with it.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::join!(self.happenings(), self.tellings());
    }

    async fn happenings(&self) {
        loop {
            self.happen(self.due(Lane::Happen).await);
        }
    }

    async fn tellings(self: &Arc<Self>) {
        let mut deliveries = JoinSet::new();
        loop {
            let step = self.due(Lane::Tell).await;
            while deliveries.len() >= DELIVERIES_MAX {
                deliveries.join_next().await;
            }
            while deliveries.try_join_next().is_some() {}
            let course = Arc::clone(self);
            deliveries.spawn(async move { course.tell(step).await });
        }
    }

    /// Waits for the next step that is due.
    async fn due(&self, lane: Lane) -> Step {
        loop {
            if let Some(step) = self.world.take_due(lane) {
                return step;
            }
            let until_due = async {
                match self.world.next_due(lane) {
                    Some(at) => self.world.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = until_due => {}
                () = self.world.changed(lane) => {}
            }
        }
    }

    /// Makes a fact of a step that needs nobody else.
    fn happen(&self, step: Step) {
        self.world.act(|scene| {
            scene.forget(step);
            let fact = fact_of(scene.state(), step, self.world.seed, &self.world.pace, scene.now());
            // What cannot be written down has been logged and did not happen; a restart takes it up again.
            if let Some(fact) = fact {
                let _: Result<(), Unrecorded> = scene.record(fact);
            }
        });
    }

    /// Delivers a notice and records how that went.
    async fn tell(&self, step: Step) {
        let Some(owed) = self.world.look(|state| owed(state, step)) else {
            self.world.act(|scene| scene.forget(step));
            return;
        };
        let Some(url) = self.world.address_or_park(step, |callbacks| owed.url(callbacks)) else { return };
        let fault = self.world.dial.ask(owed.endpoint(), &owed.key());
        if fault == Some(Fault::Late) && step.tries == 0 {
            let by = self.world.pace.late_callback.pick(self.world.draw(&["late", &owed.key()], 0));
            return self.world.put_back(self.world.clock.now() + by, step);
        }
        let taken = self.deliver(&owed, &url, fault).await;
        self.world.act(|scene| record_try(scene, step, &owed, taken));
    }

    /// Whether the shop took it. A spoiled one goes out before the right one, a doubled one beside it.
    async fn deliver(&self, owed: &Owed, url: &str, fault: Option<Fault>) -> bool {
        match fault {
            Some(
                spoiled @ (Fault::Unsigned
                | Fault::BadSignature
                | Fault::ProbeSignature
                | Fault::ChangedBody
                | Fault::StaleStamp
                | Fault::UnknownSerial
                | Fault::WrongSecret),
            ) => {
                let _ = self.post(owed, url, Some(spoiled)).await;
                self.post(owed, url, None).await
            }
            Some(Fault::Duplicate) => {
                let (one, other) = tokio::join!(self.post(owed, url, None), self.post(owed, url, None));
                one || other
            }
            Some(again @ Fault::Replay) => {
                let taken = self.post(owed, url, None).await;
                let _ = tokio::join!(self.post(owed, url, Some(again)), self.post(owed, url, Some(again)));
                taken
            }
            fault => self.post(owed, url, fault).await,
        }
    }

    async fn post(&self, owed: &Owed, url: &str, fault: Option<Fault>) -> bool {
        let request = self.http.post(url);
        let request = match owed {
            Owed::Order { order, nth, .. } => {
                let Some(notice) = order.notices.get(*nth) else { return false };
                request.form(&ylh::callbacks::form(order, notice, fault))
            }
            Owed::Payment { notice, .. } | Owed::Refund { notice, .. } => {
                let Letter { headers, body } = notice.letter(&self.world, &self.keys, fault);
                let request =
                    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
                request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body)
            }
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, url, "a callback found nobody");
                return false;
            }
        };
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap_or_default();
        match owed {
            Owed::Order { .. } => ylh::callbacks::is_taken(status, &body),
            Owed::Payment { .. } | Owed::Refund { .. } => notices::is_taken(status),
        }
    }
}

/// What a step makes of the state, if it is still wanted.
fn fact_of(state: &State, step: Step, seed: u64, pace: &Pace, now: Timestamp) -> Option<Fact> {
    match step.kind {
        StepKind::Decide
        | StepKind::Ship
        | StepKind::RunOut
        | StepKind::Deliver
        | StepKind::SendBack
        | StepKind::AnswerCancel => {
            let order = state.orders.at(step.no)?;
            let so_id = order.so_id.to_string();
            match (step.kind, order.stage) {
                (StepKind::Decide, Stage::Accepted) => Some(match ylh::refusal(order) {
                    Some(reason) => Fact::OrderRefused { so_id, reason: reason.to_owned() },
                    None => Fact::OrderConfirmed { so_id },
                }),
                (StepKind::Ship, Stage::Confirmed) => Some(Fact::OrderShipped { so_id }),
                (StepKind::RunOut, Stage::Confirmed) if order.out_of_stock_at.is_none() => {
                    Some(Fact::OrderOutOfStock { so_id, reason: "仓库缺货".to_owned() })
                }
                (StepKind::SendBack, Stage::Delivered) if !order.sent_back => {
                    ylh::sent_back(order).map(|outcome| Fact::CancelAnswered { so_id, outcome })
                }
                (StepKind::Deliver, Stage::Shipped) => Some(match ylh::at_the_door(order) {
                    Some(outcome) => Fact::CancelAnswered { so_id, outcome },
                    None => Fact::OrderDelivered { so_id },
                }),
                (StepKind::AnswerCancel, _) if order.cancel_asked_at.is_some() => {
                    Some(Fact::CancelAnswered { so_id, outcome: ylh::verdict(order, seed, now) })
                }
                _ => None,
            }
        }
        StepKind::Pay => {
            let payment = state.payments.at(step.no)?;
            let is_open = payment.paid_at.is_none() && payment.closed_at.is_none();
            is_open.then(|| Fact::PaymentMade { out_trade_no: payment.out_trade_no.to_string() })
        }
        StepKind::SettleRefund => {
            let refund = state.refunds.at(step.no)?;
            let payment = state.payments.get(&refund.out_trade_no)?;
            refund.settled_at.is_none().then(|| Fact::RefundSettled {
                out_refund_no: refund.out_refund_no.to_string(),
                status: wechat_pay::fate(refund, payment, seed, pace),
            })
        }
        StepKind::OrderNotice | StepKind::PaymentNotice | StepKind::RefundNotice => None,
    }
}

/// A notice that is to be delivered now.
enum Owed {
    Order { order: Box<crate::world::order::SupplierOrder>, nth: usize },
    Payment { out_trade_no: String, notice: Box<PayNotice> },
    Refund { out_refund_no: String, notice: Box<PayNotice> },
}

fn owed(state: &State, step: Step) -> Option<Owed> {
    match step.kind {
        StepKind::OrderNotice => {
            let (order, nth) = (state.orders.at(step.no)?, usize::from(step.nth));
            order.notices.get(nth)?;
            Some(Owed::Order { order: Box::new(order.clone()), nth })
        }
        StepKind::PaymentNotice => {
            let payment = state.payments.at(step.no)?;
            let out_trade_no = payment.out_trade_no.to_string();
            Some(Owed::Payment { out_trade_no, notice: Box::new(notices::of_payment(payment)) })
        }
        StepKind::RefundNotice => {
            let refund = state.refunds.at(step.no)?;
            let payment = state.payments.get(&refund.out_trade_no)?;
            let out_refund_no = refund.out_refund_no.to_string();
            Some(Owed::Refund { out_refund_no, notice: Box::new(notices::of_refund(refund, payment)) })
        }
        _ => None,
    }
}

impl Owed {
    fn url<'a>(&self, callbacks: &'a Callbacks) -> Option<&'a String> {
        match self {
            Owed::Order { .. } => callbacks.ylh.as_ref(),
            Owed::Payment { .. } => callbacks.wechat_payment.as_ref(),
            Owed::Refund { .. } => callbacks.wechat_refund.as_ref(),
        }
    }

    fn endpoint(&self) -> Endpoint {
        match self {
            Owed::Order { .. } => Endpoint::YlhCallback,
            Owed::Payment { .. } | Owed::Refund { .. } => Endpoint::PayCallback,
        }
    }

    fn key(&self) -> String {
        match self {
            Owed::Order { order, nth } => format!("{} {nth}", order.so_id),
            Owed::Payment { out_trade_no, .. } => format!("payment {out_trade_no}"),
            Owed::Refund { out_refund_no, .. } => format!("refund {out_refund_no}"),
        }
    }
}

fn record_try(scene: &mut Scene<'_>, step: Step, owed: &Owed, taken: bool) {
    let fact = match owed {
        Owed::Order { order, .. } => {
            Fact::OrderNoticeTried { so_id: order.so_id.to_string(), nth: step.nth, taken }
        }
        Owed::Payment { out_trade_no, .. } => {
            Fact::PaymentNoticeTried { out_trade_no: out_trade_no.clone(), taken }
        }
        Owed::Refund { out_refund_no, .. } => {
            Fact::RefundNoticeTried { out_refund_no: out_refund_no.clone(), taken }
        }
    };
    let _: Result<(), Unrecorded> = scene.record(fact);
    scene.forget(step);
}
