//! The embedded carrier.
