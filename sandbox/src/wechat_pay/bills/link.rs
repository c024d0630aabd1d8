//! A download link: what it stands for, and until when. It needs no memory, so it lives through a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use crate::bills::Form;
use crate::plants::Bill;
use crate::sealed::{jwt, open_jwt};
use crate::world::World;

const SECRET: &[u8] = b"sandbox-bill-link-secret";
/// facts: wechat-pay.md 10.
const LIVES: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) bill: Bill,
    pub(super) form: Form,
    pub(super) gzip: bool,
    given_at: Timestamp,
}

impl Link {
    pub(super) fn new(world: &World, bill: Bill, form: Form, gzip: bool) -> Self {
        Self { bill, form, gzip, given_at: world.clock.now() }
    }

    pub(super) fn token(&self) -> String {
        let said = serde_json::to_value(self).expect("a link is plain JSON");
        jwt(SECRET, &said)
    }

    pub(super) fn read(token: &str) -> Option<Self> {
        serde_json::from_value(open_jwt(SECRET, token)?).ok()
    }

    /// Five minutes of the shop's time, or of the wall's where that passes more slowly: nobody downloads in an instant.
    pub(super) fn has_expired(&self, world: &World) -> bool {
        world.clock.now().since(self.given_at) > LIVES.mul_f64(world.clock.speed().max(1.0))
    }
}
