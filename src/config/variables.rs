//! The table of all variables: what is read, what `.env.example` explains.

use std::fmt::Write;

/// One variable.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Other names of it, as the systems that Windlass replaces have them. Its own name wins.
    pub aliases: &'static [&'static str],
    pub section: Section,
    /// May be read from the file that `NAME_FILE` names.
    pub secret: bool,
    /// What holds when it is not set, as text for people. Empty: nothing.
    pub default: &'static str,
    pub help: &'static str,
}

/// Where a variable stands in `.env.example`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Process,
    Stores,
    Access,
    Reporting,
    Haier,
    Ylh,
    WechatPay,
    MiniProgram,
    Mail,
}

impl Variable {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

impl Section {
    const fn heading(self) -> &'static str {
        match self {
            Self::Process => "The process",
            Self::Stores => "Where the queue and the ledger are kept",
            Self::Access => "Who may use the front door",
            Self::Reporting => "Traces (OpenTelemetry) and errors (Sentry): docs/guides/traces.md",
            Self::Haier => "Haier: products, prices, stock, logistics",
            Self::Ylh => "YLH (yilihuo): supplier orders and their callbacks",
            Self::WechatPay => "WeChat Pay (needs WECHAT_APPID too)",
            Self::MiniProgram => "The WeChat mini-program",
            Self::Mail => "E-mail",
        }
    }
}

const fn plain(section: Section, name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, aliases: &[], section, secret: false, default, help }
}

const fn secret(section: Section, name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, aliases: &[], section, secret: true, default, help }
}

const fn also(variable: Variable, aliases: &'static [&'static str]) -> Variable {
    Variable { aliases, ..variable }
}

use Section::{Access, Haier, Mail, MiniProgram, Process, Reporting, Stores, WechatPay, Ylh};

/// Every variable, in the order of `.env.example`.
pub const VARIABLES: &[Variable] = &[
    plain(
        Process,
        "WINDLASS_ENV",
        "development",
        "development, test or production. Test and production refuse what is missing, left at its example or weak; \
         production has no sandbox",
    ),
    plain(Process, "WINDLASS_LISTEN", "127.0.0.1:8080", "Where the front door listens"),
    plain(
        Process,
        "WINDLASS_METRICS_LISTEN",
        "",
        "Where metrics and health are told: by default a worker's at 127.0.0.1:9101, a scheduler's at 127.0.0.1:9102, and \
         the front door's on its own port; with it, metrics are at this address only",
    ),
    plain(
        Process,
        "WINDLASS_CLOSE_DELAY_S",
        "0",
        "Seconds that the front door goes on serving after it was told to stop, 0 to 60: it is not ready then, and \
         balancers turn away before it closes; a second signal cuts it short once no client has a connection from before",
    ),
    plain(
        Process,
        "WINDLASS_DATA",
        "./data",
        "The folder of the embedded files; test and production must name it",
    ),
    plain(Process, "WINDLASS_SCHEDULES", "./schedules", "The folder of the schedules' files"),
    plain(
        Process,
        "WINDLASS_SERVER",
        "",
        "The server that the command line asks; without it the one that listens at WINDLASS_LISTEN",
    ),
    plain(
        Process,
        "WINDLASS_SANDBOX",
        "",
        "The control port of a `windlass sandbox` that stands in for systems without credentials (not in production); \
         without it `windlass up` starts one, and roles of their own look at http://127.0.0.1:9400",
    ),
    plain(
        Process,
        "WINDLASS_SPEED",
        "1",
        "Seconds of the shop's time that pass in one of the wall's (not in production), the same for every process",
    ),
    plain(
        Process,
        "WINDLASS_SPEED_SINCE",
        "",
        "From when on the shop's time passes so fast, such as 2026-11-22T08:00:00Z: every process must say the same",
    ),
    plain(Process, "WINDLASS_SHOP", "", "A TOML file of what the shop decides; without it the defaults hold"),
    plain(
        Process,
        "WINDLASS_QUEUES",
        "",
        "The queues that a worker takes from, such as orders,haier or orders=16,haier=4 with slots; without it all",
    ),
    plain(Process, "WINDLASS_SLOTS", "32", "Jobs of each queue that one process runs at once, 1 to 1024"),
    plain(
        Process,
        "WINDLASS_LEASE_S",
        "15",
        "Seconds that a worker holds a job without a sign of life, 1 to 300: so long after its death the job runs again",
    ),
    plain(
        Process,
        "WINDLASS_LOG_FORMAT",
        "auto",
        "auto (pretty on a terminal, JSON lines elsewhere), pretty or json",
    ),
    also(
        plain(Process, "WINDLASS_LOG", "info", "Which lines are logged, such as info or warn,windlass=debug"),
        &["RUST_LOG"],
    ),
    plain(
        Process,
        "WINDLASS_LOG_DIR",
        "",
        "A folder for log files (app, error, api, slow, audit), beside the lines on stderr; without it there are none",
    ),
    plain(
        Process,
        "WINDLASS_LOG_FILE_MB",
        "64",
        "Another file is begun each day, and at so many MB, 1 to 4096",
    ),
    plain(Process, "WINDLASS_LOG_KEEP_DAYS", "30", "Days that log files are kept, 1 to 3650"),
    plain(
        Process,
        "WINDLASS_LOG_TOTAL_MB",
        "2048",
        "MB of log files in the folder, 8 to 1048576: beyond it the oldest go; the payment audit does not count",
    ),
    plain(Process, "WINDLASS_AUDIT_KEEP_DAYS", "90", "Days that the payment audit is kept, 90 to 3650"),
    plain(
        Process,
        "WINDLASS_SLOW_QUERY_MS",
        "500",
        "A statement of the ledger that takes so many milliseconds is logged, without what was bound to it; 0: none is",
    ),
    secret(
        Stores,
        "QUEUE_URL",
        "sqlite:<data>/queue.db",
        "The queue: sqlite:PATH, redis://user:password@host:port/db or rediss://…, or several of them with commas \
         between; a file belongs to one process",
    ),
    plain(
        Stores,
        "QUEUE_NAMESPACE",
        "windlass",
        "What this installation's keys in Redis begin with: a-z, 0-9, _ and -, at most 40",
    ),
    plain(Stores, "REDIS_HOST", "", "Redis in parts, where QUEUE_URL is not set"),
    plain(Stores, "REDIS_PORT", "6379", "Its port"),
    plain(Stores, "REDIS_DB", "0", "Its database"),
    secret(Stores, "REDIS_PASSWORD", "", "Its password"),
    secret(
        Stores,
        "CELERY_BROKER_URL",
        "",
        "Taken for the queue where neither QUEUE_URL nor REDIS_HOST is set and it is a Redis",
    ),
    secret(
        Stores,
        "DATABASE_URL",
        "sqlite:<data>/ledger.db",
        "The ledger: sqlite:PATH or postgres://user:password@host:port/database; a file belongs to one process",
    ),
    also(
        plain(Stores, "POSTGRES_HOST", "", "PostgreSQL in parts, where DATABASE_URL is not set"),
        &["DB_HOST"],
    ),
    also(plain(Stores, "POSTGRES_PORT", "5432", "Its port"), &["DB_PORT"]),
    also(plain(Stores, "POSTGRES_DB", "", "The database"), &["DB_NAME"]),
    also(plain(Stores, "POSTGRES_USER", "", "The user"), &["DB_USER"]),
    also(secret(Stores, "POSTGRES_PASSWORD", "", "The user's password"), &["DB_PASSWORD"]),
    secret(
        Access,
        "SECRET_KEY",
        "",
        "What the hashes of API keys are made with: at least 32 characters in test and production. Another one makes every key void",
    ),
    secret(Access, "WINDLASS_API_KEY", "", "The key that the command line shows at the front door"),
    plain(
        Access,
        "WINDLASS_RATE_LIMIT",
        "",
        "Calls that each key may make in a second, at each front door; without it there is no limit",
    ),
    plain(
        Reporting,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "The collector of traces, such as http://127.0.0.1:4318: OTLP over HTTP as JSON, at /v1/traces behind it; without it \
         nothing is traced",
    ),
    plain(Reporting, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "The same for traces alone, used as it is"),
    plain(
        Reporting,
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/json",
        "What is spoken to the collector: http/json",
    ),
    secret(
        Reporting,
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "Headers for the collector, such as authorization=Bearer%20TOKEN, with commas between",
    ),
    plain(
        Reporting,
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "Milliseconds that the collector has for an answer, 100 to 60000",
    ),
    plain(
        Reporting,
        "OTEL_SERVICE_NAME",
        "windlass, or windlass-api, windlass-worker, windlass-scheduler",
        "What a process is called in traces",
    ),
    plain(
        Reporting,
        "OTEL_RESOURCE_ATTRIBUTES",
        "",
        "What else is said of it there, such as cloud.region=cn-east-3, with commas between",
    ),
    plain(
        Reporting,
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "Which traces are kept: always_on, always_off or traceidratio, or one of them behind parentbased_",
    ),
    plain(Reporting, "OTEL_TRACES_SAMPLER_ARG", "1", "The share of traces that traceidratio keeps, 0 to 1"),
    plain(Reporting, "OTEL_SDK_DISABLED", "false", "true: nothing is traced"),
    secret(
        Reporting,
        "SENTRY_DSN",
        "",
        "Where errors are gathered, such as https://KEY@sentry.example/42: Sentry, GlitchTip; without it nowhere",
    ),
    plain(Reporting, "SENTRY_ENVIRONMENT", "what WINDLASS_ENV says", "What errors are filed under there"),
    plain(Reporting, "SENTRY_RELEASE", "windlass@VERSION", "The version that is told there"),
    plain(Haier, "HAIER_CLIENT_ID", "", "The account at the open platform"),
    secret(Haier, "HAIER_CLIENT_SECRET", "", "Its secret"),
    plain(Haier, "HAIER_CUSTOMER_CODE", "", "Sold-to code"),
    plain(Haier, "HAIER_SEND_TO_CODE", "", "Ship-to code"),
    secret(Haier, "HAIER_PASSWORD", "", "Password of products and prices"),
    secret(Haier, "HAIER_SELLER_PASSWORD", "", "Password of stock and logistics"),
    secret(Haier, "HAIER_CUSTOMER_PASSWORD", "HAIER_PASSWORD", "Password of the balance"),
    plain(Haier, "HAIER_SUPPLIER_CODE", "1001", "1001 is Haier Smart Home"),
    plain(Haier, "HAIER_BASE_URL", "https://openplat-bj-aliyun.haier.net", "The platform's address"),
    plain(Ylh, "YLH_CLIENT_ID", "", "The client that asks for tokens"),
    also(secret(Ylh, "YLH_CLIENT_PASSWORD", "", "Its password"), &["YLH_CLIENT_SECRET"]),
    plain(Ylh, "YLH_USERNAME", "", "The customer's account"),
    secret(Ylh, "YLH_PASSWORD", "", "Its password"),
    plain(Ylh, "YLH_SOURCE_SYSTEM", "", "Where orders come from, as agreed with YLH"),
    plain(Ylh, "YLH_SHOP_NAME", "", "The shop's name, as YLH knows it"),
    plain(Ylh, "YLH_SELLER_CODE", "", "Customer code"),
    plain(Ylh, "YLH_CALLBACK_APP_KEY", "", "The key that YLH names in callbacks"),
    secret(Ylh, "YLH_CALLBACK_SECRET", "", "What YLH signs callbacks with"),
    secret(Ylh, "YLH_CALLBACK_SECRET_OLD", "", "The secret before, while YLH may still sign with it"),
    plain(Ylh, "YLH_AUTH_URL", "https://www.yilihuo.com/ylh-cloud-mgt-auth", "Base of the tokens"),
    also(
        plain(
            Ylh,
            "YLH_ORDER_URL",
            "https://www.yilihuo.com/ylh-cloud-service-jst-order",
            "Base of create and cancel",
        ),
        &["YLH_BASE_URL"],
    ),
    plain(
        Ylh,
        "YLH_STOCK_URL",
        "https://www.yilihuo.com/ylh-cloud-service-stock",
        "Base of the stores' logistics",
    ),
    also(plain(WechatPay, "WECHAT_PAY_MCHID", "", "The merchant's number"), &["WECHAT_PAY_MCH_ID"]),
    plain(WechatPay, "WECHAT_PAY_SERIAL_NO", "", "Serial of the merchant's certificate"),
    secret(
        WechatPay,
        "WECHAT_PAY_PRIVATE_KEY",
        "",
        "The merchant's private key as a PEM: best by WECHAT_PAY_PRIVATE_KEY_FILE, else on one line with \\n",
    ),
    secret(WechatPay, "WECHAT_PAY_APIV3_KEY", "", "The APIv3 key: 32 bytes"),
    plain(
        WechatPay,
        "WECHAT_PAY_PUBLIC_KEY_ID",
        "",
        "WeChat Pay's public key, where the merchant has one: PUB_KEY_ID_...",
    ),
    secret(WechatPay, "WECHAT_PAY_PUBLIC_KEY", "", "Its PEM"),
    plain(WechatPay, "WECHAT_PAY_BASE_URL", "https://api.mch.weixin.qq.com", "The interface's address"),
    plain(MiniProgram, "WECHAT_APPID", "", "The mini-program's id"),
    secret(MiniProgram, "WECHAT_SECRET", "", "Its secret"),
    plain(MiniProgram, "WECHAT_BASE_URL", "https://api.weixin.qq.com", "The interface's address"),
    plain(Mail, "EMAIL_HOST", "", "The SMTP server"),
    plain(Mail, "DEFAULT_FROM_EMAIL", "", "The sender"),
    plain(Mail, "EMAIL_PORT", "587, 465 with EMAIL_USE_SSL, 25 without either", "Its port"),
    plain(Mail, "EMAIL_USE_TLS", "true", "STARTTLS"),
    plain(Mail, "EMAIL_USE_SSL", "false", "TLS from the start"),
    plain(Mail, "EMAIL_HOST_USER", "", "The account, where the server asks for one"),
    secret(Mail, "EMAIL_HOST_PASSWORD", "", "Its password"),
    plain(
        Mail,
        "WINDLASS_SUMMARY_TO",
        "",
        "Who is told by mail how the day was and what must be looked at: addresses with commas between",
    ),
    plain(Mail, "WINDLASS_TEMPLATES", "", "A folder of the shop's own wording of mail; without it ours"),
];

/// The text of `.env.example`.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Everything that an installation may set. Copy to .env and take away the # in front of what you set.\n\
         # The environment wins over .env. A variable marked [secret] may be read from a file instead: NAME_FILE.\n\
         # A system outside of which nothing is set is left to the sandbox (in development only); one that is set\n\
         # in part is an error.\n",
    );
    let mut section = None;
    for variable in VARIABLES {
        if section != Some(variable.section) {
            section = Some(variable.section);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n# ---- {}", variable.section.heading());
        }
        let mark = if variable.secret { " [secret]" } else { "" };
        let also = if variable.aliases.is_empty() {
            String::new()
        } else {
            format!(" (also: {})", variable.aliases.join(", "))
        };
        let _ = writeln!(text, "\n# {}.{also}{mark}", variable.help);
        let _ = writeln!(text, "#{}={}", variable.name, variable.default);
    }
    text
}
