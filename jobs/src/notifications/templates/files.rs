//! The files of the templates: ours, which are built in, and those of a shop's folder. What stands in them is not looked
//! at here.

use std::collections::BTreeMap;
use std::path::Path;

use super::TemplateProblem;

/// Bytes of one file of a template.
pub const TEMPLATE_BYTES_MAX: u64 = 64 * 1024;
/// Files of a shop's folder that are looked at.
const TEMPLATE_FILES_MAX: usize = 200;

macro_rules! ours {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $name)))),*]
    };
}

/// Ours: name and text.
pub(super) const OURS: &[(&str, &str)] = ours![
    "layout.html",
    "order.txt",
    "order.html",
    "order_paid.txt",
    "order_paid.html",
    "order_shipped.txt",
    "order_shipped.html",
    "receipt_reminder.txt",
    "receipt_reminder.html",
    "order_completed.txt",
    "order_completed.html",
    "order_cancelled.txt",
    "order_cancelled.html",
    "order_refused.txt",
    "order_refused.html",
    "refund_made.txt",
    "refund_made.html",
    "daily_summary.txt",
    "daily_summary.html",
    "findings_raised.txt",
    "findings_raised.html",
];

/// The shop's files by their names. What is no file of a template is a problem: it would be a slip without a trace.
pub(super) fn read_folder(folder: &Path, problems: &mut Vec<TemplateProblem>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut wrong = |file: String, what: String| problems.push(TemplateProblem { file, line: None, what });
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) => {
            wrong(
                folder.display().to_string(),
                format!("the folder of the templates cannot be read: {error}"),
            );
            return files;
        }
    };
    for (nth, entry) in listed.filter_map(Result::ok).enumerate() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if nth >= TEMPLATE_FILES_MAX {
            wrong(name, format!("there are more than {TEMPLATE_FILES_MAX} files"));
            break;
        }
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        if !OURS.iter().any(|(known, _)| *known == name) {
            let known: Vec<_> = OURS.iter().map(|(known, _)| *known).collect();
            wrong(name, format!("is no file of a template: there are {}", known.join(", ")));
            continue;
        }
        let bytes = entry.metadata().map_or(0, |file| file.len());
        if bytes > TEMPLATE_BYTES_MAX {
            wrong(name, format!("has {bytes} bytes, more than {TEMPLATE_BYTES_MAX}"));
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => drop(files.insert(name, text.replace("\r\n", "\n"))),
            Err(error) => wrong(name, format!("cannot be read: {error}")),
        }
    }
    files
}
