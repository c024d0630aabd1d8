//! What a key opens.

use std::fmt;
use std::str::FromStr;

/// A stored name is a promise: keys in the ledger have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Looking at everything.
    JobsRead,
    /// Handing in jobs.
    JobsWrite,
    /// Everything, the others with it.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::JobsRead, Self::JobsWrite, Self::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with these scopes opens this one. A scope of another build opens nothing.
    pub fn is_opened_by(self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| scope == self.name() || scope == Self::Admin.name())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| format!("\"{text}\" is no scope: there are {}", known()))
    }
}
