//! What became of a demo: our books beside the truth of the outside world.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::cli::table::Table;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub orders: Orders,
    pub effects: Vec<EffectRow>,
    pub notifications: Notifications,
    pub findings: Findings,
    pub dead_jobs: u64,
    pub rows: Rows,
    pub books: Books,
    pub seconds: f64,
    pub jobs_run: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Orders {
    pub placed: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub refused: u64,
    /// Neither at an end nor on the way to one.
    pub stuck: u64,
    /// Of those that are stuck or ended: waiting for a decision that only a person can make.
    pub needs_person: u64,
    /// Why orders were refused or cancelled, and how many for each reason.
    pub reasons: BTreeMap<String, u64>,
}

/// One kind of effect: what we recorded and what happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EffectRow {
    pub effect: String,
    pub ours: u64,
    /// Told once, never answered, and not to be told again: happened or not.
    pub in_doubt: u64,
    pub truth: u64,
    pub doubled: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Notifications {
    pub sent: u64,
    /// The customer does not want it; normal.
    pub refused: u64,
    pub in_doubt: u64,
    pub truth: u64,
    pub doubled: u64,
}

/// Differences of reconciliation, of a demo of days; otherwise nothing is planted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    pub planted: u64,
    pub found: u64,
    pub invented: u64,
    pub types: Vec<FindingRow>,
    /// What was planted and not found, in words.
    pub missing: Vec<String>,
    /// What was found and not planted, in words.
    pub made_up: Vec<String>,
}

/// One type of finding.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FindingRow {
    #[serde(rename = "type")]
    pub kind: String,
    pub planted: u64,
    pub found: u64,
    pub invented: u64,
}

/// Rows of an orders file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rows {
    pub read: u64,
    pub used: u64,
    pub rejected: u64,
    pub rejected_by_reason: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Books {
    pub balanced: bool,
    /// What does not add up, in words.
    pub faults: Vec<String>,
}

impl EffectRow {
    /// As many as happened, give or take those in doubt, and none twice.
    pub fn agrees(&self) -> bool {
        self.doubled == 0 && (self.ours..=self.ours + self.in_doubt).contains(&self.truth)
    }
}

impl Summary {
    /// Everything that is not as it must be, in words; empty: the demo went well.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.books.faults.clone();
        if self.orders.stuck > 0 {
            faults.push(format!("{} orders are stuck", self.orders.stuck));
        }
        if self.dead_jobs > 0 {
            faults.push(format!("{} jobs are dead: windlass jobs list --state dead", self.dead_jobs));
        }
        for row in self.effects.iter().filter(|row| !row.agrees()) {
            let EffectRow { effect, ours, in_doubt, truth, doubled } = row;
            faults.push(format!(
                "{effect}: ours {ours}, in doubt {in_doubt}, but {truth} happened, {doubled} of them twice"
            ));
        }
        let Findings { missing, made_up, .. } = &self.findings;
        faults.extend(missing.iter().map(|plant| format!("planted and not found: {plant}")));
        faults.extend(made_up.iter().map(|finding| format!("found and not planted: {finding}")));
        if !self.books.balanced && self.books.faults.is_empty() {
            faults.push("the books do not balance: windlass audit".to_owned());
        }
        faults
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.orders_table().fmt(f)?;
        writeln!(f)?;
        self.effects_table().fmt(f)?;
        writeln!(f)?;
        if !self.findings.types.is_empty() {
            self.findings_table().fmt(f)?;
            writeln!(f)?;
        }
        let Notifications { sent, refused, in_doubt, .. } = self.notifications;
        writeln!(
            f,
            "notifications  {sent} sent, {refused} not wanted, {in_doubt} in doubt (told once, never repeated)"
        )?;
        if self.rows.read > 0 {
            let Rows { read, used, rejected, .. } = self.rows;
            writeln!(f, "rows           {read} read, {used} used, {rejected} rejected")?;
            for (reason, n) in &self.rows.rejected_by_reason {
                writeln!(f, "                 {n:>7}  {reason}")?;
            }
        }
        writeln!(f, "dead jobs      {}", self.dead_jobs)?;
        let per_s = |n: u64| if self.seconds > 0.0 { n as f64 / self.seconds } else { 0.0 };
        writeln!(
            f,
            "throughput     {:.1} s, {:.0} orders/s, {} jobs run, {:.0} jobs/s",
            self.seconds,
            per_s(self.orders.placed),
            self.jobs_run,
            per_s(self.jobs_run)
        )?;
        writeln!(f, "books          {}", if self.books.balanced { "balanced" } else { "DO NOT BALANCE" })?;
        self.faults().iter().try_for_each(|fault| writeln!(f, "  ! {fault}"))
    }
}

impl Summary {
    fn orders_table(&self) -> Table {
        let Orders { placed, completed, cancelled, refused, stuck, .. } = self.orders;
        let mut table = Table::new(&["orders", "count"]).right(1);
        for (state, n) in [
            ("placed", placed),
            ("completed", completed),
            ("cancelled", cancelled),
            ("refused", refused),
            ("stuck", stuck),
        ] {
            table.row([state.to_owned(), n.to_string()]);
        }
        if self.orders.needs_person > 0 {
            table.row(["waiting for a person".to_owned(), self.orders.needs_person.to_string()]);
        }
        for (reason, n) in &self.orders.reasons {
            table.row([format!("  {reason}"), n.to_string()]);
        }
        table
    }

    fn findings_table(&self) -> Table {
        let mut table = Table::new(&["finding", "planted", "found", "invented", ""]);
        for nth in 1..=3 {
            table = table.right(nth);
        }
        for row in &self.findings.types {
            let verdict = if row.planted == row.found && row.invented == 0 { "ok" } else { "DIFFERS" };
            table.row([
                row.kind.clone(),
                row.planted.to_string(),
                row.found.to_string(),
                row.invented.to_string(),
                verdict.to_owned(),
            ]);
        }
        table
    }

    fn effects_table(&self) -> Table {
        let mut table = Table::new(&["effect", "ours", "in doubt", "happened", "twice", ""]);
        for nth in 1..=4 {
            table = table.right(nth);
        }
        for row in &self.effects {
            let verdict = if row.agrees() { "ok" } else { "DIFFERS" };
            table.row([
                row.effect.clone(),
                row.ours.to_string(),
                row.in_doubt.to_string(),
                row.truth.to_string(),
                row.doubled.to_string(),
                verdict.to_owned(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: u64, in_doubt: u64, truth: u64, doubled: u64) -> EffectRow {
        EffectRow { effect: "ylh.create".into(), ours, in_doubt, truth, doubled }
    }

    #[test]
    fn an_effect_in_doubt_may_have_happened_or_not() {
        assert!(row(10, 2, 10, 0).agrees() && row(10, 2, 12, 0).agrees());
        assert!(!row(10, 2, 9, 0).agrees() && !row(10, 2, 13, 0).agrees());
        assert!(!row(10, 0, 10, 1).agrees(), "twice is never well");
    }

    #[test]
    fn a_stuck_order_or_a_dead_job_is_a_fault() {
        let books = Books { balanced: true, ..Books::default() };
        let well = Summary { books, effects: vec![row(1, 0, 1, 0)], ..Summary::default() };
        assert_eq!(well.faults(), Vec::<String>::new());
        assert_eq!(Summary { dead_jobs: 1, ..well.clone() }.faults().len(), 1);
        let findings = Findings { missing: vec!["short".into()], ..Findings::default() };
        assert_eq!(Summary { findings, ..well.clone() }.faults().len(), 1);
        let stuck = Orders { stuck: 1, ..Orders::default() };
        assert_eq!(Summary { orders: stuck, ..well }.faults().len(), 1);
    }
}
