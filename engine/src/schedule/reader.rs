//! Reads one entry of a file, and tells everything that is wrong with it.
//!
//! It reads the document itself and not through serde, which stops at the first fault and forgets the places.

use std::ops::Range;
use std::time::Duration;

use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::instants::{BadRhythm, Rhythm};
use super::lane::{Lane, Misfit, nearest};
use super::length::{length_of, written};
use super::payload::json_of;
use super::problem::{Problem, Source};
use super::{CATCH_UP_MAX_DEFAULT, CATCH_UP_MAX_MAX, CatchUp, Entry, Overlap};
use crate::clock::Timestamp;
use crate::job::Priority;

/// Every key of an entry.
const KEYS: [&str; 15] = [
    "cron",
    "every",
    "timezone",
    "job",
    "payload",
    "queue",
    "priority",
    "overlap",
    "catch_up",
    "catch_up_max",
    "jitter",
    "expires",
    "enabled",
    "tags",
    "description",
];
/// Characters of a schedule's name, so that the names of its jobs stay readable.
const NAME_CHARS_MAX: usize = 48;
/// Tags of an entry.
const TAGS_MAX: usize = 16;
/// Instants that are compared to find the shortest time between two of them.
const STEPS_LOOKED_AT: usize = 400;

/// Tells the lane of a kind for a payload, or why there is none.
pub(super) type LaneOf<'a> = &'a dyn Fn(&str, &RawValue) -> Result<Lane, Misfit>;

/// Reads `[name]`; None when anything is wrong, and then `problems` has grown.
pub(super) fn read(
    source: &Source,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    table: &DeTable<'_>,
    lane_of: LaneOf<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let before = problems.len();
    let mut reader =
        Reader { source, name: name.get_ref(), header: name.span(), table, problems: &mut *problems };
    reader.check_name();
    reader.check_keys();
    let entry = reader.entry(lane_of);
    entry.filter(|_| problems.len() == before)
}

struct Reader<'a> {
    source: &'a Source,
    name: &'a str,
    header: Range<usize>,
    table: &'a DeTable<'a>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, lane_of: LaneOf<'_>) -> Option<Entry> {
        let rhythm = self.rhythm();
        let payload = self.payload();
        let lane = self.lane(payload.as_deref(), lane_of);
        let (queue, priority) = (self.text("queue").map(str::to_owned), self.priority());
        let overlap = self.one_of(
            "overlap",
            &[("skip", Overlap::Skip), ("allow", Overlap::Allow), ("queue_one", Overlap::QueueOne)],
        );
        let catch_up = self.catch_up(overlap.unwrap_or_default());
        let jitter = self.jitter(rhythm.as_ref());
        let expires = self.expires(rhythm.as_ref(), jitter);
        let description = self.text("description").unwrap_or_default().to_owned();
        let (enabled, tags) = (self.flag("enabled").unwrap_or(true), self.tags());
        let (job, lane) = lane?;
        Some(Entry {
            name: self.name.to_owned(),
            description,
            rhythm: rhythm?,
            job,
            payload: payload?,
            queue: queue.unwrap_or(lane.queue),
            priority: priority.unwrap_or(lane.priority),
            unique_key: lane.unique_key,
            overlap: overlap.unwrap_or_default(),
            catch_up,
            jitter,
            expires,
            enabled,
            tags,
        })
    }

    fn check_name(&mut self) {
        let fits = (1..=NAME_CHARS_MAX).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            self.problem(
                self.header.clone(),
                format!("a schedule's name has 1 to {NAME_CHARS_MAX} characters out of a-z 0-9 _"),
            );
        }
    }

    fn check_keys(&mut self) {
        for key in self.table.keys().filter(|key| !KEYS.contains(&key.get_ref().as_ref())) {
            let hint = nearest(key.get_ref(), KEYS.into_iter()).map_or_else(
                || format!("the keys are {}", KEYS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.problem(key.span(), format!("unknown key `{}`: {hint}", key.get_ref()));
        }
    }

    fn rhythm(&mut self) -> Option<Rhythm> {
        let zone = self.zone();
        let (cron, every) = (self.spanned_text("cron"), self.spanned_text("every"));
        match (cron, every) {
            (Some((_, span)), Some(_)) => {
                self.problem(span, "both `cron` and `every`: a schedule has one of them");
                None
            }
            (None, None) => {
                if !self.has("cron") && !self.has("every") {
                    self.problem(self.header.clone(), "neither `cron` nor `every`: when does it fire?");
                }
                None
            }
            (Some((cron, span)), None) => {
                if !self.has("timezone") {
                    self.problem(
                        span.clone(),
                        "a cron needs a `timezone`, such as \"Asia/Shanghai\" or \"UTC\"",
                    );
                }
                // A cron is judged even where its zone is wrong: both faults are told at once.
                let rhythm = Rhythm::cron(cron, zone.unwrap_or(chrono_tz::UTC));
                self.judged("cron", cron, span, rhythm)
            }
            (None, Some((every, span))) => match length_of(every) {
                Ok(length) => self.judged("every", every, span, Rhythm::every(length)),
                Err(e) => {
                    self.problem(span, format!("`every`: {e}"));
                    None
                }
            },
        }
    }

    fn judged(
        &mut self,
        key: &str,
        text: &str,
        span: Range<usize>,
        rhythm: Result<Rhythm, BadRhythm>,
    ) -> Option<Rhythm> {
        rhythm.map_err(|e| self.problem(span, format!("{key} \"{text}\": {e}"))).ok()
    }

    /// There is no default: a cron that is silently eight hours off is found out too late.
    fn zone(&mut self) -> Option<chrono_tz::Tz> {
        let (text, span) = self.spanned_text("timezone")?;
        text.parse()
            .map_err(|_| {
                self.problem(
                    span,
                    format!("no time zone \"{text}\": IANA names it, such as \"Asia/Shanghai\""),
                );
            })
            .ok()
    }

    fn payload(&mut self) -> Option<Box<RawValue>> {
        let json = match self.table.get("payload") {
            None => Ok(serde_json::Value::Object(serde_json::Map::new())),
            Some(value) if matches!(value.get_ref(), DeValue::Table(_)) => json_of(value),
            Some(value) => {
                Err((value.span(), "`payload` is a table, such as { day = \"yesterday\" }".to_owned()))
            }
        };
        match json {
            Ok(json) => serde_json::value::to_raw_value(&json).ok(),
            Err((span, what)) => {
                self.problem(span, what);
                None
            }
        }
    }

    fn lane(&mut self, payload: Option<&RawValue>, lane_of: LaneOf<'_>) -> Option<(String, Lane)> {
        if !self.has("job") {
            self.problem(self.header.clone(), "no `job`: what does it start?");
        }
        let (job, span) = self.spanned_text("job")?;
        match lane_of(job, payload?) {
            Ok(lane) => return Some((job.to_owned(), lane)),
            Err(Misfit::UnknownKind { near }) => {
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.problem(span, format!("no job of the kind `{job}`{hint}"));
            }
            Err(Misfit::Payload(faults)) => {
                let at = self.table.get("payload").map_or(span, Spanned::span);
                for fault in faults {
                    self.problem(at.clone(), format!("the payload is none of `{job}`: {fault}"));
                }
            }
        }
        None
    }

    fn priority(&mut self) -> Option<Priority> {
        self.one_of("priority", &Priority::ALL.map(|priority| (priority.as_str(), priority)))
    }

    fn catch_up(&mut self, overlap: Overlap) -> CatchUp {
        let max = self.catch_up_max();
        let all = CatchUp::All { max: max.unwrap_or(CATCH_UP_MAX_DEFAULT) };
        let catch_up = self
            .one_of("catch_up", &[("none", CatchUp::None), ("one", CatchUp::One), ("all", all)])
            .unwrap_or(CatchUp::One);
        if let (Some(value), CatchUp::All { .. }) = (self.table.get("catch_up"), catch_up)
            && overlap != Overlap::Allow
        {
            let what = "catch_up = \"all\" brings several jobs at once: it needs overlap = \"allow\"";
            self.problem(value.span(), what);
        }
        if let (Some(value), CatchUp::None | CatchUp::One) = (self.table.get("catch_up_max"), catch_up) {
            self.problem(value.span(), "`catch_up_max` says nothing without catch_up = \"all\"");
        }
        catch_up
    }

    fn catch_up_max(&mut self) -> Option<u32> {
        let value = self.table.get("catch_up_max")?;
        let max = match value.get_ref() {
            DeValue::Integer(n) => u32::from_str_radix(n.as_str(), n.radix()).ok(),
            _ => None,
        };
        let fits = max.filter(|max| (1..=CATCH_UP_MAX_MAX).contains(max));
        if fits.is_none() {
            self.problem(
                value.span(),
                format!("`catch_up_max` is a whole number from 1 to {CATCH_UP_MAX_MAX}"),
            );
        }
        fits
    }

    fn jitter(&mut self, rhythm: Option<&Rhythm>) -> Duration {
        let Some((text, span)) = self.spanned_text("jitter") else { return Duration::ZERO };
        let jitter = match length_of(text) {
            Ok(jitter) => jitter,
            Err(e) => {
                self.problem(span, format!("`jitter`: {e}"));
                return Duration::ZERO;
            }
        };
        if let Some(shortest) = rhythm.and_then(shortest_step).filter(|shortest| jitter >= *shortest) {
            let what = format!(
                "a jitter of {} does not fit between two instants, which are {} apart",
                written(jitter),
                written(shortest)
            );
            self.problem(span, what);
        }
        jitter
    }

    fn expires(&mut self, rhythm: Option<&Rhythm>, jitter: Duration) -> Option<Duration> {
        let (text, span) = self.spanned_text("expires")?;
        let expires = match length_of(text) {
            Ok(expires) => expires,
            Err(e) => {
                self.problem(span, format!("`expires`: {e}"));
                return None;
            }
        };
        if let Some(shortest) = rhythm.and_then(shortest_step).filter(|shortest| expires >= *shortest) {
            let (expires, shortest) = (written(expires), written(shortest));
            let what = format!(
                "a job that expires after {expires} may meet the next one, which comes {shortest} after it: make it \
                 shorter"
            );
            self.problem(span, what);
        } else if expires <= jitter {
            let (expires, jitter) = (written(expires), written(jitter));
            self.problem(
                span,
                format!("a job that is due up to {jitter} late must not expire after {expires}"),
            );
        }
        Some(expires)
    }

    fn tags(&mut self) -> Vec<String> {
        let Some(value) = self.table.get("tags") else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.problem(value.span(), "`tags` is a list of texts");
            return Vec::new();
        };
        if items.len() > TAGS_MAX {
            self.problem(value.span(), format!("{} tags: at most {TAGS_MAX}", items.len()));
        }
        let mut tags = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(tag) => tags.push(tag.clone().into_owned()),
                _ => self.problem(item.span(), "a tag is a text"),
            }
        }
        tags
    }

    fn one_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let (text, span) = self.spanned_text(key)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(span, format!("{key} = \"{text}\": it is one of {}", names.join(", ")));
        }
        found
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.problem(value.span(), format!("`{key}` is true or false"));
                None
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<&'a str> {
        self.spanned_text(key).map(|(text, _)| text)
    }

    fn spanned_text(&mut self, key: &str) -> Option<(&'a str, Range<usize>)> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), value.span())),
            _ => {
                self.problem(value.span(), format!("`{key}` is a text in quotes"));
                None
            }
        }
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn problem(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.problems.push(self.source.problem(Some(self.name), span, what));
    }
}

/// The shortest time between two instants of a few years around a leap day.
fn shortest_step(rhythm: &Rhythm) -> Option<Duration> {
    const NEW_YEAR_2027: Timestamp = Timestamp::from_secs(1_798_761_600);
    let instants =
        rhythm.between(NEW_YEAR_2027, NEW_YEAR_2027 + Duration::from_secs(5 * 366 * 86_400), STEPS_LOOKED_AT);
    instants.windows(2).map(|pair| pair[1].since(pair[0])).min()
}
