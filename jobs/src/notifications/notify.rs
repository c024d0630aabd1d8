//! Deciding that somebody is to be told: a row and a job for each channel, once for (template, order, event) and, of
//! what is told to the shop, for (template, event, recipient). Everything is written in the transaction of what
//! happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Job, JobId};

use super::message::Message;
use super::{SendNotification, Template, webhooks};
use crate::ledger::{LedgerError, Tx};
use crate::orders::{Change, ChangeError};

/// How a message reaches the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A subscribe message of the mini program.
    Subscribe,
    Mail,
}

impl Channel {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Subscribe, Self::Mail].into_iter().find(|channel| channel.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Mail => "mail",
        }
    }

    pub(super) const fn queue(self) -> &'static str {
        match self {
            Self::Subscribe => "wechat_mini",
            Self::Mail => "mail",
        }
    }
}

crate::stored::stored_states! {
    NotificationState {
        Queued = "queued",
        Sent = "sent",
        /// The customer does not want it: final, and normal.
        Refused = "refused",
        Failed = "failed",
        /// Too late to be of use.
        Skipped = "skipped",
        /// May have been delivered; not repeated.
        InDoubt = "in_doubt",
    }
}

/// Has the customer told, over each channel that there is for it. `event` tells two occasions for one template
/// apart.
pub async fn notify(change: &mut Change<'_>, template: Template, event: &str) -> Result<(), ChangeError> {
    let settings = &change.shop().settings;
    let order = &change.standing.order;
    let mut channels = Vec::new();
    if settings.subscribe_templates.contains_key(&template) {
        channels.push(Channel::Subscribe);
    }
    if !settings.mail_from.is_empty() && !order.email.is_empty() {
        channels.push(Channel::Mail);
    }
    let order_no = change.order_no().to_owned();
    for channel in channels {
        let step = SendNotification {
            order_no: order_no.clone(),
            template,
            event: event.to_owned(),
            channel,
            recipient: String::new(),
        };
        queue(change.tx(), &step, None).await?;
    }
    webhooks::tell_of_order(change, template, event).await
}

/// Has the shop told by mail, each address once for (template, event) whoever decides it how often. Answers how many
/// addresses are told because of this call.
pub(super) async fn notify_shop<M: Message>(
    tx: &mut Tx,
    event: &str,
    recipients: &[String],
    message: &M,
) -> Result<u64, LedgerError> {
    let data = serde_json::to_string(message).map_err(|error| LedgerError::Invalid(error.to_string()))?;
    let mut queued = 0;
    for recipient in recipients {
        let step = SendNotification {
            order_no: String::new(),
            template: M::TEMPLATE,
            event: event.to_owned(),
            channel: Channel::Mail,
            recipient: recipient.clone(),
        };
        queued += u64::from(queue(tx, &step, Some(&data)).await?);
    }
    Ok(queued)
}

/// False: it was decided before.
async fn queue(tx: &mut Tx, step: &SendNotification, data: Option<&str>) -> Result<bool, LedgerError> {
    let clock = tx.ledger().clock().clone();
    let queued = sqlx::query(
        "INSERT INTO notifications (order_no, template, event, channel, recipient, state, data, queued_at, touched_at) \
         VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $7) \
         ON CONFLICT (order_no, template, event, channel, recipient) DO NOTHING",
    )
    .bind(step.order_no.clone())
    .bind(step.template.as_str())
    .bind(step.event.clone())
    .bind(step.channel.as_str())
    .bind(step.recipient.clone())
    .bind(data.map(str::to_owned))
    .bind(clock.now().micros())
    .execute(tx.conn())
    .await?;
    if queued.rows_affected() == 0 {
        return Ok(false);
    }
    let id = JobId::derived(&[SendNotification::KIND, &step.dedup_key()]);
    let mut job = step.job(&clock).id(id);
    if !step.order_no.is_empty() {
        job = job.tag(format!("order:{}", step.order_no));
    }
    tx.enqueue(&job).await?;
    Ok(true)
}
