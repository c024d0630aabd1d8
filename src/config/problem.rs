//! What is wrong with the configuration. No problem repeats a secret.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The variable, or the file that is at fault.
    pub variable: String,
    pub what: String,
}

/// Everything that is wrong: never empty. Shown one problem a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 problem in the configuration:")?,
            n => write!(f, "{n} problems in the configuration:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {}: {}", problem.variable, problem.what))?;
        f.write_str("\nEvery variable is explained in .env.example.")
    }
}

/// The parts do not fit together, which only shows once some of them are open. As with [`ConfigProblems`], whoever
/// runs the process has to change what is set; the text says what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongSetUp(pub String);
