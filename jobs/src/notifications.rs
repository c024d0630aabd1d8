//! Telling people what happened: customers by subscribe message and mail, the shop's other systems by webhook, whoever
//! runs the shop by mail.
//!
//! A message (mail, subscribe message) is told once: what is in doubt is not sent again. A webhook is told at least
//! once, under an id by which its receiver knows it again. What happened is decided elsewhere; here nothing moves an
//! order or money.

mod daily_summary;
mod dead_jobs;
mod facts;
pub mod mail;
mod message;
mod notifier;
mod notify;
mod samples;
mod send_notification;
mod summary;
mod tell_findings;
mod template;
mod templates;
pub mod webhooks;

pub use daily_summary::DailySummary;
pub use dead_jobs::{AskDeadJobs, DeadJob, ask_dead_jobs};
pub use notifier::Notifier;
pub(crate) use notify::notify;
pub use notify::{Channel, NotificationState};
pub use send_notification::SendNotification;
pub use tell_findings::TellFindings;
pub use template::{Part, SubscribeTemplate, Template};
pub use templates::{TEMPLATE_BYTES_MAX, TemplateProblem, TemplateProblems, Templates, Worded};
