//! `windlass notifications …`: the wording of mail, looked at before anybody is sent it. Needs no server and no store.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use windlass_jobs::notifications::Template;

use super::jobs::Said;
use super::table::Table;
use crate::config::{Config, WrongSetUp};
use crate::platform::templates;

#[derive(Debug, Subcommand)]
pub enum Notifications {
    /// Every template, and whose wording it has.
    Templates,
    /// A template with a made-up order or day, as it would be sent.
    Preview {
        /// Its name: see `windlass notifications templates`.
        template: String,
        /// The HTML and not the text.
        #[arg(long)]
        html: bool,
    },
}

impl Notifications {
    /// # Errors
    /// [`WrongSetUp`] with everything that is wrong with the shop's templates.
    pub fn run(self, config: &Config) -> anyhow::Result<Said> {
        let templates = templates(config)?;
        match self {
            Self::Templates => {
                let mut table = Table::new(&["template", "told", "wording"]);
                let mut listed = Vec::new();
                for template in Template::ALL {
                    let whom = if template.is_for_customers() { "the customer" } else { "the shop" };
                    let whose = if templates.is_of_shop(template) { "the shop's" } else { "ours" };
                    table.row([template.as_str().to_owned(), whom.to_owned(), whose.to_owned()]);
                    listed.push(json!({ "template": template.as_str(), "told": whom, "wording": whose }));
                }
                Ok(Said { json: json!({ "templates": listed }), text: table.to_string() })
            }
            Self::Preview { template: name, html } => {
                let Some(template) = Template::parse(&name) else {
                    let known: Vec<_> = Template::ALL.iter().map(|known| known.as_str()).collect();
                    return Err(WrongSetUp(format!(
                        "there is no template {name}: there are {}",
                        known.join(", ")
                    ))
                    .into());
                };
                let worded =
                    templates.preview(template).map_err(|problem| WrongSetUp(problem.to_string()))?;
                let json = json!({
                    "template": name, "subject": worded.subject, "text": worded.text, "html": worded.html,
                });
                let body = match (html, worded.html) {
                    (false, _) => worded.text,
                    (true, Some(html)) => html,
                    (true, None) => bail!("the shop words {name} as text alone: it has no HTML"),
                };
                Ok(Said { json, text: format!("Subject: {}\n\n{body}", worded.subject) })
            }
        }
    }
}
