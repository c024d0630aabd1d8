//! Deciding that a customer is to be told: a row and a job for each channel, once for (template, order, event).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{Job, JobId, NewJob};

use super::{SendNotification, Template};
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
    for channel in channels {
        queue(change, template, event, channel).await?;
    }
    Ok(())
}

async fn queue(
    change: &mut Change<'_>,
    template: Template,
    event: &str,
    channel: Channel,
) -> Result<(), ChangeError> {
    let now = change.now();
    let order_no = change.order_no().to_owned();
    let queued = sqlx::query(
        "INSERT INTO notifications (order_no, template, event, channel, state, queued_at, touched_at) \
         VALUES ($1, $2, $3, $4, 'queued', $5, $5) ON CONFLICT (order_no, template, event, channel) DO NOTHING",
    )
    .bind(&order_no)
    .bind(template.as_str())
    .bind(event)
    .bind(channel.as_str())
    .bind(now.micros())
    .execute(change.tx().conn())
    .await?;
    if queued.rows_affected() == 0 {
        return Ok(());
    }
    let step = SendNotification { order_no, template, event: event.to_owned(), channel };
    let clock = change.shop().clock.clone();
    let id = JobId::derived(&[SendNotification::KIND, &step.dedup_key()]);
    let job = NewJob::of(&step, &clock).id(id).queue(channel.queue()).tag(format!("order:{}", step.order_no));
    change.tx().enqueue(&job).await?;
    Ok(())
}
