//! Webhooks: the shop's other systems are told of what happened by signed requests (Standard Webhooks, spec 1.0.0:
//! <https://www.standardwebhooks.com>).
//!
//! What happens is written down with a message in the same transaction ([`tell`]) and delivered to each endpoint that
//! wants its type by a job of its own ([`DeliverWebhook`]), at least once, under an id that stays the same.
//!
//! # One endpoint and the others
//!
//! All deliveries share one queue, whose gate knows no endpoints. So that one endpoint that hangs does not hold up the
//! rest, a process has at most [`PostSettings::at_once`] requests of one endpoint on the way, far fewer than a worker has
//! slots, and an endpoint that failed some times in a row is left in peace for longer and longer ([`endpoint::rest`]).
//! A delivery that may not go now gives its slot back at once and uses no try. A queue for each endpoint would need
//! workers that know of new queues while they run; the queue's own breaker would close it for everybody, which is why no
//! delivery ever reports an outage.

mod address;
mod deliver_webhook;
mod deliveries;
mod endpoint;
mod endpoints;
mod event;
mod post;
mod seal;
mod signature;

pub use deliver_webhook::DeliverWebhook;
pub use deliveries::{
    DELIVERY_ROWS_MAX, Delivery, DeliveryPage, DeliveryState, REDELIVERED_MAX, Try, Which, deliveries,
    redeliver, tries,
};
pub use endpoint::{Endpoint, EndpointState};
pub use endpoints::{
    BadEndpoint, ENDPOINTS_MAX, NewEndpoint, WebhookError, create, delete, disable, enable, endpoint,
    endpoints, relocate, rotate, send_test,
};
pub use event::{EVENT_BYTES_MAX, EventType};
pub(crate) use event::{tell, tell_of_order};
pub use post::{Post, PostSettings};
pub use seal::Seal;
pub use signature::{SigningSecret, sign};
