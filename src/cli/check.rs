//! `windlass check`: everything that is wrong, at once.

use serde_json::json;
use windlass_jobs::ledger::Ledger;

use super::api::Api;
use super::jobs::Said;
use crate::config::Config;
use crate::platform::{carrier, schedules, shop_settings};

/// What was looked at and what is wrong with it.
pub struct Checked {
    pub problems: Vec<String>,
    looked_at: Vec<String>,
}

impl Checked {
    pub fn said(&self) -> Said {
        let text = self.looked_at.join("\n");
        Said { json: json!({ "ok": true, "checked": self.looked_at }), text: format!("{text}\nall is well") }
    }

    fn note<T, E: std::fmt::Display>(&mut self, what: String, looked: Result<T, E>) {
        match looked {
            Ok(_) => self.looked_at.push(format!("ok  {what}")),
            Err(error) => self.problems.push(format!("{what}: {error:#}")),
        }
    }
}

/// The configuration itself was checked when it was read.
pub async fn run(config: Config) -> Checked {
    let mut checked = Checked { problems: Vec::new(), looked_at: vec!["ok  configuration".to_owned()] };
    checked.note(format!("schedules in {}", config.schedules.display()), schedules(&config.schedules));
    checked.note("what the shop decides".to_owned(), shop_settings(config.shop.as_deref()));
    // A server that runs holds the files; it answers for them.
    match Api::new(format!("http://{}", config.listen)) {
        Ok(api) if api.is_up().await => {
            let ready = api.get("/readyz", &[]).await;
            checked.note(format!("the server at {}", config.listen), ready);
        }
        _ => {
            let clock = config.clock();
            let folder = std::fs::create_dir_all(&config.data);
            checked.note(format!("data folder {}", config.data.display()), folder);
            checked.note(format!("carrier {}", config.queue), carrier(&config, &clock).await);
            checked.note(
                format!("ledger {}", config.database),
                Ledger::open(config.database.to_connect().expose(), &clock).await,
            );
        }
    }
    checked
}
