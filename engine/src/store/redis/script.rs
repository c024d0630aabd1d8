//! The scripts: their parts put together, their calls built.

use std::io::Write;
use std::sync::LazyLock;

use redis::{Cmd, RedisWrite, ToRedisArgs};

/// A script and the name under which the server keeps it.
pub(super) struct Script {
    pub code: String,
    pub hash: String,
}

/// What a script may do when the server is at its bound of memory.
enum Oom {
    /// Refused before it begins: it would take more memory.
    Refused,
    /// Goes on: what it does ends in less, or is needed to get there.
    Allowed,
}

fn script(oom: Oom, parts: &[&str]) -> Script {
    let prelude = include_str!("lua/prelude.lua");
    // The first line of a script is for the server.
    let first = match oom {
        Oom::Refused => "#!lua\n",
        Oom::Allowed => "#!lua flags=allow-oom\n",
    };
    let code = [first, prelude].into_iter().chain(parts.iter().copied()).collect::<String>();
    let hash = redis::Script::new(&code).get_hash().to_owned();
    Script { code, hash }
}

macro_rules! scripts {
    ($($name:ident: $oom:ident [$($part:literal),*];)*) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| script(Oom::$oom, &[$(include_str!(concat!("lua/", $part, ".lua"))),*]));)*

        /// All of them, to load them at once.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts! {
    ENQUEUE: Refused ["accept", "enqueue"];
    RESERVE: Allowed ["gate", "promote", "reserve"];
    SETTLE: Allowed ["gate", "accept", "hold", "finish", "forget", "settle"];
    RENEW: Allowed ["hold", "renew"];
    EXPIRED: Allowed ["expired"];
    STRAY: Allowed ["stray"];
    REAP: Allowed ["gate", "hold", "finish", "reap"];
    ACT: Allowed ["accept", "hold", "finish", "forget", "where", "act"];
    VIEW: Allowed ["hold", "where", "view"];
    STATES: Allowed ["hold", "where", "states"];
    STATS: Allowed ["promote", "stats"];
    AUDIT: Allowed ["audit"];
    PRUNE: Allowed ["forget", "prune"];
    SET_GATE: Allowed ["set_gate"];
    MOVE_CURSOR: Allowed ["move_cursor"];
    BEAT: Allowed ["beat"];
    WORKERS: Allowed ["workers"];
    CLAIM: Allowed ["claim"];
    PING: Allowed ["promote", "ping"];
    WAKE: Allowed ["wake"];
}

/// A call of a script that grows by its arguments.
pub(super) struct Call {
    cmd: Cmd,
}

impl Call {
    /// `now`: the shop's time in microseconds, 0 for the server's own.
    pub fn new(script: &'static Script, prefix: &str, now: i64) -> Self {
        let mut cmd = Cmd::new();
        cmd.arg("EVALSHA").arg(&script.hash).arg(1).arg(prefix).arg(now);
        Self { cmd }
    }

    pub fn arg(&mut self, value: impl ToRedisArgs) -> &mut Self {
        self.cmd.arg(value);
        self
    }

    /// An argument made of pieces, without a copy in between.
    pub fn pieces(&mut self, pieces: &[&str]) -> &mut Self {
        let mut argument = self.cmd.writer_for_next_arg();
        for piece in pieces {
            // Into memory.
            let _ = argument.write_all(piece.as_bytes());
        }
        drop(argument);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.cmd.write_arg(value.as_bytes());
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.cmd.write_arg(value);
        self
    }

    pub fn cmd(&self) -> &Cmd {
        &self.cmd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_has_a_name_of_its_own() {
        let hashes: std::collections::BTreeSet<_> = all().map(|script| &script.hash).collect();
        assert_eq!(hashes.len(), all().count());
    }
}
