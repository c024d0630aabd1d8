//! When everything has ended, and whether it ended well: the shop's books beside the truth of the outside.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::ledger;
use crate::load::{Accepted, Seen, end_of};
use crate::town::Town;
use crate::wait::within;

/// Everything that was handed in has ended so long after the last of it, and after the last outage.
const END_MAX: Duration = Duration::from_secs(120);
const PROMISED_ONCE: [&str; 5] =
    ["ylh.create", "ylh.cancel", "wechat.close", "wechat.refund", "mini.upload_shipping"];
/// Jobs, or faults, that are shown of many.
const SHOWN: usize = 20;

impl Town {
    /// Waits for the end of everything accepted, then judges it.
    #[track_caller]
    pub fn ends_well(&mut self, accepted: &Accepted) {
        self.say(&format!("all is handed in: {:?}", accepted.answers));
        let seen = self.until_over(accepted);
        self.say("all has ended");
        let faults = self.faults(accepted, &seen);
        self.say(&format!("{} orders: {:?}", accepted.orders.len(), self.ends()));
        let shown: Vec<_> = faults.iter().take(SHOWN).cloned().collect();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), shown.join("\n"));
    }

    /// Answers what each job was at its end.
    #[track_caller]
    fn until_over(&mut self, accepted: &Accepted) -> Seen {
        let mut waits: BTreeSet<String> = accepted.unseen().into_iter().collect();
        let ended = i64::try_from(accepted.orders.len()).unwrap();
        let wanted = ledger::Open { orders_ended: ended, ..ledger::Open::default() };
        let doors = self.doors();
        let (mut seen, mut last) = (accepted.seen.clone(), None);
        let over = within(END_MAX, || {
            waits.retain(|id| {
                let end = end_of(&doors[0], id).or_else(|| {
                    // Whether it may be gone is judged later.
                    http::get(&doors[0], &format!("/v1/jobs/{id}")).ok().filter(|(status, _)| *status == 404)
                });
                end.map(|end| seen.insert(id.clone(), end)).is_none()
            });
            last = ledger::open(&self.database);
            let is_over = last.as_ref() == Some(&wanted) && waits.is_empty();
            (is_over && self.callbacks_owed() == Some(0)).then_some(())
        });
        if over.is_none() {
            panic!("not everything ended, waited for {wanted:?}, there is {last:?}\n{}", self.stuck(&waits));
        }
        seen
    }

    /// None: the sandbox does not answer.
    fn callbacks_owed(&self) -> Option<u64> {
        let truth = http::get(&self.control, "/truth").ok()?.1;
        let of = |name: &str| truth["callbacks"][name].as_u64();
        Some(of("owed")? - of("taken")? - of("given_up")?)
    }

    fn faults(&mut self, accepted: &Accepted, seen: &Seen) -> Vec<String> {
        let mut faults = accepted.faults.clone();
        faults.extend(self.job_faults(accepted, seen));
        faults.extend(self.money_faults(accepted));
        faults.extend(self.effect_faults());
        let audit = self.run(&["audit", "--server", &self.doors()[0]]);
        if !audit.status.success() {
            faults.push(format!("windlass audit: {}", String::from_utf8_lossy(&audit.stdout)));
        }
        let gone = self.all().iter().filter(|house| !house.lives());
        faults.extend(gone.map(|house| format!("{} ended by itself:\n{}", house.name, house.last_words())));
        faults
    }

    /// What was accepted is completed. Only what was in a carrier that lost everything may be gone, and of it only
    /// what no ledger knows.
    fn job_faults(&self, accepted: &Accepted, seen: &Seen) -> Vec<String> {
        let door = &self.doors()[0];
        let mut faults = Vec::new();
        let ids = accepted.jobs.iter().map(|(id, at)| (id, self.wiped_at.is_some_and(|wiped| *at < wiped)));
        // The order itself, looked at below, says whether the work was done.
        let of_orders = accepted.order_jobs.iter().map(|id| (id, self.wiped_at.is_some()));
        for (id, may_be_gone) in ids.chain(of_orders) {
            match &seen[id] {
                (200, told) if told["state"] == "completed" => {}
                (404, _) if may_be_gone => {}
                (status, told) => faults.push(format!("job {id}: {status} {told}")),
            }
        }
        let dead = http::read(door, "/v1/jobs?state=dead&limit=20");
        faults.extend(dead["jobs"].as_array().unwrap().iter().map(|job| format!("dead: {job}")));
        faults
    }

    /// Each order kept its customer's money or gave all of it back, as its end says; here and outside.
    fn money_faults(&self, accepted: &Accepted) -> Vec<String> {
        let (orders, truth) = (ledger::orders(&self.database), self.truth());
        let mut faults = Vec::new();
        for no in &accepted.orders {
            let Some((state, paid_fen, back_fen)) = orders.get(no) else {
                faults.push(format!("order {no} is not in the ledger"));
                continue;
            };
            let payment = &truth["keys"]["payments"][no];
            let truly_paid = if payment["paid_at"].is_null() { 0 } else { fen(&payment["total_fen"]) };
            let truly_back = fen(&payment["refunded_fen"]);
            let wanted_back = if state == "completed" { 0 } else { truly_paid };
            if (*paid_fen, *back_fen) != (truly_paid, truly_back) || truly_back != wanted_back {
                faults.push(format!(
                    "order {no} is {state}: {paid_fen} fen came in and {back_fen} went back in our books, \
                     {truly_paid} and {truly_back} outside"
                ));
            }
            if state == "completed" && truly_paid == 0 {
                faults.push(format!("order {no} is completed and was not paid"));
            }
        }
        if orders.len() != accepted.orders.len() {
            faults.push(format!("{} orders in the ledger, {} accepted", orders.len(), accepted.orders.len()));
        }
        faults
    }

    /// What we know to have done is what was done, and nothing was done twice.
    fn effect_faults(&self) -> Vec<String> {
        let truth = self.truth();
        let mut faults = Vec::new();
        for told in truth["effects"].as_array().unwrap().iter().filter(|told| told["doubled"] != 0) {
            faults.push(format!("had twice: {told}"));
        }
        for kind in PROMISED_ONCE {
            let ours = ledger::done(&self.database, kind);
            let theirs = &truth["keys"]["effects"][kind];
            let theirs: BTreeSet<_> =
                theirs.as_object().into_iter().flatten().map(|(of, _)| of.clone()).collect();
            if ours != theirs {
                let only_here: Vec<_> = ours.difference(&theirs).take(SHOWN).collect();
                let only_there: Vec<_> = theirs.difference(&ours).take(SHOWN).collect();
                faults.push(format!("{kind}: only in our books {only_here:?}, only outside {only_there:?}"));
            }
        }
        faults
    }

    fn truth(&self) -> Value {
        http::read(&self.control, "/truth?keys=true")
    }

    /// How many orders came to each end.
    pub fn ends(&self) -> BTreeMap<String, usize> {
        let mut ends = BTreeMap::new();
        for (_, (state, ..)) in ledger::orders(&self.database) {
            *ends.entry(state).or_default() += 1;
        }
        ends
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(args).env_clear().current_dir(std::env::temp_dir()).output().unwrap()
    }

    /// Everything that may tell why it does not go on.
    fn stuck(&self, waits: &BTreeSet<String>) -> String {
        let mut text = ledger::tell_open(&self.database);
        let doors = self.doors();
        text.push_str(&format!("-- {} jobs are not known to be over\n", waits.len()));
        for id in waits.iter().take(SHOWN) {
            text.push_str(&format!("{id}: {:?}\n", http::get(&doors[0], &format!("/v1/jobs/{id}"))));
        }
        for path in ["/v1/queues", "/v1/workers", "/readyz"] {
            text.push_str(&format!("-- {path}\n{:?}\n", http::get(&doors[0], path)));
        }
        text.push_str(&format!("-- callbacks owed: {:?}\n", self.callbacks_owed()));
        for house in self.all() {
            let state = if house.lives() { "lives" } else { "ENDED" };
            text.push_str(&format!(
                "-- {} ({state}, started {} times)\n{}\n",
                house.name,
                house.starts,
                house.last_words()
            ));
        }
        text
    }
}

fn fen(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
