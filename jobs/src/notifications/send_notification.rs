//! Sends one message to one person: a customer, or somebody of the shop. It can neither be asked for afterwards nor be sent twice: what is in doubt
//! stays in doubt (facts: wechat-mini-program.md 2, 6).

use std::time::Duration;

use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{AcceptedBy, Backoff, Clock, Job, JobContext, JobError, NewJob, Outcome, Timestamp};

use super::facts::Facts;
use super::mail::Mail;
use super::notify::{Channel, NotificationState};
use super::template::{SubscribeTemplate, Template};
use crate::effect::{Asked, Effect, EffectError, EffectKind, Ended, perform};
use crate::mini_program::{MiniProgramState, SubscribeMessage};
use crate::outside::{Fault, OutsideError, System};
use crate::shop::Shop;
use crate::verdict;

/// The customer did not agree to messages, or used the agreement up.
const NOT_SUBSCRIBED: &str = "43101";

/// Tells a customer of something that happened to an order, or the shop of something that it must know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendNotification {
    /// Empty: it is about no order.
    #[schemars(length(max = 32))]
    pub order_no: String,
    pub template: Template,
    /// Tells two occasions for one template apart.
    #[schemars(length(min = 1, max = 64))]
    pub event: String,
    pub channel: Channel,
    /// An address; empty: the order's customer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 254))]
    pub recipient: String,
}

/// What was decided when the message was queued.
struct Queued {
    at: Timestamp,
    data: Option<String>,
}

/// What is not sent, and why.
const NO_TEMPLATE: &str = "the shop has no such template any more";
const TOO_LATE: &str = "too late to be of use";

/// Shop's time until a message is tried again that the server wants later, by the attempt; the last repeats. A server
/// that greylists lets the same message in after some minutes, some only after an hour.
const LATER_S: [u64; 6] = [60, 120, 300, 600, 1_200, 1_800];

impl Job for SendNotification {
    const KIND: &'static str = "send_notification";
    const QUEUE: &'static str = "mail";
    /// With the waits below more than [`crate::Settings::notification_useful_s`]: what cannot be sent is skipped in the
    /// end, not dead.
    const ATTEMPTS_MAX: u32 = 60;
    const BACKOFF: Backoff = Backoff { base_ms: 2_000, cap_ms: 1_800_000 };
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.dedup_key())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(queued) = self.queued(shop).await? else {
            return Ok(Outcome::result(json!({ "skipped": "nothing is queued" })));
        };
        let useful = Duration::from_secs(shop.settings.notification_useful_s);
        let ended = if shop.clock.now().since(queued.at) > useful {
            Err(TOO_LATE)
        } else if self.order_no.is_empty() {
            Ok(self.tell_shop(shop, job, &queued).await?)
        } else {
            self.tell_customer(shop, job, &queued).await?
        };
        let (state, note) = match ended {
            Ok(ended) => judge(ended),
            Err(why) => (NotificationState::Skipped, why.to_owned()),
        };
        self.settle(shop, job, state, &note).await?;
        Ok(Outcome::result(json!({ "state": state.as_str(), "note": note })))
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

/// When a message is tried again that was certainly not sent.
fn later(error: OutsideError, attempt: u32) -> JobError {
    let wants_later = matches!(error.fault, Fault::Throttled { retry_after: None });
    if error.system != System::Mail || !wants_later {
        return verdict::of_outside(error);
    }
    let nth = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(LATER_S.len() - 1);
    let outage = error.is_outage();
    let again = JobError::retry_after(Duration::from_secs(LATER_S[nth]), error);
    if outage { again.outage() } else { again }
}

impl SendNotification {
    /// (template, order, event), the channel, and the recipient where it is not the order's customer.
    pub fn dedup_key(&self) -> String {
        let Self { order_no, event, recipient, .. } = self;
        let key = format!("{order_no}:{}:{event}:{}", self.template.as_str(), self.channel.as_str());
        if recipient.is_empty() { key } else { format!("{key}:{recipient}") }
    }

    /// On the queue of its channel, whose gate is the channel's own.
    pub fn job(&self, clock: &Clock) -> NewJob {
        NewJob::of(self, clock).queue(self.channel.queue())
    }

    /// None: it is not (or no longer) to be sent.
    async fn queued(&self, shop: &Shop) -> Result<Option<Queued>, JobError> {
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "SELECT queued_at, data FROM notifications WHERE order_no = $1 AND template = $2 AND event = $3 \
             AND channel = $4 AND recipient = $5 AND state = 'queued'",
        )
        .bind(self.order_no.clone())
        .bind(self.template.as_str())
        .bind(self.event.clone())
        .bind(self.channel.as_str())
        .bind(self.recipient.clone())
        .fetch_optional(shop.ledger.reads())
        .await?;
        Ok(row.map(|(at, data)| Queued { at: Timestamp::from_micros(at), data }))
    }

    /// An error says why it is not sent.
    async fn tell_customer(
        &self,
        shop: &Shop,
        job: &JobContext,
        queued: &Queued,
    ) -> Result<Result<Ended<()>, &'static str>, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let facts = Facts::read(&mut conn, &self.order_no, &self.event, queued.at).await?;
        drop(conn);
        let facts = facts.ok_or_else(|| JobError::fail(anyhow::anyhow!("no order {}", self.order_no)))?;
        match self.channel {
            Channel::Subscribe => match shop.settings.subscribe_templates.get(&self.template) {
                Some(template) => Ok(Ok(self.send_subscribe(shop, job, &facts, template).await?)),
                None => Ok(Err(NO_TEMPLATE)),
            },
            Channel::Mail => {
                let data = facts.message(self.template).ok_or_else(|| self.no_message())?;
                Ok(Ok(self.send_mail(shop, job, facts.standing.order.email.clone(), &data).await?))
            }
        }
    }

    async fn tell_shop(&self, shop: &Shop, job: &JobContext, queued: &Queued) -> Result<Ended<()>, JobError> {
        let data = queued.data.as_deref().ok_or_else(|| self.no_message())?;
        let data: Value = serde_json::from_str(data).map_err(JobError::fail)?;
        self.send_mail(shop, job, self.recipient.clone(), &data).await
    }

    fn no_message(&self) -> JobError {
        JobError::fail(anyhow::anyhow!("there is nothing to say in a {}", self.template.as_str()))
    }

    async fn send_subscribe(
        &self,
        shop: &Shop,
        job: &JobContext,
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
        self.tell(shop, job, EffectKind::SubscribeSend, || async {
            shop.mini_program.subscribe_send(&message).await.map(drop)
        })
        .await
    }

    async fn send_mail(
        &self,
        shop: &Shop,
        job: &JobContext,
        to: String,
        data: &Value,
    ) -> Result<Ended<()>, JobError> {
        // What another build queued may not fit this build's template: only a person can say what it should.
        let worded =
            shop.notifier.templates.word(self.template, data).map_err(|problem| {
                JobError::fail(anyhow::anyhow!("the template cannot be worded: {problem}"))
            })?;
        let mail = Mail {
            message_id: self.message_id(&shop.settings.mail_domain),
            from: shop.settings.mail_from.clone(),
            to,
            subject: worded.subject,
            text: worded.text,
            html: worded.html,
        };
        self.tell(shop, job, EffectKind::MailSend, || shop.mailer.send(&mail)).await
    }

    async fn tell<Told>(
        &self,
        shop: &Shop,
        job: &JobContext,
        kind: EffectKind,
        tell: impl FnOnce() -> Told,
    ) -> Result<Ended<()>, JobError>
    where
        Told: Future<Output = Result<(), OutsideError>>,
    {
        let effect = Effect { kind, of: &self.dedup_key(), about: &self.order_no };
        match perform(&shop.ledger, effect, || async { Ok(Asked::CannotTell) }, tell).await {
            Ok(ended) => Ok(ended),
            Err(EffectError::DidNotHappen(error)) => Err(later(error, job.attempt())),
            Err(error) => Err(error.into()),
        }
    }

    /// The same at every attempt, and another for every occasion. An address itself has no place in an id.
    fn message_id(&self, domain: &str) -> String {
        let Self { order_no, event, recipient, .. } = self;
        let template = self.template.as_str();
        if recipient.is_empty() {
            return format!("{order_no}.{template}.{event}@{domain}");
        }
        let hash = digest(&SHA256, recipient.as_bytes());
        let whom: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{template}.{event}.{whom}@{domain}")
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
             WHERE order_no = $4 AND template = $5 AND event = $6 AND channel = $7 AND recipient = $8 \
             AND state = 'queued'",
        )
        .bind(state.as_str())
        .bind(note)
        .bind(now)
        .bind(&self.order_no)
        .bind(self.template.as_str())
        .bind(&self.event)
        .bind(self.channel.as_str())
        .bind(&self.recipient)
        .execute(tx.conn())
        .await?;
        if settled.rows_affected() == 1 {
            if !self.order_no.is_empty() {
                let (template, channel) = (self.template.as_str(), self.channel.as_str());
                let data = json!({ "template": template, "channel": channel, "note": note });
                tx.event(&self.order_no, "notification", state.as_str(), &data).await?;
            }
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
