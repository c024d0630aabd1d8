//! A template tried out before its first mail: rendered with a made-up message, and asked for the names that it uses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{TemplateProblem, Templates, file_of};
use crate::notifications::Template;
use crate::notifications::samples::sample;

/// Names that Jinja itself gives a template.
const BUILT_IN: [&str; 3] = ["loop", "self", "super"];

impl Templates {
    /// Renders the sample, and looks at the names in the branches that the sample does not take.
    pub(super) fn try_out(&self, template: Template) -> Vec<TemplateProblem> {
        let sample = sample(template);
        let mut problems: Vec<_> = self.word(template, &sample).err().into_iter().collect();
        for ending in ["subject", "txt", "html"] {
            let file = format!("{}.{ending}", template.as_str());
            let Ok(found) = self.0.env.get_template(&file) else { continue };
            let globals: BTreeSet<&str> = self.0.env.globals().map(|(name, _)| name).collect();
            let unknown = found.undeclared_variables(true).into_iter().filter(|path| {
                let head = path.split('.').next().unwrap_or_default();
                !globals.contains(head) && !BUILT_IN.contains(&head) && !speaks_of(&sample, path)
            });
            let mut unknown: Vec<String> = unknown.collect();
            unknown.sort();
            // The first problem names the place of what the sample meets.
            let told = |path: &String| problems.iter().any(|problem| problem.what.contains(path.as_str()));
            let untold: Vec<_> = unknown.into_iter().filter(|path| !told(path)).collect();
            problems.extend(untold.into_iter().map(|path| TemplateProblem {
                line: line_of(found.source(), &path),
                file: file_of(&file),
                what: format!("speaks of {path}, which a {} has not; {}", template.as_str(), has(&sample)),
            }));
        }
        problems
    }
}

/// Whether the message has the path: what is below a list or a value that may be missing is not looked at.
fn speaks_of(message: &Value, path: &str) -> bool {
    let mut at = message;
    for name in path.split('.') {
        match at {
            Value::Object(members) => match members.get(name) {
                Some(member) => at = member,
                None => return false,
            },
            _ => return true,
        }
    }
    true
}

fn has(message: &Value) -> String {
    let names: Vec<&str> = message.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    format!("it has {}", names.join(", "))
}

fn line_of(source: &str, path: &str) -> Option<usize> {
    source.lines().position(|line| line.contains(path)).map(|nth| nth + 1)
}
