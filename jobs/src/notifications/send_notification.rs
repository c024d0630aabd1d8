//! Sends one message to one customer. It can neither be asked for afterwards nor be sent twice: what is in doubt
//! stays in doubt (facts: wechat-mini-program.md 2, 6).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::mail::Mail;
use super::notify::{Channel, NotificationState};
use super::template::{SubscribeTemplate, Template};
use super::wording::Facts;
use crate::effect::{Asked, Effect, EffectKind, Ended, perform};
use crate::mini_program::{MiniProgramState, SubscribeMessage};
use crate::outside::OutsideError;
use crate::shop::Shop;

/// The customer did not agree to messages, or used the agreement up.
const NOT_SUBSCRIBED: &str = "43101";

/// Tells a customer of something that happened to an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendNotification {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
    pub template: Template,
    /// Tells two occasions for one template apart.
    #[schemars(length(min = 1, max = 64))]
    pub event: String,
    pub channel: Channel,
}

impl Job for SendNotification {
    const KIND: &'static str = "send_notification";
    const QUEUE: &'static str = "mail";
    const ATTEMPTS_MAX: u32 = 15;
    const BACKOFF: Backoff = Backoff { base_ms: 2_000, cap_ms: 1_800_000 };
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.dedup_key())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(queued_at) = self.queued_at(shop).await? else {
            return Ok(Outcome::result(json!({ "skipped": "nothing is queued" })));
        };
        let useful = Duration::from_secs(shop.settings.notification_useful_s);
        if shop.clock.now().since(queued_at) > useful {
            self.settle(shop, job, NotificationState::Skipped, "too late to be of use").await?;
            return Ok(Outcome::result(json!({ "skipped": "too late to be of use" })));
        }
        let mut conn = shop.ledger.reads().acquire().await?;
        let facts = Facts::read(&mut conn, &self.order_no, &self.event, queued_at).await?;
        drop(conn);
        let facts = facts.ok_or_else(|| JobError::fail(anyhow::anyhow!("no order {}", self.order_no)))?;

        let ended = match self.channel {
            Channel::Subscribe => match shop.settings.subscribe_templates.get(&self.template) {
                Some(template) => self.send_subscribe(shop, &facts, template).await?,
                None => {
                    let why = "the shop has no such template any more";
                    self.settle(shop, job, NotificationState::Skipped, why).await?;
                    return Ok(Outcome::result(json!({ "skipped": why })));
                }
            },
            Channel::Mail => self.send_mail(shop, &facts).await?,
        };
        let (state, note) = judge(ended);
        self.settle(shop, job, state, &note).await?;
        Ok(Outcome::result(json!({ "state": state.as_str() })))
    }
}

/// What became of a message.
fn judge(ended: Ended<()>) -> (NotificationState, String) {
    match ended {
        Ended::Done(()) => (NotificationState::Sent, String::new()),
        Ended::Refused { code, .. } if code == NOT_SUBSCRIBED => (NotificationState::Refused, code),
        Ended::Refused { code, reason } => (NotificationState::Failed, format!("{code}: {reason}")),
        Ended::InDoubt { .. } => (NotificationState::InDoubt, "may have been delivered".to_owned()),
    }
}

impl SendNotification {
    /// (template, order, event), and the channel.
    pub fn dedup_key(&self) -> String {
        format!("{}:{}:{}:{}", self.order_no, self.template.as_str(), self.event, self.channel.as_str())
    }

    /// None: it is not (or no longer) to be sent.
    async fn queued_at(&self, shop: &Shop) -> Result<Option<Timestamp>, JobError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT queued_at FROM notifications WHERE order_no = $1 AND template = $2 AND event = $3 \
             AND channel = $4 AND state = 'queued'",
        )
        .bind(&self.order_no)
        .bind(self.template.as_str())
        .bind(&self.event)
        .bind(self.channel.as_str())
        .fetch_optional(shop.ledger.reads())
        .await?;
        Ok(row.map(|(at,)| Timestamp::from_micros(at)))
    }

    async fn send_subscribe(
        &self,
        shop: &Shop,
        facts: &Facts,
        template: &SubscribeTemplate,
    ) -> Result<Ended<()>, JobError> {
        let message = SubscribeMessage {
            openid: facts.standing.order.openid.clone(),
            template_id: template.id.clone(),
            page: facts.page(template),
            state: program_state(&shop.settings.mini_program_state),
            data: facts.data(template),
        };
        self.tell(shop, EffectKind::SubscribeSend, || async {
            shop.mini_program.subscribe_send(&message).await.map(drop)
        })
        .await
    }

    async fn send_mail(&self, shop: &Shop, facts: &Facts) -> Result<Ended<()>, JobError> {
        let (subject, text) = facts.mail(self.template);
        let mail = Mail {
            message_id: self.message_id(&shop.settings.mail_domain),
            from: shop.settings.mail_from.clone(),
            to: facts.standing.order.email.clone(),
            subject,
            text,
            html: None,
        };
        self.tell(shop, EffectKind::MailSend, || shop.mailer.send(&mail)).await
    }

    async fn tell<Told>(
        &self,
        shop: &Shop,
        kind: EffectKind,
        tell: impl FnOnce() -> Told,
    ) -> Result<Ended<()>, JobError>
    where
        Told: Future<Output = Result<(), OutsideError>>,
    {
        let effect = Effect { kind, of: &self.dedup_key(), about: &self.order_no };
        Ok(perform(&shop.ledger, effect, || async { Ok(Asked::CannotTell) }, tell).await?)
    }

    /// The same at every attempt, and another for every occasion.
    fn message_id(&self, domain: &str) -> String {
        format!("{}.{}.{}@{domain}", self.order_no, self.template.as_str(), self.event)
    }

    async fn settle(
        &self,
        shop: &Shop,
        job: &JobContext,
        state: NotificationState,
        note: &str,
    ) -> Result<(), JobError> {
        let now = shop.clock.now().micros();
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        let settled = sqlx::query(
            "UPDATE notifications SET state = $1, note = $2, settled_at = $3, touched_at = $3 \
             WHERE order_no = $4 AND template = $5 AND event = $6 AND channel = $7 AND state = 'queued'",
        )
        .bind(state.as_str())
        .bind(note)
        .bind(now)
        .bind(&self.order_no)
        .bind(self.template.as_str())
        .bind(&self.event)
        .bind(self.channel.as_str())
        .execute(tx.conn())
        .await?;
        if settled.rows_affected() == 1 {
            let data =
                json!({ "template": self.template.as_str(), "channel": self.channel.as_str(), "note": note });
            tx.event(&self.order_no, "notification", state.as_str(), &data).await?;
            tx.commit().await?;
            metrics::counter!("windlass_notifications_total", "state" => state.as_str()).increment(1);
        }
        Ok(())
    }
}

fn program_state(text: &str) -> MiniProgramState {
    match text {
        "developer" => MiniProgramState::Developer,
        "trial" => MiniProgramState::Trial,
        _ => MiniProgramState::Formal,
    }
}
