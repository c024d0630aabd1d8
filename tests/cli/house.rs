//! Schedules, retention and backups from the command line, without a server that runs.

use crate::process::Place;

#[test]
fn a_cron_is_tried_before_it_is_written_down() {
    let place = Place::new();
    let tried =
        place.run(&["schedules", "preview", "--cron", "30 * * * *", "-n", "3", "--json"]).well().json();
    assert_eq!(tried["toml"], "cron = \"0 30 * * * *\"\ntimezone = \"Asia/Shanghai\"");
    let times = tried["times"].as_array().unwrap();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time["local"].as_str().unwrap().contains(":30:00+08:00")), "{tried}");
    let every = place.run(&["schedules", "preview", "--every", "90s"]).well();
    assert!(every.out.starts_with("every = \"1m30s\""), "{}", every.out);
    place.run(&["schedules", "preview", "--cron", "0 0 13 * 5"]).says(2, &["either fits"]);
    place.run(&["schedules", "preview", "--cron", "61 * * * *"]).says(2, &["minute \"61\""]);
    place
        .run(&["schedules", "preview", "--cron", "0 3 * * *", "--zone", "Asia/Peking"])
        .says(2, &["Asia/Peking"]);
    place.run(&["schedules", "preview"]).says(2, &["--help"]);
    assert!(!place.data().exists(), "none of these needs a store");
}

#[test]
fn beat_entries_become_a_file_that_check_reads() {
    let place = Place::new();
    let beat = "app.conf.timezone = 'Asia/Shanghai'\napp.conf.beat_schedule = {\n  \
                # every 30 minutes\n  'sweep': {'task': 'shop.sweep_orders', 'schedule': crontab(minute=30)},\n}\n";
    let file = place.file("shop/celery.py", beat);
    let read = place.run(&["schedules", "from-celery", &file]).well();
    assert!(read.out.contains("24 times in the next 24 hours"), "{}", read.out);
    place.file("schedules/shop.toml", &read.out);
    let mut check = place.command(&["check"]);
    check.env("WINDLASS_SCHEDULES", "schedules");
    assert!(place.start(check).end().well().out.contains("all is well"));
    let nothing = place.file("shop/empty.py", "import os\n");
    place.run(&["schedules", "from-celery", &nothing]).says(2, &["empty.py", "no beat entry"]);
    place.run(&["schedules", "from-celery", "nowhere.py"]).says(1, &["nowhere.py cannot be read"]);
}

#[test]
fn schedules_are_looked_at_and_steered() {
    let place = Place::new();
    let listed = place.run(&["schedules", "list"]).well();
    assert!(
        listed.out.contains("sweep_orders") && listed.out.contains("0 20 4 * * * Asia/Shanghai"),
        "{}",
        listed.out
    );
    place.run(&["schedules", "pause", "prune", "--reason", "looking for something old"]).well();
    // The next process finds it so.
    let listed = place.run(&["schedules", "list", "--json"]).well().json();
    let all = listed["schedules"].as_array().unwrap();
    let prune = all.iter().find(|one| one["schedule"] == "prune").unwrap();
    assert!(prune["paused"]["why"].as_str().unwrap().contains("looking for something old"), "{prune}");
    place.run(&["schedules", "resume", "prune"]).well();
    let run = place.run(&["schedules", "run", "prune", "--json"]).well().json();
    let again = place.run(&["schedules", "run", "prune", "--json"]).well().json();
    assert_eq!((&again["new"], &again["job"]), (&false.into(), &run["job"]), "its unique key is taken");
    let span = ["--from", "2026-01-05T00:00:00+08:00", "--to", "2026-01-08T00:00:00+08:00"];
    let dry = [&["schedules", "backfill", "backup_check", "--dry-run", "--json"], &span[..]].concat();
    assert_eq!(place.run(&dry).well().json()["missing"], 3);
    let real = [&["schedules", "backfill", "backup_check"], &span[..]].concat();
    assert!(place.run(&real).well().out.contains("3 jobs made"));
    place.run(&["schedules", "run", "nobody"]).says(1, &["no such schedule"]);
}

#[test]
fn what_would_go_is_counted_and_a_backup_is_reported() {
    let place = Place::new();
    let dry = place.run(&["prune", "--dry-run", "--json"]).well().json();
    assert_eq!((&dry["dry_run"], &dry["tables"][0]["rows"]), (&true.into(), &0.into()));
    assert!(place.run(&["prune"]).well().out.contains("order_events"));
    let file = place.file("ledger.zst", "the whole ledger");
    let args = ["backups", "record", "--kind", "ledger", "--file", &file];
    let recorded = place.run(&[&args[..], &["--json"]].concat()).well().json();
    assert_eq!(recorded["bytes"], 16);
    assert_eq!(recorded["sha256"].as_str().unwrap().len(), 64);
    assert!(place.run(&args).well().out.contains("was known"));
    assert!(place.run(&["backups", "list"]).well().out.contains("ledger.zst"));
    place.run(&["backups", "record", "--kind", "ledger"]).says(2, &["--help"]);
    place.run(&["backups", "record", "--kind", "The Ledger", "--file", &file]).says(1, &["kind: 1 to 32"]);
}

#[test]
fn many_jobs_are_acted_on_by_a_filter() {
    let place = Place::new();
    for n in 0..3 {
        place.run(&["enqueue", "noop", "--id", &format!("n{n}"), "--tag", "try"]).well();
    }
    let dry = place.run(&["jobs", "cancel", "--state", "ready", "--tag", "try", "--dry-run"]).well();
    assert!(dry.out.contains("3 jobs"), "{}", dry.out);
    let done = place.run(&["jobs", "cancel", "--state", "ready", "--kind", "noop", "--json"]).well().json();
    assert_eq!(done["done"], 3);
    assert!(place.run(&["jobs", "retry", "--state", "cancelled"]).well().out.contains("3 done"));
    place.run(&["jobs", "promote", "--state", "ready"]).says(1, &["/filter/state"]);
    place.run(&["jobs", "cancel", "n0"]).well();
    assert!(place.run(&["jobs", "delete", "n0"]).well().out.contains("n0 is gone"));
    for args in [
        &["jobs", "retry"][..],
        &["jobs", "retry", "n1", "--state", "dead"],
        &["jobs", "retry", "--kind", "noop"],
    ] {
        place.run(args).says(2, &["--help"]);
    }
}
