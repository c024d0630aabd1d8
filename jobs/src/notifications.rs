//! Telling people what happened.

pub mod mail;
mod notify;
mod send_notification;
mod template;
mod wording;

pub(crate) use notify::notify;
pub use notify::{Channel, NotificationState};
pub use send_notification::SendNotification;
pub use template::{Part, SubscribeTemplate, Template};
