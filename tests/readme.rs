//! The README, followed to the letter: its commands are run and its job is added.

#![expect(clippy::unwrap_used, reason = "what the tests share fails them where it fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[expect(dead_code, reason = "not every target needs all of it")]
#[path = "support/process.rs"]
mod process;

use process::Place;
use process::wait::within;

/// Where the README says that the front door is.
const DOOR: &str = "127.0.0.1:8080";
/// From the payment of an order to its place in the timeline.
const ORDER_MOVES_WITHIN: Duration = Duration::from_secs(60);
/// Written after each answer by the `curl` of the test.
const MARK: &str = "@@ status ";

/// A fenced block: its language and its lines.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

/// The blocks under the heading `## heading`.
fn blocks_under(heading: &str) -> Vec<Block> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut sections = readme.split("\n## ");
    let title = format!("{heading}\n");
    let section = sections.find(|section| section.starts_with(&title));
    let section = section.unwrap_or_else(|| panic!("the README has no \"## {heading}\""));
    // Every other piece between fences is a block; its first line names the language.
    let inside = section.split("\n```").skip(1).step_by(2);
    let parted = inside.map(|block| block.split_once('\n').unwrap());
    parted.map(|(language, text)| Block { language: language.to_owned(), text: text.to_owned() }).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a `curl` of the README answered, under the remark that stands before it.
#[derive(Debug)]
struct Answer {
    remark: String,
    command: String,
    status: u16,
    body: String,
}

/// The remark and first line of each `curl` in the script.
fn curls_of(script: &str) -> Vec<(String, String)> {
    let (mut remark, mut found) = (String::new(), Vec::new());
    for line in script.lines() {
        if let Some(said) = line.strip_prefix('#') {
            remark = said.trim().to_owned();
        } else if line.starts_with("curl ") {
            found.push((remark.clone(), line.to_owned()));
        }
    }
    found
}

/// Runs the script as a shell would, with the front door where it really is.
fn follow(place: &Place, script: &str, door: &str) -> Vec<Answer> {
    let address = door.strip_prefix("http://").unwrap();
    let curl = format!("curl() {{ command curl --max-time 30 -w '\\n{MARK}%{{http_code}}\\n' \"$@\"; }}\n");
    let script_run = format!("set -eu\n{curl}{}", script.replace(DOOR, address));
    let shell = Command::new("sh").arg("-c").arg(&script_run).current_dir(place.path("")).output().unwrap();
    let out = String::from_utf8(shell.stdout).unwrap();
    assert!(shell.status.success(), "{script_run}\n{out}\n{}", String::from_utf8_lossy(&shell.stderr));
    let mut rest = out.as_str();
    let curls = curls_of(script);
    let answers = curls.into_iter().map(|(remark, command)| {
        let (body, after) =
            rest.split_once(MARK).unwrap_or_else(|| panic!("{command} answered nothing: {out}"));
        let (status, after) = after.split_once('\n').unwrap();
        rest = after;
        Answer { remark, command, status: status.parse().unwrap(), body: body.trim().to_owned() }
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(rest, "", "something answered that is no curl at the start of a line");
    answers
}

#[test]
fn what_the_readme_has_people_try_works() {
    let blocks = blocks_under("Try it");
    let shell = |block: &&Block| ["sh", "console"].contains(&block.language.as_str());
    let scripts: Vec<_> = blocks.iter().filter(shell).filter(|block| block.text.contains("curl")).collect();
    assert!(!scripts.is_empty(), "nothing to try");
    let place = Place::new();
    let up = place.up();
    let mut answers = Vec::new();
    for script in scripts {
        // A console shows a prompt before what is typed.
        answers.extend(follow(&place, &script.text.replace("\n$ ", "\n"), &up.door));
    }
    for answer in &answers {
        if answer.remark.contains("does not fit") {
            assert_eq!(answer.status, 422, "{answer:#?}");
            assert!(answer.body.contains("/payload/ms"), "it does not say where: {answer:#?}");
        } else {
            assert!((200..300).contains(&answer.status), "{answer:#?}");
        }
    }
    let body_of = |part: &str| {
        let answer = answers.iter().find(|answer| answer.command.contains(part));
        &answer.unwrap_or_else(|| panic!("no {part} is tried")).body
    };
    assert!(body_of("/v1/audit").contains(r#""balanced":true"#), "{}", body_of("/v1/audit"));
    assert!(body_of("/v1/kinds").contains("fulfil_order"));
    the_order_is_paid(&place, &up.door);
}

/// "the customer pays at the till five seconds from now"
fn the_order_is_paid(place: &Place, door: &str) {
    let asked = format!("curl -s {DOOR}/v1/orders/SO-1001");
    let mut last = serde_json::Value::Null;
    let paid = within(ORDER_MOVES_WITHIN, || {
        let answer = follow(place, &asked, door).remove(0);
        last = serde_json::from_str(&answer.body).unwrap();
        answer.body.contains("\"paid\"").then_some(())
    });
    assert!(paid.is_some(), "the order is not paid: {last:#}");
}

#[test]
fn the_job_that_the_readme_adds_is_one_file_one_line_and_one_row() {
    let blocks = blocks_under("Add a job");
    let rust: Vec<_> = blocks.iter().filter(|block| block.language == "rust").collect();
    let [file, module, row] = &rust[..] else { panic!("not a file, a line and a row: {rust:#?}") };
    let (file, module, row) = (named(file), named(module), named(row));
    assert_eq!(file.0, "jobs/src/diagnostics/greet.rs");
    assert_eq!(module.0, "jobs/src/diagnostics.rs");
    assert_eq!(row.0, "jobs/src/lib.rs");

    let scratch = Scratch::make();
    scratch.write(file.0, file.1);
    // A module's own remarks stay first; where else the line stands makes no difference.
    let before = scratch.read(module.0);
    let end_of_remarks = before.find("\n\n").unwrap();
    let (remarks, rest) = before.split_at(end_of_remarks);
    scratch.write(module.0, &format!("{remarks}\n\n{}{rest}", module.1));
    let table = scratch.read(row.0);
    let (head, rows) = table.split_once("pub static JOBS: &[JobKind<Shop>] = &[\n").unwrap();
    let (rows, tail) = rows.split_once("];\n").unwrap();
    let row = row.1;
    scratch.write(
        "jobs/src/lib.rs",
        &format!("{head}pub static JOBS: &[JobKind<Shop>] = &[\n{rows}{row}];\n{tail}"),
    );

    // Its own test, and those that hold for every row of the table.
    let args = ["test", "-p", "windlass-jobs", "--lib", "--", "greet", "tests::every_kind"];
    let (tested, said) = scratch.cargo(&args);
    assert!(tested.contains("diagnostics::greet::tests::"), "the block's own test did not run:\n{tested}");
    assert!(
        tested.contains("tests::every_kind_has_a_name_of_its_own"),
        "the table was not looked at:\n{tested}"
    );
    assert!(!said.contains("warning"), "{said}");
}

/// The path that the block's first line names, and the lines after it.
fn named(block: &Block) -> (&str, &str) {
    let (first, text) = block.text.split_once('\n').unwrap();
    (first.strip_prefix("// ").unwrap_or_else(|| panic!("no path in {first:?}")), text)
}

/// A copy of the workspace that a test may change. It stays from run to run, so that only what changed is built
/// again, and its dependencies are those of this build.
struct Scratch {
    workspace: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn make() -> Self {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let this = Self { workspace: own.join("readme"), target: own.parent().unwrap().to_owned() };
        let _ = fs::remove_file(this.workspace.join("jobs/src/diagnostics/greet.rs"));
        copy(root(), &this.workspace);
        this
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.workspace.join(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.workspace.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs cargo in the copy, and answers what it printed and what it said meanwhile.
    fn cargo(&self, args: &[&str]) -> (String, String) {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
        cargo.args(&args[..1]).args(["--offline", "--locked"]).args(&args[1..]).current_dir(&self.workspace);
        // What the cargo that runs this test told it is about another package.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_")
                || text.starts_with("CARGO_MANIFEST_")
                || text == "CARGO_BIN_NAME"
            {
                cargo.env_remove(&name);
            }
        }
        let ended = cargo.env("CARGO_TARGET_DIR", &self.target).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(ended.stdout), text(ended.stderr));
        assert!(ended.status.success(), "cargo {args:?}:\n{out}\n{err}");
        (out, err)
    }
}

/// Copies what a build needs. A file that has not changed keeps its time, for cargo's sake.
fn copy(from: &Path, to: &Path) {
    const LEFT_OUT: [&str; 5] = ["target", "data", ".git", ".env", "snapshots"];
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let (path, name) = {
            let item = item.unwrap();
            (item.path(), item.file_name())
        };
        if LEFT_OUT.iter().any(|left_out| name == *left_out) || path.join("CACHEDIR.TAG").exists() {
            continue;
        }
        let to = to.join(name);
        if path.is_dir() {
            copy(&path, &to);
        } else if fs::read(&path).ok() != fs::read(&to).ok() {
            fs::write(&to, fs::read(&path).unwrap()).unwrap();
        }
    }
}
