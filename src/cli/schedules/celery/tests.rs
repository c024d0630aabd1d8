use windlass_engine::Timestamp;

use super::*;

/// 2026-01-05 12:00 in Shanghai.
const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

const APP: &str = r#"
"""Beat.

app.conf.beat_schedule = {"never": {"task": "x", "schedule": crontab()}}
"""
import os
from celery.schedules import crontab, solar
from datetime import timedelta

app.conf.timezone = 'Asia/Shanghai'
app.conf.beat_schedule = {
    # every 30 minutes
    "sweep-orders": {"task": "shop.tasks.sweep_orders", "schedule": crontab(minute=30)},
    "expire-orders": {
        'task': 'shop.expire_unpaid_orders', 'schedule': crontab(minute="*/5"), 'args': (),
        'kwargs': {}, "options": {"queue": "fulfilment", "expires": 240, "priority": 0},
    },
    "poll": {"task": "shop.poll", "schedule": 60.0 * 5, "args": (16, "x"), "kwargs": {"deep": True, "tags": ["a"]}},
    "five": {"task": "noop", "schedule": crontab(hour=5)},
    "dusk": {"task": "noop", "schedule": solar('sunset', -37.8, 144.9)},
    "delta": {"task": "noop", "schedule": timedelta(minutes=1, seconds=30), "options": {"expires": 90}},
    "code": {"task": "noop", "schedule": EVERY},
    "fast": {"task": "noop", "schedule": 0.5},
}
app.conf.beat_schedule["added"] = {"task": "noop", "schedule": crontab(0, 0, day_of_month='1')}

@app.on_after_configure.connect
def setup(sender, **kwargs):
    sender.add_periodic_task(10.0, hello.s('world'), name='hello every 10', expires=5)
"#;

fn section<'a>(toml: &'a str, name: &str) -> &'a str {
    let start = toml.find(&format!("# {name}:")).unwrap_or_else(|| panic!("{name} is in {toml}"));
    let rest = &toml[start..];
    rest.split("\n\n").next().unwrap_or(rest)
}

#[test]
fn what_somebody_took_for_every_30_minutes_shows_as_hourly() {
    let toml = read(APP, None).unwrap().toml(NOON);
    assert_eq!(
        section(&toml, "sweep-orders"),
        "# sweep-orders: crontab(minute=30)\n\
         # 24 times in the next 24 hours; the next are\n\
         #   2026-01-05T12:30:00+08:00\n\
         #   2026-01-05T13:30:00+08:00\n\
         #   2026-01-05T14:30:00+08:00\n\
         #   2026-01-05T15:30:00+08:00\n\
         #   2026-01-05T16:30:00+08:00\n\
         # ! once an hour, at minute 30; every 30 minutes would be minute=\"*/30\"\n\
         [sweep_orders]\n\
         cron = \"0 30 * * * *\"\n\
         timezone = \"Asia/Shanghai\"\n\
         job = \"sweep_orders\"\n\
         overlap = \"skip\"\n\
         catch_up = \"one\""
    );
    assert!(toml.contains("line 2: a schedule in a text; Celery never ran it"), "{toml}");
}

#[test]
fn every_form_of_an_entry_is_read_or_refused_with_its_reason() {
    let beat = read(APP, None).unwrap();
    assert_eq!((beat.entries.len(), beat.refused()), (10, 3));
    let toml = beat.toml(NOON);
    for (name, parts) in [
        (
            "expire-orders",
            &["cron = \"0 0,5,10", "queue = \"fulfilment\"", "expires = \"4m\"", "its priority is left out"]
                [..],
        ),
        (
            "poll",
            &[
                "every = \"5m\"",
                "\"deep\" = true, \"tags\" = [\"a\"]",
                "its args [16,\"x\"] have no names",
                "no kind of job called poll",
            ],
        ),
        ("five", &["every minute of the hour 5", "cron = \"0 * 5 * * *\""]),
        ("dusk", &["refused, task noop: a solar schedule has no equivalent"]),
        ("delta", &["every = \"1m30s\"", "its expires of 1m30s is not shorter than the 1m30s"]),
        ("code", &["EVERY is worked out by code"]),
        ("fast", &["every 0.5 s"]),
        ("added", &["cron = \"0 0 0 1 * *\""]),
        ("hello every 10", &["[hello_every_10]", "every = \"10s\"", "expires = \"5s\""]),
    ] {
        let section = section(&toml, name);
        for part in parts {
            assert!(section.contains(part), "{part} is in {section}");
        }
    }
}

#[test]
fn what_is_written_is_a_file_of_schedules() {
    use windlass_engine::Priority;
    use windlass_engine::schedule::{Lane, Schedules};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("beat.toml"), read(APP, None).unwrap().toml(NOON)).unwrap();
    let any = Lane { queue: "any".into(), priority: Priority::Normal, unique_key: None };
    let schedules = Schedules::load(folder.path(), &|_, _| Ok(any.clone())).unwrap();
    assert_eq!(schedules.len(), 7);
    let poll = schedules.get("poll").unwrap();
    assert_eq!(poll.payload.get(), r#"{"deep":true,"tags":["a"]}"#);
}

#[test]
fn without_a_timezone_crontabs_are_utc_unless_a_zone_is_asked_for() {
    let source = "beat_schedule = {'a': {'task': 'noop', 'schedule': crontab(hour=10, minute=0)}}";
    let toml = read(source, None).unwrap().toml(NOON);
    assert!(toml.contains("sets no timezone") && toml.contains("timezone = \"UTC\""), "{toml}");
    assert!(toml.contains("2026-01-05T10:00:00+00:00"), "{toml}");
    let toml = read(source, Some("Asia/Shanghai")).unwrap().toml(NOON);
    assert!(toml.contains("2026-01-06T10:00:00+08:00"), "{toml}");
    assert!(read(source, Some("Mars")).unwrap().toml(NOON).contains("no time zone \"Mars\""));
}

#[test]
fn json_is_read_in_both_forms() {
    let listed = r#"{
        "a": {"task": "noop", "schedule": {"minute": "30"}},
        "b": {"task": "noop", "schedule": "<crontab: 0 */3 * * * (m/h/dM/MY/d)>"},
        "c": {"task": "noop", "schedule": "crontab(minute='*/15')"},
        "d": {"task": "noop", "schedule": 60, "options": {"expires": 50}}}"#;
    let toml = read(listed, Some("Asia/Shanghai")).unwrap().toml(NOON);
    for part in [
        "0 30 * * * *",
        "0 0 0,3,6,9,12,15,18,21 * * *",
        "0 0,15,30,45 * * * *",
        "every = \"1m\"",
        "expires = \"50s\"",
    ] {
        assert!(toml.contains(part), "{part} is in {toml}");
    }
    let dumped = r#"[
        {"model": "django_celery_beat.crontabschedule", "pk": 4, "fields": {"minute": "0", "hour": "3",
            "day_of_month": "*", "month_of_year": "*", "day_of_week": "1-5", "timezone": "Asia/Shanghai"}},
        {"model": "django_celery_beat.intervalschedule", "pk": 4, "fields": {"every": 2, "period": "hours"}},
        {"model": "django_celery_beat.periodictask", "pk": 1, "fields": {"name": "nightly", "task": "shop.noop",
            "crontab": 4, "interval": null, "args": "[]", "kwargs": "{\"a\": 1}", "queue": null, "enabled": false,
            "expire_seconds": 3600, "one_off": false}},
        {"model": "django_celery_beat.periodictask", "pk": 2, "fields": {"name": "two", "task": "noop",
            "crontab": null, "interval": 4, "args": "[]", "kwargs": "{}", "enabled": true}},
        {"model": "django_celery_beat.periodictask", "pk": 3, "fields": {"name": "once", "task": "noop",
            "clocked": 1, "one_off": true}}]"#;
    let beat = read(dumped, None).unwrap();
    assert_eq!((beat.entries.len(), beat.refused()), (3, 1));
    let toml = beat.toml(NOON);
    for part in [
        "0 0 3 * * Mon,Tue,Wed,Thu,Fri",
        "expires = \"1h\"",
        "enabled = false",
        "\"a\" = 1",
        "every = \"2h\"",
        "fires once",
    ] {
        assert!(toml.contains(part), "{part} is in {toml}");
    }
}

#[test]
fn a_file_without_entries_says_so() {
    assert!(read("import os\n", None).err().unwrap().contains("no beat entry"));
    assert!(read("{\"a\": ", None).err().unwrap().contains("no JSON"));
    assert!(read("beat_schedule = {'a': }", None).err().unwrap().contains("line 1"));
}
