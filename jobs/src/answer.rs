//! What the front door gives back to whoever called us back.

/// An HTTP status and a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackAnswer {
    pub status: u16,
    pub body: serde_json::Value,
}
