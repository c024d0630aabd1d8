//! Which effects this process is telling the outside at this moment.
//!
//! The ledger's rows say what was begun; only the process itself knows that a call of its own is still under way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass_engine::{Clock, JobId};

/// Clones share one set.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Inner>);

struct Inner {
    /// Names this process (more exactly: this opening of the ledger) in the rows.
    teller: String,
    tell_time_max: Duration,
    keys: Mutex<HashSet<String>>,
}

impl InFlight {
    pub fn new(clock: &Clock, tell_time_max: Duration) -> Self {
        let teller = JobId::new(clock.wall()).as_str().to_owned();
        Self(Arc::new(Inner { teller, tell_time_max, keys: Mutex::default() }))
    }

    pub fn teller(&self) -> &str {
        &self.0.teller
    }

    pub fn tell_time_max(&self) -> Duration {
        self.0.tell_time_max
    }

    /// Enters the key; None when it is in already. Dropping what is returned takes it out, however the call ended.
    pub fn enter(&self, key: &str) -> Option<Telling> {
        let entered = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        entered.then(|| Telling { all: self.clone(), key: key.to_owned() })
    }
}

pub(crate) struct Telling {
    all: InFlight,
    key: String,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.all.0.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
