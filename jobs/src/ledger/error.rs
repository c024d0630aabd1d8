//! What the ledger could not do, sorted by what the caller can do about it.

use std::sync::Arc;

/// Clonable, because one failed transaction may answer many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The ledger cannot be opened as it is; the text says what to do.
    #[error("{0}")]
    CannotOpen(String),
    /// It does not answer or cannot write now. Nothing was stored; trying again is safe.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// As many accepted jobs wait for their end as may. Nothing was stored; trying again later is safe.
    #[error("the ledger holds {rows_max} accepted jobs that are not over: as many as it may")]
    Full { rows_max: u64 },
    /// The call itself is wrong: over a bound. Trying again is pointless.
    #[error("{0}")]
    Invalid(String),
    /// What is stored cannot be read.
    #[error("the ledger holds something unreadable: {0}")]
    Unreadable(String),
    /// A statement failed: a constraint, a fault of ours.
    #[error("the ledger refused a statement: {0}")]
    Sql(Arc<sqlx::Error>),
}

impl LedgerError {
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Whether an error says, somewhere in its chain, that the ledger is unavailable: then the job that met it has done
/// nothing wrong.
pub fn is_ledger_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let ours = cause.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_unavailable);
        ours || cause.downcast_ref::<sqlx::Error>().is_some_and(is_passing)
    })
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Unavailable(error.to_string()) } else { Self::Sql(Arc::new(error)) }
    }
}

/// Whether the statement itself was right and only the moment was wrong.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => true,
        // Somebody between us and the server took the connection and hung up, as a balancer does whose server is gone.
        sqlx::Error::Protocol(what) => what.contains("unexpected response from SSLRequest"),
        sqlx::Error::Database(inner) => inner.code().is_some_and(|code| match code.parse::<u32>() {
            // SQLite's extended codes carry the primary one in the low byte: BUSY, LOCKED, IOERR, FULL.
            // A SQLSTATE is five characters, so it cannot be mistaken for one of them.
            Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 10 | 13),
            _ => is_passing_state(&code),
        }),
        _ => false,
    }
}

/// By SQLSTATE (PostgreSQL, appendix A): the class where all of it passes, else the code.
fn is_passing_state(code: &str) -> bool {
    match code.get(..2) {
        // The connection; signing in, which no statement does; resources, disk and memory among them.
        Some("08" | "28" | "53") => true,
        // Rolled back for another's sake: serialization, deadlock, and an end that nobody heard.
        Some("40") => matches!(code, "40001" | "40003" | "40P01"),
        // The server became a standby, or it cut off a transaction in which nothing moved.
        Some("25") => matches!(code, "25006" | "25P03"),
        // A database that is being made anew; a row that was locked for too long; a time-out, a stop or a start.
        Some("3D" | "55" | "57") => {
            matches!(code, "3D000" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05")
        }
        // The disk.
        Some("58") => code == "58030",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_hung_up_on_passes_and_a_fault_of_ours_does_not() {
        let hung_up = "unexpected response from SSLRequest: 0x00 (sqlx_postgres::connection::tls:95)";
        let hung_up = LedgerError::from(sqlx::Error::Protocol(hung_up.into()));
        assert!(hung_up.is_unavailable());
        assert!(is_ledger_away(&anyhow::Error::new(hung_up).context("an order could not be read")));
        assert!(is_ledger_away(&sqlx::Error::PoolTimedOut.into()));
        for ours in [sqlx::Error::RowNotFound, sqlx::Error::Protocol("too many arguments".into())] {
            assert!(!LedgerError::from(ours).is_unavailable());
        }
        assert!(!is_ledger_away(&anyhow::anyhow!("the ledger is unavailable")));
    }

    #[test]
    fn what_passes_is_told_from_a_fault_of_ours() {
        for passing in
            ["08006", "28P01", "53100", "53300", "40001", "40P01", "25006", "57P01", "55P03", "58030"]
        {
            assert!(is_passing_state(passing), "{passing}");
        }
        for fault in ["23505", "42P01", "42501", "25P02", "22021", "40002", "0A000", "55000", "XX000", ""] {
            assert!(!is_passing_state(fault), "{fault}");
        }
    }
}
