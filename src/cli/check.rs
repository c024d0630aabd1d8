//! `windlass check`: everything that is wrong, at once, and what the stores promise.

use serde_json::json;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::notifications::Template;

use super::api::Api;
use super::jobs::Said;
use crate::config::Config;
use crate::platform::{Carrier, queues_of, schedules, shop_settings, templates};
use crate::telemetry::prove_log_folder;

/// What was looked at and what is wrong with it.
pub struct Checked {
    pub problems: Vec<String>,
    looked_at: Vec<String>,
    warnings: Vec<String>,
}

impl Checked {
    pub fn said(&self) -> Said {
        let warnings: String = self.warnings.iter().map(|warning| format!("!   {warning}\n")).collect();
        let text = format!("{}\n{warnings}all is well", self.looked_at.join("\n"));
        let json = json!({ "ok": true, "checked": self.looked_at, "warnings": self.warnings });
        Said { json, text }
    }

    fn note<T, E: std::fmt::Display>(&mut self, what: String, looked: Result<T, E>) -> Option<T> {
        match looked {
            Ok(found) => {
                self.looked_at.push(format!("ok  {what}"));
                Some(found)
            }
            Err(error) => {
                self.problems.push(format!("{what}: {error:#}"));
                None
            }
        }
    }

    fn detail(&mut self, words: impl std::fmt::Display) {
        self.looked_at.push(format!("    {words}"));
    }
}

/// The configuration itself was checked when it was read.
pub async fn run(config: Config) -> Checked {
    let mut checked = Checked {
        problems: Vec::new(),
        looked_at: vec!["ok  configuration".to_owned()],
        warnings: config.warnings.clone(),
    };
    checked.note("the queues of the worker".to_owned(), queues_of(&config.work));
    checked.note(format!("schedules in {}", config.schedules.display()), schedules(&config.schedules));
    checked.note("what the shop decides".to_owned(), shop_settings(config.shop.as_deref()));
    let words = templates(&config).map(|templates| {
        let of_shop = Template::ALL.into_iter().filter(|template| templates.is_of_shop(*template));
        of_shop.map(Template::as_str).collect::<Vec<_>>()
    });
    if let Some(of_shop) = checked.note("the templates of mail".to_owned(), words)
        && !of_shop.is_empty()
    {
        checked
            .detail(format!("the shop's own: {} (see `windlass notifications preview`)", of_shop.join(", ")));
    }
    if let Some(files) = &config.log_files {
        checked.note(format!("log files in {}", files.folder.display()), prove_log_folder(&files.folder));
    }
    // A server that runs holds its files; it answers for them. Stores that are servers answer for themselves.
    let api = Api::new(format!("http://{}", config.listen));
    match api {
        Ok(api) if config.queue.path().is_some() && api.is_up().await => {
            let ready = api.get("/readyz", &[]).await;
            let ready = ready.map_err(|_| "it is not ready: `windlass health` says why");
            checked.note(format!("the server at {}", config.listen), ready);
        }
        _ => stores(&config, &mut checked).await,
    }
    checked
}

async fn stores(config: &Config, checked: &mut Checked) {
    let clock = config.clock();
    if config.queue.path().is_some() || config.database.path().is_some() {
        let folder = std::fs::create_dir_all(&config.data);
        checked.note(format!("data folder {}", config.data.display()), folder);
    }
    let carrier = checked.note(format!("carrier {}", config.queue), Carrier::open(config, &clock).await);
    for promise in carrier.iter().flat_map(|carrier| &carrier.promises) {
        checked.detail(promise);
    }
    let url = config.database.to_connect();
    // A look takes no step: processes of the build before may be running on what is there.
    if let Ok(missing) = Ledger::steps_missing(url.expose()).await
        && !missing.is_empty()
    {
        let steps: Vec<_> = missing.iter().map(i64::to_string).collect();
        checked.looked_at.push(format!("ok  ledger {}", config.database));
        checked.detail(format!("its schema lacks step {} of this build: windlass migrate", steps.join(", ")));
        return;
    }
    let ledger = Ledger::open(url.expose(), &clock).await;
    let ledger = checked.note(format!("ledger {}", config.database), ledger);
    if let Some(ledger) = &ledger {
        match ledger.keeper().await {
            Ok(words) => checked.detail(format!("{words}; schema at step {}", ledger.schema_version())),
            Err(error) => checked.problems.push(format!("ledger {}: {error}", config.database)),
        }
    }
    if let (Some(carrier), Some(ledger)) = (carrier, ledger) {
        checked.note("the carrier is this ledger's".to_owned(), carrier.claim(&ledger).await);
    }
}
