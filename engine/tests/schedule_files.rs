//! The files of the schedules: what is read, and that everything wrong is told at once with its place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use windlass_engine::schedule::{CatchUp, Entry, Lane, Misfit, Overlap, ScheduleProblems, Schedules};
use windlass_engine::{Job, JobContext, JobError, JobKind, JobTable, Outcome, Priority, Timestamp};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReconcilePayments {
    day: String,
}

impl Job for ReconcilePayments {
    const KIND: &'static str = "reconcile_payments";
    const QUEUE: &'static str = "wechat_pay";
    const PRIORITY: Priority = Priority::Low;
    type Context = ();

    fn unique_key(&self) -> Option<String> {
        Some(self.day.clone())
    }

    async fn run(self, (): &(), _: &JobContext) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

static KINDS: [JobKind<()>; 1] = [JobKind::of::<ReconcilePayments>()];

/// Loads files of the given names and texts.
fn load(files: &[(&str, &str)]) -> Result<Schedules, ScheduleProblems> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let table = JobTable::new(&KINDS);
    Schedules::load(folder.path(), &|kind, payload| table.lane(kind, payload))
}

/// The problems as `file:line: what`, without the folder.
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    load(files)
        .unwrap_err()
        .0
        .iter()
        .map(|problem| {
            let file = problem.file.file_name().unwrap().to_string_lossy();
            format!("{file}:{}: {}", problem.line.unwrap_or(0), problem.what)
        })
        .collect()
}

const NIGHTLY: &str = r#"
[nightly_reconciliation]
cron = "0 30 10 * * *"
timezone = "Asia/Shanghai"
job = "reconcile_payments"
payload = { day = "yesterday" }
overlap = "skip"
catch_up = "one"
jitter = "2m"
"#;

#[test]
fn an_entry_is_read_with_its_kinds_own_lane() {
    let schedules = load(&[("payments.toml", NIGHTLY), ("notes.txt", "not read")]).unwrap();
    let entry = schedules.get("nightly_reconciliation").unwrap();
    assert_eq!((entry.overlap, entry.catch_up), (Overlap::Skip, CatchUp::One));
    assert_eq!((entry.jitter, entry.enabled), (Duration::from_secs(120), true));
    assert_eq!(entry.rhythm.to_string(), "0 30 10 * * * Asia/Shanghai");
    let from = Timestamp::parse_rfc3339("2026-01-05T00:00:00+08:00").unwrap();
    let instant = entry.next_after(from).unwrap();
    assert_eq!(instant.to_rfc3339(), "2026-01-05T02:30:00.000Z");
    let job = entry.job(instant);
    assert_eq!((job.queue.as_str(), job.priority), ("wechat_pay", Priority::Low));
    assert_eq!(job.unique.unwrap().key, "yesterday");
    assert_eq!(job.envelope.payload.get(), r#"{"day":"yesterday"}"#);
}

#[test]
fn every_key_says_what_it_says() {
    let text = r#"
        [sweep]
        description = "for people"
        every = "1h30m"
        job = "reconcile_payments"
        queue = "slow"
        priority = "high"
        overlap = "allow"
        catch_up = "all"
        catch_up_max = 0x10
        enabled = false
        tags = ["night", "money"]
        [sweep.payload]
        day = 2026-01-05
    "#;
    let schedules = load(&[("a.toml", text)]).unwrap();
    let entry: &Entry = schedules.get("sweep").unwrap();
    assert_eq!((entry.queue.as_str(), entry.priority), ("slow", Priority::High));
    assert_eq!((entry.overlap, entry.catch_up), (Overlap::Allow, CatchUp::All { max: 16 }));
    assert_eq!(entry.tags, ["night", "money"]);
    assert!(!entry.enabled);
    assert_eq!(entry.rhythm.to_string(), "every 1h30m");
    assert_eq!(entry.payload.get(), r#"{"day":"2026-01-05"}"#);
}

#[test]
fn every_problem_of_every_file_is_told_at_once_with_its_line() {
    let orders = r#"
[first]
cron = "30 * * * *"
timezone = "Asia/Shangai"
job = "reconcile_payment"
overlapp = "skip"

[second]
cron = "0 0 0 31 2 *"
timezone = "UTC"
job = "reconcile_payments"
payload = { night = "today" }
jitter = "5"

stray = 3
"#;
    let payments = format!(
        "{NIGHTLY}\n[first]\nevery = \"1m\"\njob = \"reconcile_payments\"\npayload = {{ day = \"x\" }}\njitter = \"1m\"\n"
    );
    let found = problems_of(&[("orders.toml", orders), ("payments.toml", &payments)]);
    let expected = [
        "orders.toml:6: unknown key `overlapp`: did you mean `overlap`?",
        "orders.toml:4: no time zone \"Asia/Shangai\"",
        "orders.toml:3: cron \"30 * * * *\": a cron has six fields, seconds first",
        "orders.toml:5: no job of the kind `reconcile_payment`; did you mean `reconcile_payments`?",
        "orders.toml:15: unknown key `stray`",
        "orders.toml:9: cron \"0 0 0 31 2 *\": never fires",
        "orders.toml:12: the payload is none of `reconcile_payments`: unknown field `night`",
        "orders.toml:13: `jitter`: \"5\" is no length of time",
        "payments.toml:11: the name is taken",
        "payments.toml:15: a jitter of 1m does not fit between two instants, which are 1m apart",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }
}

#[test]
fn what_an_entry_lacks_or_has_twice_is_told() {
    let found = |body: &str| problems_of(&[("a.toml", &format!("[a]\n{body}"))]);
    let job = "job = \"reconcile_payments\"\npayload = { day = \"x\" }\n";
    assert_eq!(found(job), ["a.toml:1: neither `cron` nor `every`: when does it fire?"]);
    assert_eq!(found("every = \"1m\"\n"), ["a.toml:1: no `job`: what does it start?"]);
    assert!(found(&format!("{job}cron = \"@daily\""))[0].starts_with("a.toml:4: a cron needs a `timezone`"));
    assert!(
        found(&format!("{job}every = \"1m\"\ncron = \"@daily\"\ntimezone = \"UTC\""))[0].contains("both")
    );
    assert!(found(&format!("{job}every = 60"))[0].ends_with("`every` is a text in quotes"));
    assert!(
        found(&format!("{job}every = \"1m\"\ncatch_up = \"all\""))[0].contains("needs overlap = \"allow\"")
    );
    assert!(found(&format!("{job}every = \"1m\"\ncatch_up_max = 5"))[0].contains("says nothing"));
    assert!(
        found(&format!("{job}every = \"1m\"\ncatch_up_max = -5"))[0].contains("whole number from 1 to 1000")
    );
    assert!(
        found(&format!("{job}every = \"1m\"\npriority = \"urgent\""))[0]
            .contains("critical, high, normal, low")
    );
}

#[test]
fn a_file_that_is_no_toml_does_not_hide_the_others() {
    let found = problems_of(&[("broken.toml", "[a\ncron = \n"), ("other.toml", "[b]\nevery = \"1m\"\n")]);
    assert!(found.iter().any(|problem| problem.starts_with("broken.toml:1")), "{found:#?}");
    assert!(found.iter().any(|problem| problem.starts_with("other.toml:1: no `job`")), "{found:#?}");
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let problems =
        Schedules::load(Path::new("no/such/folder"), &|_, _| Err(Misfit::Payload(vec![]))).unwrap_err();
    let text = problems.to_string();
    assert!(text.starts_with("1 problem in the schedules:\n  no/such/folder: "), "{text}");
}

#[test]
fn the_shops_own_schedules_are_sound() {
    let any = |_: &str, _: &RawValue| {
        Ok(Lane { queue: "orders".into(), priority: Priority::Normal, unique_key: None })
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schedules");
    let schedules = Schedules::load(&folder, &any).unwrap_or_else(|problems| panic!("{problems}"));
    let rhythm = |name: &str| schedules.get(name).unwrap().rhythm.to_string();
    assert_eq!(rhythm("expire_unpaid_orders"), "0 * * * * * Asia/Shanghai");
    assert_eq!(rhythm("track_parcels"), "0 */15 * * * * Asia/Shanghai");
    assert_eq!((schedules.len(), schedules.is_empty()), (schedules.iter().count(), false));
}

#[test]
fn a_job_must_expire_before_the_next_one_comes_and_after_it_is_due() {
    let entry = |rest: &str| {
        format!("[a]\nevery = \"1h\"\njob = \"reconcile_payments\"\npayload = {{ day = \"x\" }}\n{rest}\n")
    };
    let good = load(&[("a.toml", &entry("expires = \"55m\"\njitter = \"2m\""))]).unwrap();
    assert_eq!(good.get("a").unwrap().expires, Some(Duration::from_secs(55 * 60)));
    for (rest, told) in [
        ("expires = \"1h\"", "may meet the next one, which comes 1h after it"),
        ("expires = \"2m\"\njitter = \"2m\"", "due up to 2m late must not expire after 2m"),
        ("expires = \"55\"", "`expires`: "),
    ] {
        let problems = problems_of(&[("a.toml", &entry(rest))]);
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    }
}
