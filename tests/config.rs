//! The configuration: what is read from where, and that every problem is told at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use windlass::config::{Config, ConfigProblems, Env, LogFormat, StoreUrl, VARIABLES, env_example};
use windlass_jobs::notifications::mail::MailTls;

#[path = "support/production.rs"]
mod production;

use production::{HAIER, production};

/// Reads the variables over a `.env` of the given text.
fn read(dotenv: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigProblems> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, dotenv).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(variables.collect(), &file)
}

/// The variables at fault, in the order of the problems.
fn at_fault(variables: &[(&str, &str)]) -> Vec<String> {
    read("", variables).unwrap_err().0.into_iter().map(|problem| problem.variable).collect()
}

#[test]
fn nothing_set_is_development_with_the_sandbox() {
    let config = Config::read(BTreeMap::new(), Path::new("no/such/.env")).unwrap();
    assert_eq!((config.env, config.listen.to_string().as_str()), (Env::Development, "127.0.0.1:8080"));
    assert_eq!(config.queue.to_string(), "sqlite:./data/queue.db");
    assert_eq!(config.database.to_string(), "sqlite:./data/ledger.db");
    assert_eq!((config.work.slots, config.log_format), (32, LogFormat::Auto));
    assert_eq!(config.work.lease, std::time::Duration::from_secs(15));
    let outside = config.outside;
    assert!(outside.haier.is_none() && outside.ylh.is_none() && outside.wechat_pay.is_none());
    assert!(outside.mini_program.is_none() && outside.mail.is_none());
}

#[test]
fn the_environment_wins_over_the_file_and_nothing_is_not_set() {
    let dotenv = "WINDLASS_DATA=/srv/a\nWINDLASS_SLOTS=5\nWINDLASS_LISTEN=\nDJANGO_DEBUG=1\n";
    let config = read(dotenv, &[("WINDLASS_DATA", "/srv/b")]).unwrap();
    assert_eq!((config.data.to_str(), config.work.slots), (Some("/srv/b"), 5));
    assert_eq!(config.queue.path(), Some(Path::new("/srv/b/queue.db")));
    assert_eq!(config.listen.port(), 8080);
}

#[test]
fn complete_production_starts_and_shows_no_secret() {
    let config = read("", &production()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.env, Env::Production);
    let haier = config.outside.haier.as_ref().unwrap();
    assert_eq!(haier.customer_password.expose(), "p4ss-products");
    let mail = &config.outside.mail.as_ref().unwrap().settings;
    assert_eq!((mail.port, mail.tls), (587, MailTls::StartTls));
    let shown = format!("{config:?}");
    for secret in ["s3cr3t", "p4ss", "BEGIN PRIVATE", "0f1e2d3c", "ghijklmnopqrstuv", "k3y-"] {
        assert!(!shown.contains(secret), "{secret} shows in {shown}");
    }
}

#[test]
fn empty_production_tells_everything_that_is_missing_at_once() {
    let problems = read("", &[("WINDLASS_ENV", "production")]).unwrap_err();
    let text = problems.to_string();
    assert!(text.starts_with("7 problems in the configuration:\n  WINDLASS_DATA: "), "{text}");
    let names = [
        "SECRET_KEY",
        "HAIER_CLIENT_SECRET",
        "YLH_CALLBACK_SECRET",
        "WECHAT_PAY_APIV3_KEY",
        "WECHAT_SECRET",
        "EMAIL_HOST",
    ];
    for name in names {
        assert!(text.contains(name), "{name} is not in {text}");
    }
}

#[test]
fn test_asks_for_what_production_asks_of_stores_and_keys_and_has_the_sandbox() {
    let weak = [
        ("WINDLASS_ENV", "test"),
        ("QUEUE_URL", "redis://:changeme@redis.internal:6379/0"),
        ("DATABASE_URL", "postgres://windlass:changeme@db.internal/windlass"),
        ("SECRET_KEY", "short"),
    ];
    let told = at_fault(&weak);
    for name in ["QUEUE_URL", "DATABASE_URL", "SECRET_KEY"] {
        assert!(told.iter().any(|at| at == name), "{name}: {told:?}");
    }
    let sound = [
        ("WINDLASS_ENV", "test"),
        ("QUEUE_URL", "redis://:Fq8-kR2.vZ71mD@redis.internal:6379/0"),
        ("DATABASE_URL", "postgres://windlass:Fq8-kR2.vZ71mD@db.internal/windlass"),
        ("SECRET_KEY", "0f4be5b6a0c14e2b9d2a7c8e5f61d3a4"),
        ("WINDLASS_SANDBOX", "http://127.0.0.1:9400"),
        ("WINDLASS_CLOSE_DELAY_S", "5"),
    ];
    let config = read("", &sound).unwrap();
    assert!(config.env.is_strict() && config.sandbox.is_some());
    assert_eq!(config.close_delay.as_secs(), 5);
    assert_eq!(at_fault(&[("WINDLASS_CLOSE_DELAY_S", "61")]), ["WINDLASS_CLOSE_DELAY_S"]);
}

#[test]
fn production_refuses_what_stands_in_examples() {
    for weak in ["changeme", "your_secret_here", "FAKE_SECRET", "xxxxxx", "aaaaaaaa", "Password", "12345678"]
    {
        let mut variables = production();
        variables.push(("HAIER_CLIENT_SECRET", weak));
        let problems = read("", &variables).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert_eq!(problems.0[0].variable, "HAIER_CLIENT_SECRET");
        assert!(!problems.to_string().contains(weak), "the value shows in {problems}");
    }
    let haier: Vec<_> = HAIER.iter().map(|(name, _)| (*name, "changeme")).collect();
    assert!(read("", &haier).is_ok(), "development may play with examples");
}

#[test]
fn half_an_account_is_no_wish_for_the_sandbox() {
    assert_eq!(at_fault(&HAIER[..4]), ["HAIER_PASSWORD, HAIER_SELLER_PASSWORD"]);
    let mail = [("EMAIL_HOST", "a"), ("DEFAULT_FROM_EMAIL", "b"), ("EMAIL_HOST_USER", "c")];
    assert_eq!(at_fault(&mail), ["EMAIL_HOST_PASSWORD"]);
    assert_eq!(at_fault(&[("WECHAT_APPID", "wx1")]), ["WECHAT_SECRET"]);
    assert!(
        read("", &[("WECHAT_APPID", "wx1"), ("WECHAT_SECRET", "x")]).unwrap().outside.wechat_pay.is_none()
    );
}

#[test]
fn every_value_that_cannot_be_read_is_told_once_and_all_at_once() {
    let faults = at_fault(&[
        ("WINDLASS_ENV", "prod"),
        ("WINDLASS_LISTEN", "localhost"),
        ("WINDLASS_SLOTS", "0"),
        ("WINDLASS_LEASE_S", "301"),
        ("WINDLASS_LOG", "windlass=loud"),
        ("WINDLASS_LOG_FORMAT", "xml"),
        ("WINDLASS_SLOT", "3"),
        ("HAIER_BASE_URL", "haier.net"),
        ("WECHAT_PAY_APIV3_KEY", "short"),
        ("WECHAT_PAY_PRIVATE_KEY", "no pem"),
        ("EMAIL_USE_TLS", "maybe"),
        ("EMAIL_PORT", "70000"),
    ]);
    let names = [
        "WINDLASS_ENV",
        "WINDLASS_LISTEN",
        "WINDLASS_SLOTS",
        "WINDLASS_LEASE_S",
        "WINDLASS_LOG",
        "WINDLASS_LOG_FORMAT",
        "WINDLASS_SLOT",
        "HAIER_BASE_URL",
        "WECHAT_PAY_APIV3_KEY",
        "WECHAT_PAY_PRIVATE_KEY",
        "EMAIL_USE_TLS",
        "EMAIL_PORT",
    ];
    for name in names {
        assert_eq!(faults.iter().filter(|fault| *fault == name).count(), 1, "{name} in {faults:?}");
    }
}

/// The carrier or the ledger that the variables give, as it is connected to.
fn store(variables: &[(&str, &str)], which: fn(&Config) -> &StoreUrl) -> String {
    let config = read("", variables).unwrap_or_else(|problems| panic!("{variables:?}: {problems}"));
    which(&config).to_connect().expose().to_owned()
}

#[test]
fn the_carrier_is_found_under_every_name_of_it() {
    let queue = |variables: &[(&str, &str)]| store(variables, |config| &config.queue);
    let parts =
        [("REDIS_HOST", "redis"), ("REDIS_PASSWORD", "p@ss/#w"), ("REDIS_PORT", "6380"), ("REDIS_DB", "2")];
    let broker = ("CELERY_BROKER_URL", "redis://broker:6379/1");
    assert_eq!(queue(&[("QUEUE_URL", "rediss://u:p@r:6379/1"), broker, parts[0]]), "rediss://u:p@r:6379/1");
    assert_eq!(queue(&parts), "redis://:p%40ss%2F%23w@redis:6380/2");
    assert_eq!(queue(&[("REDIS_HOST", "::1"), broker]), "redis://[::1]:6379/0");
    assert_eq!(queue(&[broker]), "redis://broker:6379/1");
    // Another make of broker says nothing of where our queue is.
    assert_eq!(queue(&[("CELERY_BROKER_URL", "amqp://guest@rabbit//")]), "sqlite:./data/queue.db");
    assert_eq!(queue(&[("QUEUE_URL", "sqlite:///srv/q.db")]), "sqlite:/srv/q.db");
}

#[test]
fn the_ledger_is_found_under_every_name_of_it() {
    let database = |variables: &[(&str, &str)]| store(variables, |config| &config.database);
    let parts = [("POSTGRES_DB", "shop"), ("POSTGRES_USER", "django"), ("POSTGRES_PASSWORD", "p@ss:w")];
    assert_eq!(
        database(&[("DB_HOST", "db"), parts[0], parts[1], parts[2]]),
        "postgres://django:p%40ss%3Aw@db:5432/shop"
    );
    assert_eq!(database(&[("DATABASE_URL", "postgresql://u@h/d"), ("DB_HOST", "x")]), "postgresql://u@h/d");
    assert_eq!(at_fault(&parts), ["POSTGRES_HOST"]);
    assert_eq!(at_fault(&[("DB_HOST", "db")]), ["POSTGRES_DB, POSTGRES_USER"]);
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    for (name, bad) in [
        ("QUEUE_URL", "queue.db"),
        ("QUEUE_URL", "sqlite:"),
        ("QUEUE_URL", "sqlite:a?mode=ro"),
        ("QUEUE_URL", "mysql://u:hunter2@h/d"),
        ("QUEUE_URL", "postgres://u:hunter2@h/d"),
        ("QUEUE_URL", "redis://:hunter2"),
        ("QUEUE_URL", "redis://:hun#hunter2@h/0"),
        ("DATABASE_URL", "redis://:hunter2@h/0"),
        ("DATABASE_URL", "postgres://u:hunter2@h:port/d"),
        ("CELERY_BROKER_URL", "redis://:hunter2@:0"),
        ("REDIS_HOST", "hunter2@redis/0"),
        ("REDIS_PORT", "65536"),
        ("REDIS_DB", "many"),
        ("QUEUE_NAMESPACE", "Shop:1"),
    ] {
        let problems = read("", &[(name, bad)]).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{bad}: {problems}");
        assert_eq!(problems.0[0].variable, name);
        assert!(name == "REDIS_HOST" || !problems.to_string().contains("hunter2"), "{problems}");
    }
}

#[test]
fn a_password_of_a_store_is_shown_nowhere() {
    let config = read(
        "",
        &[
            ("QUEUE_URL", "redis://shop:hunter2@r:6379/0"),
            ("DB_HOST", "db"),
            ("DB_NAME", "d"),
            ("DB_USER", "u"),
            ("DB_PASSWORD", "hunter2"),
        ],
    )
    .unwrap();
    assert_eq!(config.queue.to_string(), "redis://shop@r:6379/0");
    assert_eq!(config.database.to_string(), "postgres://u@db:5432/d");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn production_refuses_weak_stores_and_a_weak_key_all_at_once() {
    let mut variables = production();
    variables.extend([
        ("QUEUE_URL", "redis://:changeme@redis:6379/0"),
        ("DATABASE_URL", "postgres://shop:password@db/shop"),
        ("SECRET_KEY", "too short to be one"),
        ("WINDLASS_SANDBOX", "http://127.0.0.1:9400"),
        ("WINDLASS_SPEED", "60"),
        ("WINDLASS_SPEED_SINCE", "2026-01-01T00:00:00Z"),
    ]);
    let names = ["QUEUE_URL", "DATABASE_URL", "SECRET_KEY", "WINDLASS_SANDBOX", "WINDLASS_SPEED"];
    assert_eq!(at_fault(&variables), names);
    let development: Vec<_> = variables.into_iter().filter(|(name, _)| *name != "WINDLASS_ENV").collect();
    assert!(read("", &development).is_ok());
}

#[test]
fn production_says_a_word_about_files_and_open_servers() {
    let warnings = |more: &[(&'static str, &'static str)]| {
        read("", &[production().as_slice(), more].concat()).unwrap().warnings
    };
    assert!(warnings(&[])[0].contains("windlass up"));
    let servers = [("QUEUE_URL", "redis://redis:6379/0"), ("DATABASE_URL", "postgres://shop:r4nd0m@db/shop")];
    assert!(warnings(&servers)[0].contains("QUEUE_URL") && warnings(&servers).len() == 1);
    let near = [("QUEUE_URL", "redis://127.0.0.1:6379/0"), servers[1]];
    assert_eq!(warnings(&near), [""; 0]);
}

#[test]
fn queues_are_named_with_or_without_slots() {
    let work = |queues| read("", &[("WINDLASS_QUEUES", queues), ("WINDLASS_SLOTS", "8")]).unwrap().work;
    assert_eq!(work("orders, haier=4,").queues, [("orders".to_owned(), None), ("haier".to_owned(), Some(4))]);
    for bad in ["orders=0", "orders=many", "orders,orders=3", "orders=2000"] {
        assert_eq!(at_fault(&[("WINDLASS_QUEUES", bad)]), ["WINDLASS_QUEUES"], "{bad}");
    }
}

#[test]
fn a_faster_shop_says_since_when() {
    assert_eq!(at_fault(&[("WINDLASS_SPEED", "60")]), ["WINDLASS_SPEED_SINCE"]);
    let at = |since: &str| [("WINDLASS_SPEED", "60".to_owned()), ("WINDLASS_SPEED_SINCE", since.to_owned())];
    let read = |since: &str| {
        let variables = at(since);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        read("", &variables)
    };
    for bad in ["yesterday", "2999-01-01T00:00:00Z"] {
        assert_eq!(read(bad).unwrap_err().0[0].variable, "WINDLASS_SPEED_SINCE", "{bad}");
    }
    assert_eq!(read("2026-01-01T00:00:00Z").unwrap().clock().speed(), 60.0);
}

#[test]
fn a_secret_is_read_from_its_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "from-the-file\n").unwrap();
    let file = file.to_str().unwrap();
    let mut variables = HAIER[..5].to_vec();
    variables.push(("HAIER_SELLER_PASSWORD_FILE", file));
    let haier = read("", &variables).unwrap().outside.haier.unwrap();
    assert_eq!(haier.seller_password.expose(), "from-the-file");

    variables.push(("HAIER_SELLER_PASSWORD", "twice"));
    assert_eq!(at_fault(&variables), ["HAIER_SELLER_PASSWORD"]);
    variables.pop();
    variables.push(("HAIER_SELLER_PASSWORD_FILE", "/no/such/file"));
    assert_eq!(at_fault(&variables), ["HAIER_SELLER_PASSWORD_FILE"]);
}

#[test]
fn other_names_are_heeded_and_the_own_name_wins() {
    let mut variables = production();
    variables.retain(|(name, _)| *name != "YLH_CLIENT_PASSWORD");
    variables.push(("YLH_CLIENT_SECRET", "by-the-other-name"));
    let ylh = |variables: &[(&str, &str)]| read("", variables).unwrap().outside.ylh.unwrap();
    assert_eq!(ylh(&variables).settings.client_password.expose(), "by-the-other-name");
    variables.push(("YLH_CLIENT_PASSWORD", "by-its-own"));
    assert_eq!(ylh(&variables).settings.client_password.expose(), "by-its-own");
}

#[test]
fn a_fault_in_the_file_is_told_by_its_line() {
    let problems = read("WINDLASS_SLOTS=4\nnonsense\nWINDLASS_SLOTS=5\n", &[]).unwrap_err().0;
    assert_eq!(problems.len(), 2);
    assert!(problems[0].variable.ends_with(".env:2"), "{problems:?}");
    assert!(problems[1].variable.ends_with(".env:3"), "{problems:?}");
}

/// With `UPDATE_ENV_EXAMPLE=1` the file is written instead.
#[test]
fn env_example_is_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
        fs::write(&file, env_example()).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap(), env_example(), "run this test with UPDATE_ENV_EXAMPLE=1");
}

#[test]
fn the_defaults_that_env_example_shows_are_those_that_hold() {
    let shown: String = env_example()
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with("WINDLASS_"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (shown, unset) = (read(&shown, &[]).unwrap(), read("", &[]).unwrap());
    assert_eq!(format!("{shown:?}"), format!("{unset:?}"));
}

#[test]
fn every_variable_is_documented_on_a_field() {
    let code = concat!(
        include_str!("../src/config.rs"),
        include_str!("../src/config/access.rs"),
        include_str!("../src/config/logs.rs"),
        include_str!("../src/config/outside.rs"),
        include_str!("../src/config/reporting.rs"),
        include_str!("../src/config/shop_time.rs"),
        include_str!("../src/config/work.rs"),
    );
    let docs: String = code.lines().filter(|line| line.trim_start().starts_with("///")).collect();
    for variable in VARIABLES {
        assert!(docs.contains(&format!("`{}`", variable.name)), "{} is on no field", variable.name);
    }
}
