//! The wording of e-mail: templates of Jinja, ours or the shop's, tried out when they are loaded.
//!
//! A template is `NAME.txt`, which begins with a line `Subject: …`, and beside it `NAME.html` with the same in HTML,
//! in which every value is escaped. A folder of the shop's own takes the place of ours file by file; a text of the
//! shop's without an HTML of its own goes out as text alone, so that the two never say different things. What a
//! template may speak of is fixed by its struct in [`super::message`]: any other name is an error, found before the
//! first mail. Which files there are is in `files`, how a template is tried out in `trial`. Subscribe messages and
//! webhooks have no wording and are not here.

mod files;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value as Jinja};
use serde::Deserialize;
use serde_json::Value;

use super::Template;
use super::samples::sample;
use files::{OURS, read_folder};

pub use files::TEMPLATE_BYTES_MAX;

/// Steps that one rendering may take: a loop that does not end ends here.
const TEMPLATE_STEPS_MAX: u64 = 1_000_000;
const SUBJECT: &str = "Subject:";

/// A mail in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worded {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    pub file: String,
    /// 1 for the first.
    pub line: Option<usize>,
    pub what: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Everything that is wrong with the templates, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblems(pub Vec<TemplateProblem>);

impl fmt::Display for TemplateProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(TemplateProblem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for TemplateProblems {}

/// The templates that were found to be sound. Clones share them.
#[derive(Clone)]
pub struct Templates(Arc<Loaded>);

struct Loaded {
    env: Environment<'static>,
    /// The templates that have an HTML beside their text.
    with_html: BTreeSet<Template>,
    /// Files that are the shop's.
    of_shop: BTreeSet<String>,
}

impl Templates {
    /// Ours, with what stands in the folder in their place.
    ///
    /// # Errors
    /// Every problem of every file at once.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplateProblems> {
        let mut problems = Vec::new();
        let theirs = folder.map(|folder| read_folder(folder, &mut problems)).unwrap_or_default();
        let of_shop: BTreeSet<String> = theirs.keys().cloned().collect();
        let with_html = Template::ALL
            .into_iter()
            .filter(|template| {
                let (text, html) =
                    (format!("{}.txt", template.as_str()), format!("{}.html", template.as_str()));
                !of_shop.contains(&text) || of_shop.contains(&html)
            })
            .collect();
        let mut files: BTreeMap<String, String> =
            OURS.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        files.extend(theirs);
        let mut env = environment();
        for (name, text) in files {
            if let Err(problem) = add(&mut env, &name, text) {
                problems.push(problem);
            }
        }
        let loaded = Self(Arc::new(Loaded { env, with_html, of_shop }));
        if problems.is_empty() {
            problems = Template::ALL.into_iter().flat_map(|template| loaded.try_out(template)).collect();
        }
        if problems.is_empty() { Ok(loaded) } else { Err(TemplateProblems(problems)) }
    }

    /// Words a message.
    ///
    /// # Errors
    /// When the data has not what the template speaks of: it is none of the template's struct.
    pub fn word(&self, template: Template, data: &Value) -> Result<Worded, TemplateProblem> {
        let name = template.as_str();
        let said = Jinja::deserialize(data).map_err(|error| TemplateProblem {
            file: name.to_owned(),
            line: None,
            what: format!("the message cannot be read: {error}"),
        })?;
        let part = |file: &str| {
            let found = self.0.env.get_template(file).and_then(|found| found.render(said.clone()));
            found.map_err(|error| problem(file, &error))
        };
        let subject = part(&format!("{name}.subject"))?;
        let text = part(&format!("{name}.txt"))?;
        let html =
            if self.0.with_html.contains(&template) { Some(part(&format!("{name}.html"))?) } else { None };
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Worded { subject, text: format!("{}\n", text.trim()), html })
    }

    /// As [`Templates::word`], of a made-up order or day.
    ///
    /// # Errors
    /// As [`Templates::word`].
    pub fn preview(&self, template: Template) -> Result<Worded, TemplateProblem> {
        self.word(template, &sample(template))
    }

    /// Whether a file of the template is the shop's own.
    pub fn is_of_shop(&self, template: Template) -> bool {
        let name = template.as_str();
        [format!("{name}.txt"), format!("{name}.html")].iter().any(|file| self.0.of_shop.contains(file))
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(TEMPLATE_STEPS_MAX));
    env.set_debug(true);
    env
}

/// A text of a template is two: its first line, the subject, and the rest.
fn add(env: &mut Environment<'static>, file: &str, text: String) -> Result<(), TemplateProblem> {
    let template = file.strip_suffix(".txt").filter(|name| Template::parse(name).is_some());
    let Some(name) = template else {
        return env.add_template_owned(file.to_owned(), text).map_err(|error| problem(file, &error));
    };
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(subject) = first.strip_prefix(SUBJECT) else {
        let what = format!("the first line is no \"{SUBJECT} …\"");
        return Err(TemplateProblem { file: file.to_owned(), line: Some(1), what });
    };
    // The lines keep their numbers, for whoever is told of a problem.
    let body = format!("{{#\n#}}{rest}");
    let added = env.add_template_owned(format!("{name}.subject"), subject.trim().to_owned());
    added.and_then(|()| env.add_template_owned(file.to_owned(), body)).map_err(|error| problem(file, &error))
}

fn problem(file: &str, error: &minijinja::Error) -> TemplateProblem {
    let place = error.name().map_or_else(|| file_of(file), file_of);
    let expression = || Some(error.template_source()?.get(error.range()?)?.to_owned());
    let what = match (error.detail(), expression()) {
        (Some(detail), _) => format!("{}: {detail}", error.kind()),
        (None, Some(expression)) => format!("{}: {expression}", error.kind()),
        (None, None) => error.kind().to_string(),
    };
    TemplateProblem { file: place, line: error.line(), what }
}

/// The subject is the first line of the text.
fn file_of(name: &str) -> String {
    match name.strip_suffix(".subject") {
        Some(name) => format!("{name}.txt"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Templates, TemplateProblems>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let loaded = Templates::load(Some(folder.path()));
        (folder, loaded)
    }

    fn refused(files: &[(&str, &str)]) -> String {
        shop(files).1.err().expect("it is refused").to_string()
    }

    #[test]
    fn our_own_templates_word_every_message_in_both_forms() {
        let ours = Templates::load(None).unwrap();
        for template in Template::ALL {
            let worded = ours.preview(template).unwrap();
            assert!(!worded.subject.is_empty() && worded.text.len() > 20, "{template:?}");
            assert!(worded.html.unwrap().starts_with("<!doctype html>"), "{template:?}");
        }
        let paid = ours.preview(Template::OrderPaid).unwrap();
        assert_eq!(paid.subject, "订单支付成功 SO-1001");
        assert_eq!(
            paid.text,
            "王小明 <b>& 您好，\n\n订单 SO-1001（电热水器 60L 等2件）\n我们已收到您的付款 ¥2599.98。\n\n2026年1月5日 12:00\n"
        );
    }

    #[test]
    fn values_are_escaped_in_html_and_not_in_text() {
        let ours = Templates::load(None).unwrap();
        let html = ours.preview(Template::OrderPaid).unwrap().html.unwrap();
        assert!(html.contains("王小明 &lt;b&gt;&amp;") && html.contains("厨宝 &lt;6.6L&gt;"), "{html}");
    }

    #[test]
    fn a_line_break_in_a_value_does_not_break_the_subject() {
        let (_folder, loaded) = shop(&[("order_paid.txt", "Subject: {{ customer_name }}\nx")]);
        let mut data = sample(Template::OrderPaid);
        data["customer_name"] = "a\r\nBcc: x@y".into();
        assert_eq!(loaded.unwrap().word(Template::OrderPaid, &data).unwrap().subject, "a Bcc: x@y");
    }

    #[test]
    fn a_text_of_the_shops_goes_out_alone_unless_it_has_its_html() {
        let (_folder, loaded) =
            shop(&[("order_paid.txt", "Subject: Paid\n\nThank you, {{ customer_name }}.")]);
        let loaded = loaded.unwrap();
        let worded = loaded.preview(Template::OrderPaid).unwrap();
        assert_eq!((worded.subject.as_str(), worded.html), ("Paid", None));
        assert_eq!(worded.text, "Thank you, 王小明 <b>&.\n");
        assert!(loaded.is_of_shop(Template::OrderPaid) && !loaded.is_of_shop(Template::OrderShipped));
    }

    #[test]
    fn a_name_that_a_message_has_not_is_told_with_its_file_and_line() {
        let told = refused(&[("order_paid.txt", "Subject: Paid\n\nDear\n{{ customer }}\n")]);
        assert!(told.starts_with("order_paid.txt:4: "), "{told}");
        let told = refused(&[("order_paid.html", "<p>{{ order_no }}</p>\n<p>{{ lines[0].colour }}</p>")]);
        assert!(told.starts_with("order_paid.html:2: "), "{told}");
    }

    #[test]
    fn a_name_in_a_branch_that_the_sample_does_not_take_is_found_too() {
        let told = refused(&[(
            "order_paid.txt",
            "Subject: Paid\n\n{% if order_no == 'x' %}{{ amuont }}{% endif %}",
        )]);
        assert!(told.contains("speaks of amuont") && told.contains("it has amount"), "{told}");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = refused(&[
            ("order_paid.txt", "no subject\n"),
            ("order_shipped.html", "{% if %}"),
            ("order_payd.txt", "Subject: x\n"),
        ]);
        for part in
            ["order_paid.txt:1: the first line", "order_shipped.html:1: ", "order_payd.txt: is no file"]
        {
            assert!(told.contains(part), "{part}\n{told}");
        }
    }

    #[test]
    fn a_template_that_does_not_end_is_stopped() {
        let told = refused(&[(
            "order_paid.txt",
            "Subject: x\n{% for a in range(9000) %}{% for b in range(9000) %}.{% endfor %}{% endfor %}",
        )]);
        assert!(told.contains("order_paid.txt"), "{told}");
    }
}
